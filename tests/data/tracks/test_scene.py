"""Procedural scenes: what is drawn, what is tracked and what is said are the same."""

import re

import numpy as np
import pytest

from motion_lightning.data.tracks.hand import HANDS
from motion_lightning.data.tracks.program import ACTIONS, WAYS, Move, follows
from motion_lightning.data.tracks.render import TABLE, Camera, Pose, Solid, Stage, cast
from motion_lightning.data.tracks.scene import scene_episode
from motion_lightning.data.tracks.sentences import NOUNS, captions
from motion_lightning.data.tracks.staging import has_room, staged
from motion_lightning.motion.rotations import sixd_to_matrix


def scene(seed: int, **settings):
    return scene_episode(np.random.default_rng(seed), **settings)


@pytest.fixture(scope="module")
def whole():
    """Scenes with one window over all of their frames."""
    return [scene(seed, size=32, starts=(0,), steps=20, shown=()) for seed in range(40)]


def test_a_seed_makes_one_episode():
    one, two, other = scene(3, size=24), scene(3, size=24), scene(4, size=24)
    np.testing.assert_array_equal(one.video, two.video)
    np.testing.assert_array_equal(one.windows[1].displacements, two.windows[1].displacements)
    assert one.captions == two.captions and one.program == two.program
    assert not np.array_equal(one.video, other.video)


def test_frames_that_are_not_shown_change_nothing_else():
    full, part = scene(5, size=24), scene(5, size=24, shown=(4,))
    np.testing.assert_array_equal(part.video[[0, 4, 5, 10]], full.video[[0, 4, 5, 10]])
    assert not part.video[[1, 2, 3, 19]].any()
    np.testing.assert_array_equal(part.windows[2].query, full.windows[2].query)


def test_points_go_where_the_program_says(whole):
    moves = 0
    for episode in whole:
        window = episode.windows[0]
        for move in (Move(**m) for m in episode.program):
            on = window.objects == move.object
            assert on.sum() > 3
            assert follows(move, window.query[on], window.displacements[-1, on]), move
            assert not follows(move.mirrored(), window.query[on], window.displacements[-1, on]) or move.way in (
                "up", "away", "towards",
            )  # fmt: skip
            moves += 1
        still = ~np.isin(window.objects, [move["object"] for move in episode.program] + list(HANDS.values()))
        np.testing.assert_array_equal(window.displacements[:, still], 0)
    assert moves > 40


def test_every_action_and_way_happens(whole):
    seen = {(m["action"], m["way"]) for episode in whole for m in episode.program}
    more = (scene(seed, size=16, starts=(0,), steps=2, shown=()) for seed in range(100, 140))
    seen |= {(m["action"], m["way"]) for episode in more for m in episode.program}
    assert seen == {(action, way) for action in ACTIONS for way in WAYS[action]}


def test_points_stay_in_the_picture_and_start_at_rest(whole):
    for episode in whole:
        window = episode.windows[0]
        at = window.query + window.displacements
        assert ((at[..., :2] >= 0) & (at[..., :2] <= 1)).all()
        assert ((at[..., 2] > 0) & (at[..., 2] < 1)).all()  # metres: the table is near
        np.testing.assert_array_equal(window.displacements[0], 0)


def test_depth_of_a_point_is_that_of_its_pixel():
    episode = scene(7, size=64)
    for window in episode.windows:
        column, row = (window.query[:, :2].T * 64).astype(int)
        seen = episode.depth[window.start, row, column]
        assert np.median(abs(seen - window.query[:, 2])) < 0.006  # a pixel of the table is 9 mm
        assert (seen - window.query[:, 2] < 0.05).all()


def test_hands_are_where_they_are_drawn(whole):
    for episode in whole:
        window = episode.windows[0]
        hands = window.hands
        assert {move["hand"] for move in episode.program} <= {s for s, p in zip(HANDS, hands.present, strict=True) if p}
        for side, (name, body) in enumerate(HANDS.items()):
            on = window.objects == body
            if hands.present[side] and on.any():
                assert np.linalg.norm(window.query[on, :2] - hands.position[side, :2], axis=-1).max() < 0.2
                assert hands.rotation[side][0] > 0.5  # the hand's x points to the right of the image, palm down
            elif not hands.present[side]:
                assert not on.any() and not hands.position[side].any(), name


