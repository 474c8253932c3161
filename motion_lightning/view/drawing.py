"""Pictures of one clip, drawn with Pillow: the camera, proportions and colours of the viewer's canvas."""

from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from motion_lightning.view.body import HEAD_OFFSET, HEAD_RADIUS, Figure
from motion_lightning.view.camera import FIELD, Camera, fit

COLOURS = {  # the light ones of viewer.css
    "left": (217, 83, 30), "right": (28, 111, 181), "centre": (93, 104, 118), "panel": (243, 242, 238),
    "grid": (210, 208, 200), "trail": (138, 99, 184), "shadow": (40, 38, 47),
}  # fmt: skip
FOLLOW_BEYOND = 5.0  # metres: a path so long makes its walker tiny, so the camera goes along
FINE = 2  # drawn so much larger, then averaged: Pillow's polygons have hard edges
ARC = 7  # points of half a circle
# An unlit edge, the colour itself, a highlight: (share of the radius, shift towards the light, tint).
TONES = ((1.0, 0.0, (0, 0.16)), (0.84, 0.14, (0, 0.0)), (0.42, 0.4, (255, 0.18)))


def travels(joints: np.ndarray) -> bool:
    """Whether the root of (T, J, 3) leaves the room that a still camera can show well."""
    return float(np.linalg.norm(np.ptp(joints[:, 0][:, [0, 2]], axis=0))) > FOLLOW_BEYOND


def smooth_root(joints: np.ndarray, fps: float) -> np.ndarray:
    """(T, J, 3) → (T, 3): the root on the floor, averaged over half a second."""
    reach = max(1, int(fps / 4))
    weight = 1 + np.cos(np.pi * np.arange(-reach, reach + 1) / max(fps / 4, 1))
    root = np.pad(joints[:, 0] * (1, 0, 1), ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(axis, weight / weight.sum(), "valid") for axis in root.T], -1)


