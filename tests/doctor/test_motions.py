"""Each check of motions finds the one clip that is spoiled, and nothing in clean ones."""

from dataclasses import replace

import numpy as np
import pytest

from motion_lightning.data.ragged import DATA
from motion_lightning.doctor.measure import GRAVITY, centre_of_mass, fall, figures, t_pose, tempo
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")
SEEN = ("error", "warning")


def t_posed() -> np.ndarray:
    pose = np.zeros((22, 3))
    for joint, parent in SKELETON.bones:
        offset = SKELETON.offsets[joint]
        if SKELETON.joints[joint].endswith(("elbow", "wrist")):
            offset = (np.linalg.norm(offset) * (1 if "left" in SKELETON.joints[joint] else -1), 0, 0)
        pose[joint] = pose[parent] + offset
    pose[:, 1] -= pose[:, 1].min()
    return pose


def hill(joints: np.ndarray, height: float, frames: int = 24) -> np.ndarray:
    """(T, 1) that goes smoothly from 0 to ``height`` in the middle, within so many frames."""
    return height / (1 + np.exp(-(np.arange(len(joints)) - len(joints) / 2) * 8 / frames))[:, None]


def freeze(joints):
    joints[8:14] = joints[8]
    return joints


def teleport(joints):
    joints[12:] += (0.9, 0, 0)
    return joints


def glitch(joints):
    joints[12] += (0, 0.1, 0.1)
    return joints


def start_in_t_pose(joints):
    return np.concatenate([np.repeat(t_posed()[None] + joints[0, 0] * (1, 0, 1), 3, axis=0), joints])


def slide(joints):
    return np.repeat(joints[:1], 40, axis=0) + np.arange(40)[:, None, None] * (0.05, 0, 0)


def sink(joints):
    joints = np.repeat(joints[:1], 60, axis=0)
    joints[..., 1] -= 0.2 * np.exp(-(((np.arange(60) - 30) / 4) ** 2))[:, None]
    return joints


def climb(joints):
    joints = np.repeat(joints[:1], 60, axis=0)
    joints[..., 1] += hill(joints, 0.5)
    return joints


DEFECTS = {
    "frozen frames": freeze,
    "teleporting roots": teleport,
    "jumping bodies": glitch,
    "T-pose starts": start_in_t_pose,
    "sliding feet": slide,
    "feet above the floor": sink,
    "uneven floors": climb,
}


@pytest.fixture(scope="module")
def spoiled(examined, clean, changed):
    """Findings where clip i has defect i, 20 is short of nothing but a floor, 21 stands still and 22 is long."""
    clips = [changed(clip, change) for clip, change in zip(clean, DEFECTS.values(), strict=False)] + clean[7:]
    clips[20] = replace(clips[20], tags=clips[20].tags | {"floor": -0.2})
    clips[19] = replace(clips[19], tags=clips[19].tags | {"floor": 0.01})
    clips[21] = replace(clips[21], features=np.repeat(clips[21].features[:1], 30, axis=0))
    clips[22] = replace(clips[22], features=np.tile(clips[22].features, (12, 1)))
    return examined(clips)


def test_nothing_is_found_in_clean_motions(healthy):
    assert [f.check for f in healthy.values() if f.state in SEEN] == []
    assert healthy["frozen frames"].state == "fine"
    assert healthy["frozen frames"].of == 24
    assert healthy["drift of Mean and Std"].state == "skipped"
    assert healthy["files with feet under the floor"].state == "skipped"


@pytest.mark.parametrize(("row", "check"), enumerate(DEFECTS))
def test_a_spoiled_motion_is_found(row, check, spoiled, clean):
    cases = spoiled[check].cases
    assert row in [case.row for case in cases]
    assert {case.row for case in cases} <= {*range(7), 21, 22}
    assert clean[row].id in next(case.what for case in cases if case.row == row)


@pytest.mark.parametrize(
    ("check", "row", "what"),
    [
        ("files with feet under the floor", 20, "20 cm"),
        ("clips that stand still", 21, "all 30"),
        ("outlying lengths", 22, " s"),
    ],
)
def test_other_defects_are_found(check, row, what, spoiled):
    (case,) = spoiled[check].cases
    assert case.row == row
    assert what in case.what


