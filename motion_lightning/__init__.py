"""Experiment framework for diffusion models of human motion from text."""

__version__ = "0.1.0"
