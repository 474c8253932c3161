"""A small ray caster: solids on a table under one lamp, with their shadows, and the depth of every pixel.

World: x to the right of the image, y away from the camera, z up, in metres; the table is z = 0. Camera frame:
x right, y down, z forward, so that z is the depth. Image coordinates u, v are shares of the width and height.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

LAMP = np.array([-0.35, -0.25, 0.9]) / np.linalg.norm([-0.35, -0.25, 0.9])  # towards it
AMBIENT, SHADE = 0.5, 0.62  # light that comes from everywhere; what a shadow leaves
TABLE = -1  # the body of the table
SAMPLES = 2  # rays along each side of a pixel
CORNERS = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), -1).reshape(8, 3)


@dataclass(frozen=True)
class Camera:
    """Looks down at the origin, which lies in the middle of the image."""

    elevation: float  # radians above the table
    distance: float  # metres from the origin
    focal: float = 1.25  # in widths of the image

    @cached_property
    def position(self) -> np.ndarray:
        return self.distance * np.array([0, -np.cos(self.elevation), np.sin(self.elevation)])

    @cached_property
    def axes(self) -> np.ndarray:
        """(3, 3): rows are the camera's x, y, z in the world, so ``axes @ v`` is v as the camera sees it."""
        sin, cos = np.sin(self.elevation), np.cos(self.elevation)
        return np.array([[1, 0, 0], [0, -sin, -cos], [0, cos, -sin]])

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) as (u, v, depth in metres)."""
        uvz = (points - self.position) @ self.axes.T
        uvz[..., :2] *= self.focal / uvz[..., 2:]
        uvz[..., :2] += 0.5
        return uvz

    def rays(self, uv: np.ndarray) -> np.ndarray:
        """Directions (..., 3) in the world through image points (..., 2), one metre deep each."""
        x, y = np.moveaxis((uv - 0.5) / self.focal, -1, 0)
        return np.stack([x, y, np.ones_like(x)], -1) @ self.axes


@dataclass(frozen=True, eq=False)
class Solid:
    """A box, an ellipsoid or a cylinder along its z, fixed to a body."""

    kind: str
    size: np.ndarray  # (3,) half extents, metres
    colour: tuple[float, float, float]  # 0 … 1
    second: tuple[float, float, float] | None = None  # where the pattern is; None: plain
    centre: np.ndarray = field(default_factory=lambda: np.zeros(3))  # in the body
    turn: np.ndarray = field(default_factory=lambda: np.eye(3))  # solid → body
    body: int = 0
    casts: bool = True  # a shadow


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a body is: world = turn @ local + place."""

    turn: np.ndarray  # (3, 3)
    place: np.ndarray  # (3,)

    def apply(self, local: np.ndarray) -> np.ndarray:
        return local @ self.turn.T + self.place


@dataclass(eq=False)
class Layer:
    """What each ray of a picture hits first; (S, S) and (S, S, 3)."""

    depth: np.ndarray
    body: np.ndarray
    colour: np.ndarray

    def copy(self) -> "Layer":
        return Layer(self.depth.copy(), self.body.copy(), self.colour.copy())

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8, the mean of each pixel's rays."""
        mean = sum(self.colour[a::SAMPLES, b::SAMPLES] for a in range(SAMPLES) for b in range(SAMPLES)) / SAMPLES**2
        return (mean.clip(0, 1) * 255 + 0.5).astype(np.uint8)

    def depth_map(self) -> np.ndarray:
        """(H, W) float32 metres: the nearest of each pixel's rays."""
        s = len(self.depth) // SAMPLES
        return self.depth.reshape(s, SAMPLES, s, SAMPLES).min((1, 3)).astype(np.float32)


