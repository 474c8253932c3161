"""How far the hands of a drawn sign video are from where a pose says that they should be."""

from collections.abc import Sequence

import numpy as np

from motion_lightning.metrics.signs import track_hands


def hand_distance(videos: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> dict[str, float]:
    """Tracks both hands in videos and compares them with given places.

    Args:
        videos: (T, 3, H, W) each, uint8 or floats in [-1, 1].
        places: (T, 2, 2) each: left and right hand, x and y in heights of the picture.

    Returns:
        ``distance``: the mean over all hands that were found, in heights of the picture; ``near``: share of all hands
        that were found within a twentieth of it; ``lost``: share that were not found.
    """
    off = [
        np.linalg.norm(track_hands(video).places / video.shape[-2] - place, axis=-1)  # (T, 2), NaN where lost
        for video, place in zip(videos, places, strict=True)
    ]
    off = np.concatenate([one.ravel() for one in off])
    lost = np.isnan(off)
    return {
        "distance": float(off[~lost].mean()) if not lost.all() else float("nan"),
        "near": float((off < 0.05).mean()),
        "lost": float(lost.mean()),
    }
