"""Anti-aliased pictures of a signer, drawn with numpy: each shape covers a pixel by its distance to the outline."""

import numpy as np

from motion_lightning.data.signs.signer import GLOVES, SIDE, Signer, Tracks

SHOULDER, HEAD, NECK = 0.475, 0.245, 0.40  # heights of the unscaled figure
UPPER, FORE = 0.235, 0.225  # arm's bones
HANDS = (4, 7)  # of a skeleton's points
INK = 0.55  # an outline has so much of its colour


def draw(signer: Signer, tracks: Tracks, size: int, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draws a signer with hands on ``tracks``.

    Args:
        size: sides of the square picture in pixels.
        shift: (2,) where the signer stands beside the usual place, in heights of the picture.

    Returns:
        (T, 3, size, size) uint8, and the points of ``skeleton`` (T, 8, 2) in pixels: x, y from the upper left
        corner, the middle of the first pixel at 0.5.
    """
    frames = len(tracks.places)
    origin = np.array([0.5, 0.5]) + shift
    canvas = _Canvas(frames, size, signer.background)

    def at(points) -> np.ndarray:
        """Places of the figure (..., 2) in pixels."""
        return (np.asarray(points, float) - (0, 0.5)) * signer.scale * size + origin * size

    unit = signer.scale * size
    ink, dark = 0.018 * unit, tuple(INK * c for c in signer.clothes)
    skin_ink = tuple(INK * c for c in signer.skin)
    if signer.long_hair:
        canvas.capsule(at((0, HEAD)), at((0, HEAD + 0.09)), signer.head * 1.16 * unit, signer.hair)
    canvas.capsule(at((0, HEAD)), at((0, SHOULDER)), 0.048 * unit, skin_ink)
    wide = signer.shoulders - 0.045
    for grow, colour in ((ink, dark), (0, signer.clothes)):
        canvas.box(at((0, SHOULDER + 0.345)), (wide * unit, 0.30 * unit), 0.075 * unit + grow, colour)
    canvas.capsule(at((0, SHOULDER - 0.06)), at((0, SHOULDER - 0.045)), 0.045 * unit, signer.skin)
    canvas.capsule(at((0, HEAD)), at((0, HEAD + 0.018)), signer.head * unit, signer.hair)
    canvas.capsule(at((0, HEAD + 0.024)), at((0, HEAD + 0.04)), signer.head * 0.84 * unit, signer.skin)
    for x in (-0.042, 0.042):
        canvas.disc(at((x, HEAD + 0.008)), 0.0135 * unit, (34, 30, 26))
    canvas.capsule(at((-0.022, HEAD + 0.07)), at((0.022, HEAD + 0.07)), 0.009 * unit, (150, 70, 58))

    joints = at(skeleton(signer, tracks.places))
    for k, name in enumerate(SIDE):
        a, b, c = joints[:, 2 + 3 * k : 5 + 3 * k].swapaxes(0, 1)
        for grow, colour in ((ink, dark), (0, signer.clothes)):
            canvas.capsule(a, b, signer.arm * unit + grow, colour)
            canvas.capsule(b, c, signer.arm * 0.88 * unit + grow, colour)
        radius = signer.hand * unit * tracks.near[:, k]
        canvas.disc(c, radius, GLOVES[name])
    return canvas.pixels(), joints.astype(np.float32)


def skeleton(signer: Signer, places: np.ndarray) -> np.ndarray:
    """Points of a signer with hands at ``places`` (T, 2, 2), in heights of the figure.

    Returns:
        (T, 8, 2): nose, neck, then shoulder, elbow and hand of the left and of the right arm.
    """
    points = [(0, HEAD + 0.05), (0, SHOULDER - 0.05)]
    points = [np.broadcast_to(np.array(point), (len(places), 2)) for point in points]
    for k, side in enumerate(SIDE.values()):
        shoulder = np.array((side * signer.shoulders, SHOULDER + 0.02))
        elbow = _elbow(shoulder, places[:, k], side)
        points += [np.broadcast_to(shoulder, elbow.shape), elbow, places[:, k]]
    return np.stack(points, 1)


def _elbow(shoulder: np.ndarray, hand: np.ndarray, side: float) -> np.ndarray:
    """(T, 2) places of an elbow that points down and away from the body; too far a hand stretches the arm."""
    reach = hand - shoulder
    length = np.linalg.norm(reach, axis=-1, keepdims=True).clip(1e-4)
    along = (UPPER**2 - FORE**2 + length**2) / (2 * length)
    along = np.where(length > UPPER + FORE, length * UPPER / (UPPER + FORE), along)
    out = np.sqrt(np.maximum(UPPER**2 - along**2, 0)) * 0.48  # bent towards the viewer as well: it looks shorter
    direction = reach / length
    normal = np.stack([-direction[:, 1], direction[:, 0]], -1)
    normal *= np.where(normal @ (side, 0.35) < 0, -1, 1)[:, None]
    return shoulder + along * direction + out * normal


class _Canvas:
    """Pictures (T, H, W, 3) that shapes are laid over, one after another. Shapes that stand still are drawn once."""

    def __init__(self, frames: int, size: int, colour: tuple):
        middle = np.arange(size, dtype=np.float32) + 0.5
        self.x, self.y = middle[None, None, :], middle[None, :, None]
        shade = 1.03 - 0.08 * self.y[0] / size  # a wall in light from above
        self.rgb = np.broadcast_to((shade[..., None] * np.array(colour)).clip(0, 255), (frames, size, size, 3))
        self.rgb = self.rgb.astype(np.float32)

    def disc(self, centre: np.ndarray, radius, colour: tuple) -> None:
        """``centre`` (2,) or (T, 2) in pixels, ``radius`` a number or (T,)."""
        self.capsule(centre, centre, radius, colour)

    def capsule(self, a: np.ndarray, b: np.ndarray, radius, colour: tuple) -> None:
        """All that is closer than ``radius`` to the line from ``a`` to ``b``, (2,) or (T, 2) in pixels."""
        a, b = (np.asarray(end, np.float32).reshape(-1, 2) for end in (a, b))
        part = self._around(np.concatenate([a, b]), np.max(radius))
        (ax, ay), (dx, dy) = _columns(a), _columns(b - a)
        x, y = self.x[..., part[2]] - ax, self.y[:, part[1]] - ay
        along = ((x * dx + y * dy) / np.maximum(dx * dx + dy * dy, 1e-6)).clip(0, 1)
        self._cover(part, np.hypot(x - along * dx, y - along * dy), radius, colour)

    def box(self, centre: np.ndarray, half: tuple[float, float], radius: float, colour: tuple) -> None:
        """A rectangle of half sides ``half`` about ``centre`` (2,), with all that is closer than ``radius`` to it."""
        part = self._around(np.array([centre - half, centre + half]), radius)
        x, y = self.x[..., part[2]] - centre[0], self.y[:, part[1]] - centre[1]
        self._cover(part, np.hypot((np.abs(x) - half[0]).clip(0), (np.abs(y) - half[1]).clip(0)), radius, colour)

    def _around(self, points: np.ndarray, radius: float) -> tuple[slice, slice, slice]:
        """All frames, and the rows and columns that a shape of these points can touch."""
        low, high = np.floor(points.min(0) - radius - 1), np.ceil(points.max(0) + radius + 1)
        (left, top), (right, bottom) = (np.clip(end, 0, self.rgb.shape[1]).astype(int).tolist() for end in (low, high))
        return slice(None), slice(top, bottom), slice(left, right)

    def _cover(self, part: tuple, distance: np.ndarray, radius, colour: tuple) -> None:
        radius = np.asarray(radius, np.float32).reshape(-1, 1, 1)
        share = (radius - distance + 0.5).clip(0, 1)[..., None]  # (T or 1, H, W, 1) of each pixel
        self.rgb[part] += share * (np.array(colour, np.float32) - self.rgb[part])

    def pixels(self) -> np.ndarray:
        return np.rint(self.rgb).clip(0, 255).astype(np.uint8).transpose(0, 3, 1, 2)


def _columns(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of (T or 1, 2), each (T or 1, 1, 1)."""
    return points[:, :1, None], points[:, 1:, None]
