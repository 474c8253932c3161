"""Geometry of motion: skeletons, rotations, kinematics, features, files. Knows no network."""
