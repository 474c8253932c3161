"""Prompts written by hand, with what each asks for. They serve evaluation alone."""

from importlib import resources

import yaml


def load_paraphrases() -> list[dict]:
    """``[{"text": ..., "segments": [{"action": ..., attributes that the text states}]}]``."""
    return yaml.safe_load(resources.files(__package__).joinpath("paraphrases.yaml").read_text())