def frame_all(joints: np.ndarray, figure: Figure, away: np.ndarray, aspect: float = 1.0) -> Camera:
    """Camera that shows all poses of (T, J, 3), with shadow and head, after `away` (T, 3) is taken off."""
    every = -(-len(joints) // 48)
    points = (joints - away[:, None])[::every].astype(float)
    floor = points * (1, 0, 1)
    if figure.head is not None:
        points[:, figure.head, 1] += 0.2
    return fit(np.concatenate([points, floor]).reshape(-1, 3), aspect)


def draw_clip(joints: np.ndarray, figure: Figure, camera: Camera, away: np.ndarray, fps: float, size: int) -> Iterator:
    """Square pictures of `size` pixels, one a frame of (T, J, 3); `away` (T, 3) moves the camera along."""
    wide = size * FINE
    still = not away.any()
    floor = None
    for i, pose in enumerate(joints):
        if floor is None or not still:
            floor = Image.new("RGB", (wide, wide), COLOURS["panel"])
            _floor(ImageDraw.Draw(floor), camera, away[i], wide)
        picture = floor.copy()
        pen = ImageDraw.Draw(picture)

        def at(points: np.ndarray, offset: np.ndarray = away[i]) -> tuple[np.ndarray, np.ndarray]:
            return camera.project(points - offset, wide, wide)

        path = joints[:, 0] * (1, 0, 1)
        _path(pen, at(path)[0], i, fps)
        _shadow(picture, pose, figure, at)
        _body(pen, pose, figure, at)
        yield picture.reduce(FINE)


def mix(colour: tuple, other: tuple, share: float) -> tuple[int, int, int]:
    """`share` of the other colour in the first."""
    return tuple(round(a + share * (b - a)) for a, b in zip(colour, other, strict=True))


def _floor(pen: ImageDraw.ImageDraw, camera: Camera, away: np.ndarray, wide: int) -> None:
    radius = float(np.clip(camera.distance * 0.75, 3, 14))
    centre = np.rint(camera.target + away)
    steps = np.arange(-int(radius), int(radius) + 1)
    line, step = (g.ravel() for g in np.meshgrid(steps, steps[:-1]))
    fade = 1 - np.hypot(line, step + 0.5) / radius
    zero = np.zeros_like(line)
    for ends in (((line, step), (line, step + 1)), ((step, line), (step + 1, line))):
        a, b = (np.stack([x + centre[0], zero, z + centre[2]], -1) - away for x, z in ends)
        (a, sa), (b, sb) = camera.project(a, wide, wide), camera.project(b, wide, wide)
        near = wide / camera.distance * 12  # pixels per metre of what is behind the eye
        for k in np.flatnonzero((fade > 0) & (sa < near) & (sb < near)):
            colour = mix(COLOURS["panel"], COLOURS["grid"], min(1, 1.6 * fade[k]))
            pen.line((*a[k], *b[k]), fill=colour, width=FINE)


def _path(pen: ImageDraw.ImageDraw, path: np.ndarray, now: int, fps: float) -> None:
    if len(path) == 1:  # a single pose goes nowhere
        return
    panel, trail = COLOURS["panel"], COLOURS["trail"]
    pen.line(path.ravel().tolist(), fill=mix(panel, trail, 0.22), width=round(1.5 * FINE), joint="curve")
    if now:
        pen.line(
            path[: now + 1].ravel().tolist(),
            fill=mix(panel, trail, 0.9),
            width=round(2.2 * FINE),
            joint="curve",
        )
    for x, y in path[: now + 1 : max(1, round(fps))]:
        pen.circle((x, y), 2.6 * FINE, fill=trail)


def _shadow(picture: Image.Image, pose: np.ndarray, figure: Figure, at) -> None:
    spots, scale = at(pose * (1, 0, 1))
    coarse, metre = 2 * FINE, float(scale[0])
    pad = 0.2 * metre
    left, top = np.floor(np.clip(spots.min(0) - pad, 0, picture.width - 1)).astype(int)
    right, bottom = np.ceil(np.clip(spots.max(0) + pad, left + 1, None)).astype(int)
    right, bottom = min(right, picture.width), min(bottom, picture.height)
    if right <= left or bottom <= top:
        return
    mask = Image.new("L", (-(-(right - left) // coarse), -(-(bottom - top) // coarse)))
    pen = ImageDraw.Draw(mask)
    spots = (spots - (left, top)) / coarse
    for bone in spots[figure.bones].reshape(-1, 4).tolist():
        pen.line(bone, fill=60, width=max(1, round(0.1 * metre / coarse)))
    mask = mask.filter(ImageFilter.GaussianBlur(0.04 * metre / coarse)).resize((right - left, bottom - top))
    picture.paste(COLOURS["shadow"], (int(left), int(top)), mask)


def _body(pen: ImageDraw.ImageDraw, pose: np.ndarray, figure: Figure, at) -> None:
    spots, scale = at(pose)
    child, parent = np.array(figure.bones).T
    radius = np.array(figure.radii)
    a, b = spots[parent], spots[child]
    ra, rb = radius[parent] * scale[parent], radius[child] * scale[child]
    near = (scale[parent] + scale[child]) / 2
    sides = [figure.sides[j] for j in child]
    if figure.head is not None:
        up = pose[figure.head] - pose[figure.neck]
        spot, size = at(pose[figure.head] + HEAD_OFFSET * up / max(np.linalg.norm(up), 1e-6))
        a, b = np.vstack([a, spot]), np.vstack([b, spot])
        ra, rb = np.append(ra, HEAD_RADIUS * size), np.append(rb, HEAD_RADIUS * size)
        near, sides = np.append(near, size * 1.01), [*sides, "centre"]
    along = b - a
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    normal = np.stack([-along[:, 1], along[:, 0]], -1) / np.maximum(length, 1e-6)
    normal *= np.where(normal @ (0.5, 1.0) > 0, -1, 1)[:, None]  # towards the light, upper left
    normal[length[:, 0] < 1e-3] = (-0.6, -0.75)
    shapes = [
        _capsules(a + shift * ra[:, None] * normal, b + shift * rb[:, None] * normal, share * ra, share * rb)
        for share, shift, _ in TONES
    ]
    shapes = np.stack(shapes).reshape(len(TONES), len(a), -1).tolist()
    # A rim along the sides only: limbs stay apart where they cross, and joints have no seam.
    outer, inner = (ra[:, None] + 1.5 * FINE) * normal, (rb[:, None] + 1.5 * FINE) * normal
    rims = np.concatenate([a + outer, b + inner, b - inner, a - outer], -1).tolist()
    behind = 1 / near - 1 / scale[0]  # of the root, in units of the focal length
    fog = np.clip(0.16 + 0.3 * behind * pen.im.size[1] / 2 / np.tan(FIELD / 2), 0, 0.42)[:, None]
    colours = np.array([COLOURS[side] for side in sides]) * (1 - fog) + np.array(COLOURS["panel"]) * fog
    tints = [np.rint(colours + share * (tint - colours)).astype(int).tolist() for _, _, (tint, share) in TONES]
    for k in np.argsort(near).tolist():  # far ones first
        pen.polygon(rims[k], fill=COLOURS["panel"])
        for outlines, tint in zip(shapes, tints, strict=True):
            pen.polygon(outlines[k], fill=tuple(tint[k]))


def _capsules(a: np.ndarray, b: np.ndarray, ra: np.ndarray, rb: np.ndarray) -> np.ndarray:
    """Outlines (N, 2 * ARC, 2) of two circles and their outer tangents."""
    along = b - a
    length = np.maximum(np.linalg.norm(along, axis=-1), 1e-6)
    turn = np.arctan2(along[:, 1], along[:, 0])[:, None]
    opening = np.arccos(np.clip((ra - rb) / length, -1, 1))[:, None]
    part = np.linspace(0, 1, ARC)
    back, front = turn + opening + part * 2 * (np.pi - opening), turn - opening + part * 2 * opening

    def circle(angle: np.ndarray, centre: np.ndarray, radius: np.ndarray) -> np.ndarray:
        return centre[:, None] + radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)

    return np.concatenate([circle(back, a, ra), circle(front, b, rb)], 1)
