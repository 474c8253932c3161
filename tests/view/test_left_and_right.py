"""A left wrist stays a left wrist, from the pose to the picture."""

import base64
import json
import re

import numpy as np
import pytest

from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.view.camera import Camera, fit
from motion_lightning.view.drawing import COLOURS
from motion_lightning.view.page import ClipView, viewer_html
from motion_lightning.view.sheet import figures
from motion_lightning.view.video import pictures

SKELETON = load_skeleton("humanml22")
LEFT, RIGHT = SKELETON.index("left_wrist"), SKELETON.index("right_wrist")


@pytest.fixture(scope="module")
def pose() -> np.ndarray:
    """(1, 22, 3): arms spread, the left one raised; faces +Z, its left is +X."""
    joints = np.zeros((22, 3))
    for child, parent in SKELETON.bones:
        joints[child] = joints[parent] + SKELETON.t_pose[child] * SKELETON.bone_lengths[child]
    joints[LEFT] += [0, 0.25, 0]
    return (joints - [0, joints[:, 1].min(), 0])[None]


def handed(left, up, forward) -> float:
    """Positive for a body whose left, up and forward stand to each other as in the data."""
    return float(np.linalg.det(np.stack([left, up, forward])))


def test_plots_that_have_z_up_turn_a_pose_and_do_not_mirror_it(pose):
    """(x, y, z) → (x, -z, y), determinant 1; to swap y and z alone is a mirror image."""
    turn, swap = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert np.linalg.det(turn) == 1 and np.linalg.det(swap) == -1
    left, up, forward = np.eye(3)
    assert handed(turn @ left, turn @ up, turn @ forward) > 0 > handed(swap @ left, swap @ up, swap @ forward)
    turned = pose[0] @ turn.T
    np.testing.assert_allclose(turned[:, 2], pose[0][:, 1])  # z is the height
    assert turned[LEFT, 0] > 0 > turned[RIGHT, 0] and (turn @ forward)[1] == -1  # towards who looks along +y


@pytest.mark.parametrize("azimuth", [0.0, 0.62, 2.0, -1.3])
def test_the_camera_does_not_mirror(azimuth):
    right, up, forward = Camera(np.zeros(3), 4.0, azimuth).axes
    np.testing.assert_allclose(np.cross(right, up), -forward, atol=1e-12)


def test_seen_from_the_front_the_left_is_at_the_viewers_right(pose):
    xy, _ = fit(pose[0], 1.0).project(pose[0], 200, 200)
    assert xy[LEFT, 0] > xy[RIGHT, 0] and xy[LEFT, 1] < xy[RIGHT, 1]  # and it is the raised one


def near(picture: np.ndarray, side: str) -> np.ndarray:
    """Where a picture (H, W, 3) has about the hue of a side."""
    pixels, want = picture.astype(float), np.array(COLOURS[side], float)
    pixels, want = pixels - pixels.mean(-1, keepdims=True), want - want.mean()
    cosine = pixels @ want / (np.linalg.norm(pixels, axis=-1) * np.linalg.norm(want) + 1e-6)
    return (cosine > 0.95) & (np.linalg.norm(pixels, axis=-1) > 40)


@pytest.mark.parametrize("viewer", ["film and sheet of samples", "strips of a corpus"])
def test_the_raised_left_arm_is_raised_and_left_in_pictures(pose, viewer):
    if viewer == "strips of a corpus":
        (picture,) = figures(pose, SKELETON, 20, size=240)
    else:
        picture = next(pictures([ClipView(pose, "")], size=240)).crop((0, 0, 260, 240))
    places = {side: np.argwhere(near(np.asarray(picture), side)) for side in ("left", "right")}  # (row, column)
    assert min(len(place) for place in places.values()) > 100
    assert places["left"][:, 1].mean() > places["right"][:, 1].mean() + 30
    assert places["left"][:, 0].min() < places["right"][:, 0].min() - 10


def test_the_page_holds_the_same_joints_with_the_same_sides(pose):
    page = viewer_html([ClipView(pose, "arms")], "pose")
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert data["figure"]["sides"][LEFT] == "left" and data["figure"]["joints"][LEFT] == "left_wrist"
    values, shift, value = [], 0, 0
    for byte in base64.b64decode(data["clips"][0]["joints"]):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value // 2 if value % 2 == 0 else -(value // 2) - 1)
            shift = value = 0
    joints = np.cumsum(np.array(values).reshape(-1, 22, 3), axis=0) / 1000  # differences between frames, in mm
    np.testing.assert_allclose(joints, pose, atol=1e-3)