class Stage:
    """The camera's rays, the table, and what stands still on it; ``draw`` adds what moves."""

    def __init__(self, camera: Camera, size: int, colours: tuple, grain: np.random.Generator):
        self.camera, self.side = camera, size * SAMPLES
        middle = (np.arange(self.side) + 0.5) / self.side
        uv = np.stack(np.broadcast_arrays(middle[None, :], middle[:, None]), -1)
        self.directions = camera.rays(uv).astype(np.float32)  # (S, S, 3)
        self.eye = camera.position.astype(np.float32)
        depth = -self.eye[2] / self.directions[..., 2]
        planks = np.floor(depth * self.directions[..., 0] / 0.11).astype(int) % 2  # boards along y
        shine = 1 + 0.05 * (planks - 0.5) + 0.02 * grain.standard_normal(depth.shape)
        light = AMBIENT + (1 - AMBIENT) * LAMP[2]
        colour = np.asarray(colours) * shine[..., None] * light
        self.layer = Layer(depth, np.full(depth.shape, TABLE), colour.astype(np.float32))

    def draw(self, layer: Layer, solids: list[Solid], poses: dict[int, Pose]) -> Layer:
        """A copy of ``layer`` with more solids, and their shadows on what was there."""
        new = layer.copy()
        placed = [(solid, *_place(solid, poses[solid.body])) for solid in solids]
        lit = np.ones(layer.depth.shape, np.float32)
        for solid, turn, centre in placed:
            if not solid.casts:
                continue
            corners = centre + (CORNERS * solid.size) @ turn.T
            window = self._window(np.concatenate([corners, corners - LAMP * (corners[:, 2:] / LAMP[2])]))
            start = self.eye - centre.astype(np.float32) + layer.depth[window][..., None] * self.directions[window]
            hit = np.isfinite(distance(solid.kind, start @ turn, LAMP.astype(np.float32) @ turn, solid.size))
            lit[window][hit] = SHADE
        new.colour *= lit[..., None]
        for solid, turn, centre in placed:
            window = self._window(centre + (CORNERS * solid.size) @ turn.T)
            rays = self.directions[window] @ turn
            local = (self.eye - centre.astype(np.float32)) @ turn
            t = distance(solid.kind, local, rays, solid.size)
            seen = t < new.depth[window]
            at = local + t[seen][:, None] * rays[seen]
            new.colour[window][seen] = _shade(solid, at, turn)
            new.depth[window][seen] = t[seen]
            new.body[window][seen] = solid.body
        return new

    def _window(self, corners: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns of the rays that may meet the hull of some points (K, 3)."""
        uvz = self.camera.project(corners)
        if uvz[:, 2].min() < 0.05:  # beside the camera: it may cover anything
            return slice(0, self.side), slice(0, self.side)
        left, top = (max(int(low * self.side), 0) for low in uvz[:, :2].min(0))
        right, bottom = (max(int(high * self.side) + 1, 0) for high in uvz[:, :2].max(0))
        return slice(top, bottom), slice(left, right)


def cast(camera: Camera, uv: np.ndarray, solids: list[Solid], poses: dict[int, Pose]) -> tuple[np.ndarray, np.ndarray]:
    """Depth (K,) and body (K,) of what is seen at image points (K, 2); the table where nothing else is."""
    rays = camera.rays(uv)
    depth, body = -camera.position[2] / rays[:, 2], np.full(len(uv), TABLE)
    for solid in solids:
        turn, centre = _place(solid, poses[solid.body])
        t = distance(solid.kind, (camera.position - centre) @ turn, rays @ turn, solid.size)
        nearer = t < depth
        depth, body = np.where(nearer, t, depth), np.where(nearer, solid.body, body)
    return depth, body


def _place(solid: Solid, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    return (pose.turn @ solid.turn).astype(np.float32), pose.apply(solid.centre)


def _shade(solid: Solid, at: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Colours (K, 3) of points (K, 3) of the surface, in the solid's own frame."""
    colour = np.asarray(solid.colour, np.float32)
    if solid.second is not None:  # halves of a ball, a stripe on the others: a turn can be seen
        marked = at[:, 0] > 0 if solid.kind == "ellipsoid" else abs(at[:, 0]) < 0.3 * solid.size[0]
        colour = np.where(marked[:, None], np.asarray(solid.second, np.float32), colour)
    if solid.kind == "ellipsoid":
        normal = at / solid.size**2
    elif solid.kind == "box":
        outward = abs(at) / solid.size
        normal = np.sign(at) * (outward == outward.max(-1, keepdims=True))
    else:
        lid = abs(at[:, 2:]) > solid.size[2] * (1 - 1e-4)
        normal = np.where(lid, at * (0, 0, 1), at * (1, 1, 0))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return colour * (AMBIENT + (1 - AMBIENT) * (normal @ (LAMP @ turn)).clip(0))[:, None]


def distance(kind: str, origin: np.ndarray, ray: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Where rays (origin and direction, (..., 3), local) first meet a solid of half extents ``size``.

    In lengths of the ray, (...); infinite where it misses, or starts inside.
    """
    ray = ray + np.float32(1e-12)  # no division by zero
    size = size.astype(np.float32)
    if kind == "ellipsoid":
        return _ball(origin / size, ray / size)
    if kind == "box":
        one, two = (-size - origin) / ray, (size - origin) / ray
        near, far = np.minimum(one, two).max(-1), np.maximum(one, two).min(-1)
        return np.where((near < far) & (near > 0), near, np.inf)
    # a cylinder: the nearer of its side, where that lies between the lids, and a lid within the circle
    side = _ball(origin[..., :2] / size[:2], ray[..., :2] / size[:2])
    height = origin[..., 2] + np.where(np.isfinite(side), side, 0) * ray[..., 2]
    side = np.where(abs(height) <= size[2], side, np.inf)
    lid = (np.copysign(size[2], -ray[..., 2]) - origin[..., 2]) / ray[..., 2]
    at = (origin[..., :2] + lid[..., None] * ray[..., :2]) / size[:2]
    return np.minimum(side, np.where((lid > 0) & (_dot(at, at) <= 1), lid, np.inf))


def _ball(origin: np.ndarray, ray: np.ndarray) -> np.ndarray:
    """Where rays enter the unit ball, or circle."""
    a, b, c = _dot(ray, ray), _dot(origin, ray), _dot(origin, origin) - 1
    inside = b * b - a * c
    near = (-b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside > 0) & (near > 0), near, np.inf)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i", a, b)
