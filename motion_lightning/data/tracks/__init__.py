"""Scenes with hands and objects, points in them, where the points go, and a sentence that says so."""
