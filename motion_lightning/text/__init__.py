"""Frozen text encoders. They live outside the trained module, so checkpoints and averages never hold them."""
