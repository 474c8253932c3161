"""The mirror image of a clip: left and right change places in the motion and in its captions.

HumanML3D doubles its size so (Guo et al. 2022); its mirrored copies are called M and the id of the original.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from motion_lightning.data.clip import Clip

# Words of a side, alone or in left-handed, rightwards, leftmost; with tags between: counter/NOUN clockwise/ADV.
_SIDE = re.compile(
    r"(?<![^\W_])(?P<side>left|right)(?=(?:wards?|most|hand(?:ed)?|side[ds]?)?(?![^\W_]))"
    r"|(?<![^\W_])(?P<against>(?:counter|anti)(?:/\w+)?[ -]?clock-?wise)(?![^\W_])"
    r"|(?<![^\W_])(?P<clock>clock-?wise)(?![^\W_])",
    re.IGNORECASE,
)
_NO_SIDE = re.compile(r"right(?:/\w+)? (?:away|now|angles?)(?![^\W_])|(?<=all )right(?![^\W_])", re.IGNORECASE)
_OTHER = {"left": "right", "right": "left"}


def mirror_text(text: str) -> str:
    """A caption, or a line of word/TAG, of the mirrored motion.

    left and right change places, alone and in compounds (left-handed, rightwards), and so do clockwise and
    counterclockwise, however they are spelt; capitals stay. "Upright", "right away" and "right angle" name no side.
    """

    def swap(match: re.Match) -> str:
        if match["side"] and _NO_SIDE.match(text, match.start()):
            return match[0]
        other = _OTHER[match[0].lower()] if match["side"] else "counterclockwise" if match["clock"] else "clockwise"
        if match[0].isupper():
            return other.upper()
        return other.capitalize() if match[0][0].isupper() else other

    return _SIDE.sub(swap, text)


def mirrored_clip(clip: Clip, features: np.ndarray) -> Clip:
    """The mirrored copy of a clip, made of the features of its mirrored joints (``motion.features.mirror``).

    Its id has an M in front, its captions and labels the other side; a model that trains on one may not be tested on
    the other, so the split is the same.
    """
    captions, pos = [[mirror_text(line) for line in lines] for lines in (clip.captions, clip.pos)]
    return replace(clip, id=f"M{clip.id}", features=features, captions=captions, pos=pos, tags=mirror_tags(clip.tags))


def mirror_tags(tags: dict[str, Any]) -> dict[str, Any]:
    """Tags of the mirrored copy: marked so, with labels of the other side."""
    labels = tags.get("labels")
    if isinstance(labels, dict):
        labels = {key: mirror_text(label) if isinstance(label, str) else label for key, label in labels.items()}
    return {**tags, **({"labels": labels} if labels else {}), "mirrored": True}
