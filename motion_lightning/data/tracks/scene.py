"""Procedural episodes: coloured objects on a table, and one or two hands that move some of them."""

from collections.abc import Collection

import numpy as np

from motion_lightning.data.tracks.episodes import STILL, Episode, Hands, Window
from motion_lightning.data.tracks.hand import FOREARMS, HANDS, hand_solids
from motion_lightning.data.tracks.render import TABLE, Camera, Pose, Solid, Stage, cast
from motion_lightning.data.tracks.sentences import captions
from motion_lightning.data.tracks.staging import animate, pick, staged

VERSION = 1  # raised whenever a seed would give other episodes
TABLES = ((0.72, 0.58, 0.42), (0.62, 0.48, 0.36), (0.70, 0.70, 0.68), (0.50, 0.56, 0.58), (0.80, 0.74, 0.62))
SKINS = ((0.93, 0.76, 0.64), (0.82, 0.62, 0.48), (0.62, 0.44, 0.32), (0.42, 0.29, 0.21))
SLEEVES = ((0.25, 0.28, 0.34), (0.38, 0.18, 0.20), (0.20, 0.32, 0.28), (0.55, 0.55, 0.58))
IDLE_HAND = 0.4  # how often the hand that does nothing lies there
SHARES = {"moved": 0.45, "hand": 0.15, "still": 0.2, "table": 0.2}  # where the points are drawn


def scene_episode(
    rng: np.random.Generator,
    name: str = "scene",
    *,
    size: int = 64,
    frames: int = 20,
    starts: tuple[int, ...] = (0, 5, 10),
    steps: int = 10,
    points: int = 48,
    texts: int = 3,
    shown: Collection[int] | None = None,
) -> Episode:
    """An episode of ``frames`` pictures (size × size), whose windows of ``steps`` frames begin at ``starts``.

    All points stay within the image. ``program`` lists the moves; the windows' ``objects`` number the objects.
    Drawing takes nearly all of the time: frames that are not ``shown``, and no window's first, stay black.
    """
    camera = Camera(np.radians(rng.uniform(55, 61)), rng.uniform(0.63, 0.69))
    things, moves = staged(rng)
    skin, sleeve = pick(rng, SKINS), pick(rng, SLEEVES)
    hands = sorted({move.hand for move in moves} | (set(HANDS) if rng.random() < IDLE_HAND else set()))
    poses = animate(things, moves, hands, frames, rng)

    moving = {move.object for move in moves}
    stands = [thing.solid for i, thing in enumerate(things) if i not in moving]
    acts = [things[i].solid for i in sorted(moving)]
    acts += [solid for hand in hands for solid in hand_solids(hand, skin, sleeve)]
    stage = Stage(camera, size, pick(rng, TABLES), rng)
    still = stage.draw(stage.layer, stands, poses[0])
    drawn = range(frames) if shown is None else {*shown, *starts}
    layers = {t: stage.draw(still, acts, poses[t]) for t in drawn}
    video, depth = np.zeros((frames, size, size, 3), np.uint8), np.zeros((frames, size, size), np.float32)
    for t, layer in layers.items():
        video[t], depth[t] = layer.picture(), layer.depth_map()

    def window(start: int) -> Window:
        span = poses[start : start + steps]
        body, local = _points(rng, camera, layers[start].body, stands + acts, span[0], moving)
        tracks = camera.project(np.stack([_world(local, body, pose) for pose in span])).astype(np.float32)  # (T, M, 3)
        inside = np.flatnonzero(((tracks[..., :2] >= 0) & (tracks[..., :2] <= 1)).all((0, 2)))
        inside = inside[:points] if len(inside) >= points else np.resize(inside, points)
        tracks = tracks[:, inside]
        return Window(start, tracks[0], tracks - tracks[0], _wrists(camera, hands, span), body[inside].astype(np.int16))

    return Episode(
        name,
        video,
        depth,
        captions=captions(moves, rng, texts),
        windows=[window(start) for start in starts],
        program=[move.to_dict() for move in moves],
    )


# ---- what is measured


def _points(
    rng: np.random.Generator,
    camera: Camera,
    seen: np.ndarray,
    solids: list[Solid],
    poses: dict[int, Pose],
    moving: set[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Points of what is seen: their bodies (M,) and places in the bodies (M, 3), in random order."""
    kinds = {
        "moved": np.isin(seen, list(moving)),
        "hand": np.isin(seen, list(HANDS.values())),
        "still": (seen >= 0) & ~np.isin(seen, list(moving)),
        "table": seen == TABLE,
    }
    there = {kind: np.argwhere(mask) for kind, mask in kinds.items() if mask.any()}
    shares = np.array([SHARES[kind] for kind in there])
    drawn = rng.multinomial(120, shares / shares.sum())
    cells = np.concatenate([c[rng.integers(len(c), size=n)] for c, n in zip(there.values(), drawn, strict=True)])
    uv = (cells[:, ::-1] + rng.uniform(0, 1, cells.shape)) / len(seen)
    depth, body = cast(camera, uv, solids, poses)
    world = camera.position + depth[:, None] * camera.rays(uv)
    order = rng.permutation(np.flatnonzero(~np.isin(body, list(FOREARMS.values()))))
    body, world = body[order], world[order]
    local = world.copy()
    for number in set(body.tolist()) - {TABLE}:
        pose, on = poses[number], body == number
        local[on] = (world[on] - pose.place) @ pose.turn
    return body, local


def _world(local: np.ndarray, body: np.ndarray, poses: dict[int, Pose]) -> np.ndarray:
    world = local.copy()  # the table stays
    for number in set(body.tolist()) - {TABLE}:
        world[body == number] = poses[number].apply(local[body == number])
    return world


def _wrists(camera: Camera, hands: list[str], poses: list[dict[int, Pose]]) -> Hands:
    wrists = Hands.none(len(poses))
    for hand in hands:
        side, body = list(HANDS).index(hand), HANDS[hand]
        place = camera.project(np.stack([pose[body].place for pose in poses])).astype(np.float32)  # (T, 3)
        turn = np.stack([camera.axes @ pose[body].turn for pose in poses])  # (T, 3, 3)
        wrists.present[side] = True
        wrists.position[side], wrists.rotation[side] = place[0], _sixd(turn[0])
        wrists.position_displacements[:, side] = place - place[0]
        wrists.rotation_displacements[:, side] = _sixd(turn @ turn[0].T)
        wrists.rotation_displacements[0, side] = STILL
    return wrists


def _sixd(turn: np.ndarray) -> np.ndarray:
    return np.concatenate([turn[..., 0], turn[..., 1]], -1)