def test_the_place_is_named(spoiled):
    assert next(case.frame for case in spoiled["frozen frames"].cases if case.row == 0) == 8
    assert next(case.frame for case in spoiled["teleporting roots"].cases if case.row == 1) in (10, 11, 12)


def test_numbers_that_are_none_are_found_in_the_files(examined, clean):
    """prepare refuses them, so they can only come later: both the file and the clip are named."""

    def spoil(path):
        features = np.memmap(path / f"features{DATA}", np.float32, "r+").reshape(-1, 263)
        features[len(clean[0].features) + 7, 100] = np.nan
        features.flush()

    found = examined(clean, spoil)
    assert "features.bin" in found["store files"].cases[0].what
    assert [(case.row, case.frame) for case in found["NaN and infinity"].cases] == [(1, 7)]
    assert found["NaN and infinity"].severity == "error"


# ------------------------------------------------------------------------------------------- frame rates


def test_a_source_of_another_frame_rate_is_found(examined, clean, changed, healthy):
    assert not healthy["frame rate of a source"].cases
    clips = [replace(c, tags=c.tags | {"rig": "right" if i % 2 else "wrong"}) for i, c in enumerate(clean)]
    clips = [changed(c, lambda joints: joints[::2]) if c.tags["rig"] == "wrong" else c for c in clips]
    (case,) = examined(clips)["frame rate of a source"].cases
    assert case.what.startswith("wrong: ")


def test_tempo_is_a_rate(walk):
    """It doubles with the speed, and knows neither size nor place."""
    own = tempo(walk, 20)
    assert tempo(walk, 40) == pytest.approx(2 * own, rel=0.1)  # in other windows
    assert tempo(0.5 * walk + 3, 20) == pytest.approx(own, rel=0.05)  # but for windows of rest
    assert 5 < own < 15
    assert np.isnan(tempo(np.repeat(walk[:1], 60, axis=0), 20))


def test_a_body_in_free_fall_falls_with_one_g():
    time = np.arange(30) / 20
    joints = np.repeat(t_posed()[None], 30, axis=0)
    joints[..., 1] -= GRAVITY / 2 * time[:, None] ** 2
    assert fall(joints, SKELETON, 20) == pytest.approx(1, abs=1e-6)
    assert fall(joints, SKELETON, 40) == pytest.approx(4, abs=1e-6)


def test_the_centre_of_mass_lies_in_the_trunk():
    centre = centre_of_mass(t_posed()[None], SKELETON)[0]
    assert abs(centre[0]) < 0.01
    assert 0.6 < centre[1] / t_posed()[:, 1].max() < 0.7  # of the height of the head joint


# ------------------------------------------------------------------------------------------------ figures


def test_t_poses_are_told_from_others(walk):
    assert t_pose(t_posed(), SKELETON) > 0.97
    assert max(t_pose(pose, SKELETON) for pose in walk) < 0.5
    turn = np.array([[0.6, 0, 0.8], [0, 1, 0], [-0.8, 0, 0.6]])
    assert t_pose(t_posed() @ turn.T + 2, SKELETON) == pytest.approx(t_pose(t_posed(), SKELETON))


def test_figures_of_short_and_foreign_motions(walk):
    """A frame or two, and a skeleton without arms, give no figure rather than a wrong one."""
    for frames in (1, 2, 3):
        own = figures(walk[:frames], SKELETON, 20)
        assert own["jump"] == 0
        assert np.isnan(own["tempo"])
    kit = load_skeleton("kit21")
    own = figures(np.random.default_rng(0).normal(size=(30, 21, 3)), kit, kit.fps)
    assert np.isfinite(own["fall"])
    armless = replace(kit, joints=tuple(name.replace("elbow", "bend") for name in kit.joints))
    assert np.isnan(figures(np.random.default_rng(0).normal(size=(30, 21, 3)), armless, 12.5)["t_pose"])