def test_wrist_turns_are_relative_rotations(whole):
    import torch

    for episode in whole[:10]:
        hands = episode.windows[0].hands
        turns = sixd_to_matrix(torch.from_numpy(hands.rotation_displacements))
        now = turns @ sixd_to_matrix(torch.from_numpy(hands.rotation))
        eye = torch.eye(3).expand_as(now)
        torch.testing.assert_close(now @ now.mT, eye, atol=1e-5, rtol=0)
        torch.testing.assert_close(turns[0], eye[0], atol=0, rtol=0)


def test_captions_say_all_of_the_program(whole):
    for episode in whole:
        assert len(set(episode.captions)) == 3
        for text in episode.captions:
            text = text.lower().replace("anti", "counter").replace("counter-", "counter")
            for move in (Move(**m) for m in episode.program):
                assert f"{move.hand} hand" in text
                assert re.search(rf"{move.colour} ({NOUNS[move.kind]})", text)
                if move.action == "turn":
                    assert re.search(rf"\b{move.way}\b", text)
                elif move.way in ("left", "right"):
                    said = re.findall(r"\b(left|right)(?! hand)", text)
                    assert move.way in said
            assert not re.search(r"[A-Z\[\]]|  |\b(O|W|side) hand", text)


def test_captions_vary():
    rng = np.random.default_rng(0)
    move = Move("left", "push", "right", 0, "red", "block", 0.1)
    assert len(set(captions([move], rng, 100))) == 100


def test_camera_projects_its_own_rays():
    camera = Camera(1.0, 0.6)
    uv = np.random.default_rng(0).random((50, 2))
    depth = np.linspace(0.2, 2, 50)
    np.testing.assert_allclose(
        camera.project(camera.position + depth[:, None] * camera.rays(uv)), np.column_stack([uv, depth]), atol=1e-12
    )
    np.testing.assert_allclose(camera.project(np.zeros(3)), [0.5, 0.5, 0.6])
    assert camera.project(np.array([0.1, 0, 0]))[0] > 0.5 and camera.project(np.array([0, 0.1, 0]))[1] < 0.5


@pytest.mark.parametrize("kind", ["box", "ellipsoid", "cylinder"])
def test_solids_are_hit_on_their_surface(kind):
    camera, size = Camera(1.0, 0.6), np.array([0.05, 0.05, 0.04])
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    solid, pose = Solid(kind, size, (1, 0, 0)), {0: Pose(turn, np.array([0.02, 0.03, 0.04]))}
    middle = (np.arange(80) + 0.5) / 80
    uv = np.stack(np.meshgrid(middle, middle), -1).reshape(-1, 2)
    depth, body = cast(camera, uv, [solid], pose)
    hit = body == 0
    assert 200 < hit.sum() < 3000
    local = (camera.position + depth[hit, None] * camera.rays(uv[hit]) - pose[0].place) @ turn / size
    edge = {
        "box": abs(local).max(-1),
        "ellipsoid": np.linalg.norm(local, axis=-1),
        "cylinder": np.maximum(np.linalg.norm(local[:, :2], axis=-1), abs(local[:, 2])),
    }[kind]
    np.testing.assert_allclose(edge, 1, atol=1e-4)
    world = camera.position + depth[~hit, None] * camera.rays(uv[~hit])
    np.testing.assert_allclose(world[:, 2], 0, atol=1e-9)  # the table
    layer = Stage(camera, 40, (0.5, 0.5, 0.5), np.random.default_rng(0))
    drawn = layer.draw(layer.layer, [solid], pose)
    np.testing.assert_array_equal(drawn.body.ravel(), body)  # the same through windows, in single precision
    np.testing.assert_allclose(drawn.depth.ravel(), depth, atol=1e-5)
    assert (drawn.colour[drawn.body == TABLE] < layer.layer.colour[drawn.body == TABLE] - 0.05).any()  # a shadow


@pytest.mark.parametrize("number", [293, 5, 6])
def test_moves_that_leave_no_room_are_drawn_anew(number):
    """Number 293 of the default corpus first draws two moves that cross wherever the things stand."""
    rng = np.random.default_rng([0, 0, number])  # seed, training split, number
    things, moves = staged(rng)
    assert has_room(things, moves)
