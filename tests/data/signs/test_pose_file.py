""".pose files: real ones of all versions, round trips, and whatever else a user may hand over."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion_lightning.data.signs.keypoints import Keypoints
from motion_lightning.data.signs.pose_file import pose_bytes, read_pose, write_pose
from motion_lightning.errors import UserError

pytest.importorskip("pose_format")


@pytest.mark.parametrize(
    ("file", "frames", "points", "dims", "fps"),
    [
        ("7731febd6afbbe90f806a4434c282016", 18, 586, 3, 25),  # version 0.2
        ("mediapipe", 170, 178, 3, 24),  # 0.1
        ("mediapipe_hand_normalized", 170, 21, 3, 24),  # 0.1, NaN where the hand was not seen
        ("openpose", 93, 137, 2, 24),  # 0.0
    ],
)
def test_real_files(shared_data, file, frames, points, dims, fps):
    keypoints = read_pose(shared_data / "sign" / "pose_format" / f"{file}.pose")
    assert keypoints.points.shape == (frames, points, dims) and keypoints.confidence.shape == (frames, points)
    assert keypoints.fps == fps and len(keypoints.names) == points
    assert np.isfinite(keypoints.points).all() and not keypoints.points[keypoints.confidence == 0].any()
    again = read_pose(pose_bytes(keypoints))
    assert again.names == keypoints.names and again.fps == fps
    assert np.array_equal(again.points, keypoints.points) and np.array_equal(again.confidence, keypoints.confidence)


@pytest.mark.parametrize("version", [0.0, 0.1, 0.2])
@pytest.mark.parametrize("people", [1, 2])
def test_every_version_gives_the_first_person(make_pose_file, version, people):
    keypoints = read_pose(make_pose_file(version, frames=5, people=people), "a")
    assert keypoints.points.shape == (5, 4, 2) and keypoints.fps == 25
    assert keypoints.people == (1 if version == 0 else people)  # of version 0.0 the library reads one
    expected = np.random.default_rng(0).uniform(1, 400, (5, people, 4, 2)).astype("<f4")[:, 0]
    np.testing.assert_array_equal(keypoints.points, expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), frames=st.integers(1, 6), dims=st.sampled_from([2, 3]))
def test_what_is_written_is_read(seed, frames, dims):
    rng = np.random.default_rng(seed)
    names = ("A:x", "A:y", "B:z")
    confidence = rng.choice([0, 0.5, 1], (frames, 3)).astype(np.float32)
    points = rng.normal(0, 1e3, (frames, 3, dims)).astype(np.float32) * (confidence[..., None] > 0)
    keypoints = Keypoints(points, confidence, 29.97, names)
    again = read_pose(pose_bytes(keypoints), "a")
    assert np.array_equal(again.points, points) and np.array_equal(again.confidence, confidence)
    assert again.names == keypoints.names and again.fps == pytest.approx(29.97)


def test_unseen_points_may_be_nan_seen_ones_not(make_pose_file):
    data = bytearray(make_pose_file(points=3, frames=2))
    first = len(data) - 2 * 3 * 4 - 2 * 3 * 2 * 4  # of the coordinates; confidences come last
    sure = len(data) - 2 * 3 * 4
    data[first + 8 : first + 12] = struct.pack("<f", np.nan)  # x of point 1, frame 0
    with pytest.raises(UserError, match=r"a: coordinates .*nan.* of .POSE_LANDMARKS:LEFT_SHOULDER. in frame 0"):
        read_pose(bytes(data), "a")
    data[sure + 4 : sure + 8] = struct.pack("<f", 0)
    keypoints = read_pose(bytes(data), "a")
    assert keypoints.confidence[0, 1] == 0 and not keypoints.points[0, 1].any()
    for value in (np.nan, -0.5, np.inf):
        data[sure + 20 : sure + 24] = struct.pack("<f", value)
        with pytest.raises(UserError, match=r"confidence .* of .POSE_LANDMARKS:RIGHT_SHOULDER. in frame 1"):
            read_pose(bytes(data), "a")


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"frames": 10**9}, "claims 1000000000 frames"),
        ({"frames": 2}, "claims 2 frames"),
        ({"frames": 0}, "claims 0 frames"),
        ({"people": 0}, "no people"),
        ({"people": 65535}, "65535 people"),
        ({"points": 65535}, "65535 points"),
        ({"points": 5}, "byte"),
        ({"format": "XYZWC"}, "format 'XYZWC'"),
        ({"fps": 0}, "0.0 frames a second"),
        ({"fps": float("nan")}, "nan frames a second"),
    ],
)
def test_false_claims_cost_nothing(make_pose_file, claims, says):
    data = make_pose_file(claims=claims)
    tracemalloc.start()
    with pytest.raises(UserError, match=says) as error:
        read_pose(data, "some.pose")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(error.value).startswith("some.pose: byte ") and peak < 2_000_000


@pytest.mark.parametrize("data", [b"", b"\0", b"RIFF....", bytes(200), b"\xff" * 200])
def test_what_is_no_pose_file(data):
    with pytest.raises(UserError, match="a: byte"):
        read_pose(data, "a")


def test_every_cut_is_noticed(make_pose_file):
    for version in (0.0, 0.1, 0.2):
        data = make_pose_file(version)
        for end in range(len(data)):
            with pytest.raises(UserError, match="a: byte"):
                read_pose(data[:end], "a")
        with pytest.raises(UserError, match="a: byte"):
            read_pose(data + b"\0", "a")


def test_files_appear_whole_or_not_at_all(tmp_path):
    keypoints = Keypoints(np.full((2, 1, 2), np.nan, np.float32), np.ones((2, 1), np.float32), 25, ("A:x",))
    with pytest.raises(ValueError, match="NaN"):
        write_pose(tmp_path / "a.pose", keypoints)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"a\.pose: cannot be read"):
        read_pose(tmp_path / "a.pose")
