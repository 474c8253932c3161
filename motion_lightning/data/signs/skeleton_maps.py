"""Drawn sign videos with the signer's skeleton beside them: what a video is made from when the pose is given."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from motion_lightning.data.clip import Clip
from motion_lightning.data.signs.corpus import SignVideoCorpus
from motion_lightning.data.signs.drawing import HANDS, skeleton
from motion_lightning.data.signs.keypoints import BODY
from motion_lightning.data.signs.keypoints import HANDS as HAND_POINTS
from motion_lightning.data.signs.render import render
from motion_lightning.data.signs.signer import make_signer
from motion_lightning.data.store import Split
from motion_lightning.text.condition import TextCond

LIMBS = ((0, 1), (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7))
SIDES = tuple("left" if "left" in name else "right" if "right" in name else "body" for name in BODY)
THICKNESS = 0.05  # of a limb, in heights of the picture
SHOULDERS, WIDTH = 0.495, 0.34  # of the drawn figures: height of the shoulders, and how far they are apart


class PairCond(NamedTuple):
    """A sentence, and a picture of the skeleton for every frame of the video."""

    text: TextCond
    pose: Tensor  # (B, T, 3, H, W) float32 in [-1, 1]


class PairCondition:
    """Makes a ``PairCond`` of the extras of clips; the ``condition`` of conf/data/sign_pairs.yaml."""

    def __call__(self, split: Split, clips: Sequence[int], text: TextCond) -> PairCond:
        maps = torch.from_numpy(np.stack([split.extras(i)["pose"] for i in clips]))
        return PairCond(text, maps.float() * (2 / 255) - 1)


class SignPairCorpus(SignVideoCorpus):
    """The clips of ``SignVideoCorpus``; ``extras["pose"]`` (frames, 3, size, size) uint8 are their skeletons."""

    name = "sign_pairs"

    def clip(self, split: str, number: int) -> Clip:
        clip, joints = self.drawn(split, number)
        clip.extras["pose"] = skeleton_map(joints / self.size, self.size)
        return clip


def skeleton_map(joints: np.ndarray, size: int) -> np.ndarray:
    """The points of ``drawing.skeleton`` (T, 8, 2), in heights of the picture, as pictures (T, 3, size, size) uint8.

    A skeleton is flat: how near a hand comes is for the text to say.
    """
    return render(joints, size, None, LIMBS, SIDES, (0.5, 0.5, 0.5), THICKNESS)


def map_of_keypoints(keypoints: np.ndarray, size: int, frames: int | None = None) -> np.ndarray:
    """Keypoints (T, 50, dims + 1) in shoulder widths → a drawn signer's skeleton (frames, 3, size, size) uint8.

    The hands are where the keypoints' hands are; the arms that lead to them are the drawn signer's own, since a model
    has seen no others.

    Args:
        frames: evenly from first to last; None takes all.
    """
    at = np.rint(np.linspace(0, len(keypoints) - 1, frames or len(keypoints))).astype(int)
    hands = np.stack([keypoints[at, hand, :2].mean(1) for hand in HAND_POINTS.values()], 1)  # (frames, 2, 2)
    joints = skeleton(make_signer(0), hands * WIDTH + np.array((0, SHOULDERS)))
    return skeleton_map(joints + np.array((0.5, 0)), size)


def hands_of(split: Split, clips: Sequence[int]) -> list[np.ndarray]:
    """Where the hands of clips are, (T, 2, 2) each: left and right, x and y in heights of the picture."""
    return [split.extras(i)["hands"] / split.features(i).shape[-1] for i in clips]


__all__ = ["HANDS", "PairCond", "PairCondition", "SignPairCorpus", "hands_of", "map_of_keypoints", "skeleton_map"]
