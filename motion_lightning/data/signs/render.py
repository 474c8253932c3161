"""Skeletons as pictures: keypoints of signers, or this project's own motions seen from the front."""

from collections.abc import Sequence

import numpy as np

from motion_lightning.data.signs.keypoints import HANDS, LAYOUT, LIMBS

COLOURS = {"left": (226, 48, 138), "right": (38, 92, 226), "body": (52, 56, 60)}
PAPER = (240, 240, 236)
REACH = 1.5  # shoulder widths from the picture's middle to its edge
MIDDLE = 0.35  # of the picture, below the shoulders
HEAD, HEAD_COLOUR = (0.27, 0.07), (206, 200, 190)  # radius, and how far above the nose its middle is


def _sides(names: Sequence[str]) -> list[str]:
    return ["left" if "left" in name else "right" if "right" in name else "body" for name in names]


SIDES = tuple(_sides(LAYOUT))


def render(
    keypoints: np.ndarray,
    size: int,
    confidence: np.ndarray | None = None,
    limbs: Sequence[tuple[int, int]] = LIMBS,
    sides: Sequence[str] = SIDES,
    box: tuple[float, float, float] = (0.0, MIDDLE, REACH),
    thickness: float = 0.022,
) -> np.ndarray:
    """Draws limbs as anti-aliased lines, the left side's in pink, the right side's in blue, and a signer's head.

    Args:
        keypoints: (T, K, 2 or more): x to the right, y down.
        size: sides of the square picture in pixels.
        confidence: (T, K); a limb with an end of confidence 0 is left out of its frame.
        limbs: pairs of points; those of ``keypoints.LAYOUT`` by default.
        sides: "left", "right" or "body" for each point; a limb has the side of its second point.
        box: x and y of the picture's middle, and how far its edges are from there, in the keypoints' units; the
            default shows normalised keypoints of a signer.
        thickness: of a limb, in heights of the picture; fingers are thinner.

    Returns:
        (T, 3, size, size) uint8.

    Raises:
        ValueError: NaN or infinity where a point should be drawn.
    """
    keypoints = np.asarray(keypoints, np.float32)
    frames, count = keypoints.shape[:2]
    seen = np.ones((frames, count), bool) if confidence is None else np.asarray(confidence) > 0
    if not np.isfinite(keypoints[..., :2][seen]).all():
        raise ValueError("NaN or infinity in the keypoints")
    x, y, half = box
    pixels = (keypoints[..., :2] - (x, y)) * (size / 2 / half) + size / 2
    fine = [count == len(LAYOUT) and b >= HANDS["left"].start for _, b in limbs]
    radius = np.where(fine, 0.5, 1.0) * max(thickness * size / 2, 0.55)
    start, end = np.array(limbs).T
    middles = np.arange(size, dtype=np.float32) + 0.5
    film = np.empty((frames, size, size, 3), np.float32)
    film[:] = PAPER
    pixels = pixels.astype(np.float32)
    for picture, points, shown in zip(film, pixels, seen, strict=True):
        if count == len(LAYOUT) and shown[0]:
            head = points[:1] - np.array([(0, HEAD[1] * size / 2 / half)], np.float32)
            share = _cover(head, head, np.array([HEAD[0] * size / 2 / half]), middles)[..., None]
            picture += share * (np.array(HEAD_COLOUR, np.float32) - picture)
        for side, colour in sorted(COLOURS.items()):  # the body first
            own = [k for k, b in enumerate(end) if sides[b] == side and shown[start[k]] and shown[b]]
            if own:
                share = _cover(points[start[own]], points[end[own]], radius[own], middles)[..., None]
                picture += share * (np.array(colour, np.float32) - picture)
    return np.rint(film).astype(np.uint8).transpose(0, 3, 1, 2)


def render_motion(joints: np.ndarray, skeleton, size: int, height: float = 2.0) -> np.ndarray:
    """Draws joints (T, J, 3) of a motion from the front, (T, 3, size, size) uint8; the camera goes along.

    Args:
        skeleton: a ``motion.skeleton.Skeleton``: +Z is the front, +X the left, so the left is on the right.
        height: metres that the picture shows, from the floor up.
    """
    places = np.stack([joints[..., 0] - joints[:, :1, 0], -joints[..., 1]], -1)  # x to the right, y down
    limbs = [(parent, child) for child, parent in skeleton.bones]
    return render(places, size, None, limbs, _sides(skeleton.joints), (0.0, -0.46 * height, height / 2), 0.03)


def _cover(a: np.ndarray, b: np.ndarray, radius: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """(H, W) share of each pixel that lines from ``a`` to ``b`` (N, 2) cover."""
    a, d, radius = a[:, :, None, None], (b - a)[:, :, None, None], radius[:, None, None].astype(np.float32)
    x, y = middles[None, None, :] - a[:, 0], middles[None, :, None] - a[:, 1]
    along = ((x * d[:, 0] + y * d[:, 1]) / np.maximum(d[:, 0] ** 2 + d[:, 1] ** 2, 1e-6)).clip(0, 1)
    distance = np.hypot(x - along * d[:, 0], y - along * d[:, 1]) - radius  # (N, H, W)
    return (0.5 - distance.min(0)).clip(0, 1)
