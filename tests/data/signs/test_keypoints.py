"""One layout for all sources, in shoulder widths; gaps, rates and depths."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.signs.keypoints import (
    HANDS,
    LAYOUT,
    LIMBS,
    SOURCES,
    Keypoints,
    conform,
    fill_gaps,
    normalise,
    resample,
    to_layout,
)
from motion_lightning.data.signs.pose_file import read_pose
from motion_lightning.errors import UserError


def someone(frames: int = 12, dims: int = 3, seed: int = 0) -> Keypoints:
    """The layout with shoulders 2 apart about (5, 3), everything else at random."""
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 1, (frames, 50, dims)).astype(np.float32)
    points[:, [2, 5]] = 0
    points[:, 2, 0], points[:, 5, 0] = 1, -1
    points += np.array((5, 3, 1)[:dims], np.float32)
    return Keypoints(points, np.ones((frames, 50), np.float32), 25.0)


def test_the_layout_has_a_tree_of_limbs():
    assert len(LAYOUT) == 50 == len(set(LAYOUT)) and len(LIMBS) == 49
    reached = {1}
    for _ in range(10):
        reached |= {b for a, b in LIMBS if a in reached}
    assert reached == set(range(50))
    assert LAYOUT[HANDS["left"]][0] == "left_hand_wrist" and LAYOUT[HANDS["right"]][-1] == "right_hand_little_4"


@pytest.mark.parametrize("body", SOURCES)
def test_points_are_found_by_their_names(body):
    parts, hands = SOURCES[body]
    names = ["FACE:a", *(f"{body}:{p}" for p in parts if p), f"{body}:other"]
    names += [f"{hand}:{k}" for hand in hands[::-1] for k in range(21)]  # the right hand first
    points = np.arange(len(names) * 2, dtype=np.float32).reshape(1, -1, 2)
    layout = to_layout(Keypoints(points, np.ones((1, len(names))), 25, tuple(names)))
    for k, part in enumerate(parts):
        if part:
            np.testing.assert_array_equal(layout.points[0, k], points[0, names.index(f"{body}:{part}")])
    np.testing.assert_array_equal(layout.points[0, 8], points[0, names.index(f"{hands[0]}:0")])
    np.testing.assert_array_equal(layout.points[0, 49], points[0, names.index(f"{hands[1]}:20")])
    if "Neck" not in parts:
        np.testing.assert_array_equal(layout.points[0, 1], layout.points[0, [2, 5]].mean(0))


def test_missing_parts_are_unseen_and_missing_shoulders_an_error():
    names = tuple(f"POSE_LANDMARKS:{n}" for n in ("LEFT_SHOULDER", "RIGHT_SHOULDER"))
    keypoints = Keypoints(np.array([[[2, 0], [-2, 0]]], np.float32), np.array([[1, 1]], np.float32), 25, names)
    layout = to_layout(keypoints)
    assert set(np.flatnonzero(layout.confidence[0])) == {1, 2, 5} and not layout.points[layout.confidence == 0].any()
    with pytest.raises(UserError, match=r"a: .*no LEFT_SHOULDER"):
        to_layout(Keypoints(keypoints.points[:, :1], keypoints.confidence[:, :1], 25, names[1:]), "a")
    with pytest.raises(UserError, match="a: components HAND"):
        to_layout(Keypoints(keypoints.points, keypoints.confidence, 25, ("HAND:a", "HAND:b")), "a")
    with pytest.raises(UserError, match="a: LEFT_HAND_LANDMARKS has 1 points"):
        to_layout(Keypoints(np.zeros((1, 3, 2)), np.ones((1, 3)), 25, (*names, "LEFT_HAND_LANDMARKS:0")), "a")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), scale=st.floats(0.01, 500), shift=st.floats(-500, 500))
def test_place_and_distance_of_the_camera_do_not_matter(seed, scale, shift):
    a = someone(seed=seed)
    b = Keypoints((a.points * scale + shift).astype(np.float32), a.confidence, a.fps)
    u, v = normalise(a), normalise(b)
    np.testing.assert_allclose(u.points, v.points, atol=2e-4 + 1e-5 * abs(shift) / scale)
    np.testing.assert_allclose(u.points[:, [2, 5]].mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(u.points[:, 2, 0] - u.points[:, 5, 0], 1, atol=1e-5)


def test_without_shoulders_there_is_no_scale():
    a = someone()
    a.confidence[:6, 2], a.confidence[6:, 5] = 0, 0
    with pytest.raises(UserError, match="a: the shoulders are never seen together"):
        normalise(a, "a")
    b = someone()
    b.points[:, 2] = b.points[:, 5]
    with pytest.raises(UserError, match="a: the shoulders lie on one spot"):
        normalise(b, "a")


def test_gaps_are_bridged_and_stay_marked():
    a = someone(9)
    truth = a.points[:, 20].copy()
    a.confidence[[0, 3, 4, 8], 20] = 0
    a.points[[0, 3, 4, 8], 20] = 0
    a.confidence[:, HANDS["right"]] = 0
    a.points[:, HANDS["right"]] = 0
    filled = fill_gaps(a)
    np.testing.assert_allclose(
        filled.points[[3, 4], 20], [(2 * truth[2] + truth[5]) / 3, (truth[2] + 2 * truth[5]) / 3], rtol=1e-5
    )
    np.testing.assert_array_equal(filled.points[[0, 8], 20], truth[[1, 7]])
    np.testing.assert_array_equal(filled.points[:, 40], a.points[:, 7])  # a hand never seen is on its wrist
    np.testing.assert_array_equal(filled.confidence, a.confidence)


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(2, 60), wanted=st.integers(2, 90))
def test_resampling_keeps_both_ends_and_straight_lines(frames, wanted):
    time = np.linspace(0, 1, frames)[:, None, None]
    line = (np.array([[[1.0, -2.0]]]) + time * np.array([[[3.0, 5.0]]])).astype(np.float32)
    keypoints = Keypoints(line, np.ones((frames, 1), np.float32), 25.0, ("A:x",))
    again = resample(keypoints, frames=wanted)
    assert len(again) == wanted
    np.testing.assert_allclose(again.points[:, 0], [1, -2] + np.linspace(0, 1, wanted)[:, None] * [3, 5], atol=1e-5)
    assert (again.confidence == 1).all()
    np.testing.assert_allclose((wanted - 1) / again.fps, (frames - 1) / 25)  # it takes as long


def test_rates_and_lengths():
    a = someone(51)
    assert len(resample(a, fps=12.5)) == 26 and resample(a, fps=12.5).fps == 12.5
    assert resample(a, fps=25.0).points is a.points
    assert len(conform(a, max_frames=40)) == 40 and conform(a, max_frames=40).fps == pytest.approx(25 * 39 / 50)
    assert len(conform(a, frames=60, max_frames=40)) == 60
    assert len(resample(someone(1), frames=5)) == 5
    a.confidence[10] = 0
    unseen = (resample(a, fps=50.0).confidence == 0).all(1)
    assert np.flatnonzero(unseen).tolist() == [19, 20, 21]


def test_depths_can_be_left_out_but_not_made_up():
    assert conform(someone(), dims=2).features().shape == (12, 50, 3)
    assert conform(someone(), dims=3).features().shape == (12, 50, 4)
    with pytest.raises(UserError, match="a: no depths"):
        conform(someone(dims=2), "a", dims=3)


@pytest.mark.parametrize("file", ["7731febd6afbbe90f806a4434c282016", "mediapipe", "openpose"])
def test_real_files_come_out_alike(shared_data, file):
    pytest.importorskip("pose_format")
    keypoints = read_pose(shared_data / "sign" / "pose_format" / f"{file}.pose")
    features = conform(keypoints, file, dims=2).features()
    assert features.shape[1:] == (50, 3) and np.isfinite(features).all()
    seen = features[..., 2] > 0
    assert np.abs(features[seen]).max() < 3
    assert (features[:, 2, 0] > features[:, 5, 0]).all()  # the signer's left on the right of the picture
    assert (features[:, 3, 1] > features[:, 2, 1]).mean() > 0.9  # elbows below shoulders
    for wrist, hand in ((4, 8), (7, 29)):
        both = seen[:, wrist] & seen[:, hand]
        if both.any():
            assert np.median(np.linalg.norm((features[:, wrist] - features[:, hand])[both, :2], axis=-1)) < 0.15


def test_a_file_with_one_hand_only_is_explained(shared_data):
    pytest.importorskip("pose_format")
    keypoints = read_pose(shared_data / "sign" / "pose_format" / "mediapipe_hand_normalized.pose")
    with pytest.raises(UserError, match="hand: components RIGHT_HAND_LANDMARKS"):
        conform(keypoints, "hand", dims=2)
