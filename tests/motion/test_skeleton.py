"""Skeletons come from YAML, and a wrong file is explained."""

import numpy as np
import pytest
import yaml

from motion_lightning.errors import UserError
from motion_lightning.motion.skeleton import load_skeleton


@pytest.fixture
def spec():
    """A file that is right: a root with one leg, one arm."""
    return {
        "name": "stick",
        "fps": 30,
        "unit": "cm",
        "up": "y",
        "joints": {
            "hip": {"parent": None, "offset": [0, 0, 0]},
            "knee_l": {"parent": "hip", "offset": [0, -40, 0]},
            "knee_r": {"parent": "hip", "offset": [3, 0, -4]},
            "hand_r": {"parent": "knee_r", "offset": [1, 0, 0]},
        },
        "chains": [["hip", "knee_l"], ["hip", "knee_r", "hand_r"]],
        "feet": {"left": ["hip", "knee_l"], "right": ["hip", "knee_r"]},
        "pairs": [["knee_l", "knee_r"]],
        "facing": ["knee_r", "knee_l", "knee_r", "knee_l"],
        "contact": 0.002,
        "legs": ["knee_r", "hand_r"],
    }


def load(tmp_path, spec):
    path = tmp_path / "stick.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return load_skeleton(path)


def test_humanml22_is_the_published_layout():
    skeleton = load_skeleton()
    assert len(skeleton.joints) == 22 and skeleton.fps == 20
    assert skeleton.parents == (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
    assert skeleton.feet == {"left": (7, 10), "right": (8, 11)}
    assert skeleton.facing == (2, 1, 17, 16) and skeleton.legs == (5, 8)
    assert skeleton.index("right_wrist") == 21
    assert [skeleton.joints[j].replace("left", "right") for j, _ in skeleton.pairs] == [
        skeleton.joints[j] for _, j in skeleton.pairs
    ]


def test_humanml22_bones_are_the_reference_clips(shared_data):
    joints = np.load(shared_data / "humanml3d_reference/skeleton_example_h3d.npy")
    skeleton = load_skeleton()
    for child, parent in skeleton.bones:
        length = np.linalg.norm(joints[child] - joints[parent])
        assert skeleton.bone_lengths[child] == pytest.approx(length, abs=6e-7)


def test_kit21_is_the_published_layout():
    skeleton = load_skeleton("kit21")
    assert len(skeleton.joints) == 21 and skeleton.fps == 12.5 and skeleton.contact == 0.05
    chains = {0: (0, *range(11, 16)), 1: (0, *range(16, 21)), 2: tuple(range(5)), 3: (3, 5, 6, 7), 4: (3, 8, 9, 10)}
    assert dict(enumerate(skeleton.chains)) == chains
    assert skeleton.feet == {"left": (19, 20), "right": (14, 15)}
    assert skeleton.facing == (11, 16, 5, 8) and skeleton.legs == (17, 18)
    assert {left - 3 if left < 11 else left - 5: right for left, right in skeleton.pairs} == {
        right: right for _, right in skeleton.pairs
    }
    inwards = {5: 1, 8: -1, 11: 1, 16: -1}
    assert {j: np.sign(skeleton.offsets[j, 0]) for j in inwards} == inwards
    assert skeleton.bone_lengths[1] == pytest.approx(80)  # in the unit of its features,
    assert skeleton.metre_per_unit * 480 == pytest.approx(0.75)  # of which 480 are 0.75 m


def test_kit21_agrees_with_the_statistics_of_published_features(shared_data):
    mean = np.load(shared_data / "humanml3d_reference/evaluator_stats/kit_mean.npy")
    joints = np.concatenate([[[0, mean[3], 0]], mean[4:64].reshape(20, 3)])
    skeleton = load_skeleton("kit21")
    for child, parent in skeleton.bones:  # a mean of vectors of one length is shorter
        assert 0.6 < np.linalg.norm(joints[child] - joints[parent]) / skeleton.bone_lengths[child] < 1
    # Spine: its height is its length times the cosine that its rotation holds, whatever the heading.
    assert (joints[1, 1] - joints[0, 1]) / mean[64 + 4] == pytest.approx(skeleton.bone_lengths[1], rel=1e-4)
    for left, right in skeleton.pairs:  # mirrored clips are among them
        np.testing.assert_allclose(joints[left], joints[right] * [-1, 1, 1], atol=2e-3)
        assert joints[left, 0] > 0


def test_units_become_metres_and_offsets_are_read_only(tmp_path, spec):
    skeleton = load(tmp_path, spec)
    np.testing.assert_allclose(skeleton.bone_lengths, [0, 0.4, 0.05, 0.01])
    assert skeleton.bones == [(1, 0), (2, 0), (3, 2)] and skeleton.metre_per_unit == 1
    with pytest.raises(ValueError):
        skeleton.offsets[1] = 0


def breaks(path, value):
    def change(spec):
        *parents, last = path.split(".")
        for key in parents:
            spec = spec[key]
        spec[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("legs"), "also needs legs"),
        (breaks("colour", "red"), "unknown key 'colour'"),
        (breaks("unit", "inch"), "unit is 'inch'"),
        (breaks("up", "z"), "up is 'z'"),
        (breaks("fps", 0), "fps is 0"),
        (breaks("fps", True), "fps is True"),
        (breaks("fps", float("inf")), "fps is inf"),
        (breaks("contact", "light"), "contact is 'light', should be a positive number"),
        (breaks("feature_unit", 0), "feature_unit is 0"),
        (breaks("name", 7), "name is 7, should be a text"),
        (breaks("joints", {"hip": {"parent": None, "offset": [0, 0, 0]}}), "joints should map"),
        (lambda s: s["joints"].update({1: {"parent": "hip", "offset": [1, 0, 0]}}), "joint 1 should be called by"),
        (breaks("chains", [["knee_r", "hand_r"], ["hip", "knee_l"], ["hip", "knee_r"]]), r"chains\[0\] starts at"),
        (breaks("pairs", [["knee_l", "knee_r"], ["knee_l", "hand_r"]]), "pairs name knee_l twice"),
        (breaks("legs", ["hip", "knee_l"]), "legs name hip, the root"),
        (breaks("t_pose", [1]), "t_pose should map"),
        (breaks("t_pose", {"hip": [0, 1, 0]}), "t_pose names 'hip', which is not a joint with a bone"),
        (breaks("t_pose", {"knee_l": [0, 0, 0]}), "t_pose.knee_l should be three numbers that are not all 0"),
        (breaks("joints", ["hip"]), "joints should map"),
        (breaks("joints.knee_l.parent", "ankle"), "the parent of knee_l is 'ankle'"),
        (breaks("joints.knee_l.parent", "knee_r"), "no joint above it"),
        (breaks("joints.hip.parent", "knee_r"), "hip, is the root"),
        (breaks("joints.knee_l.offset", [1, 2]), "offset of knee_l should be three finite numbers"),
        (breaks("joints.knee_l.offset", [1, 2, float("nan")]), "offset of knee_l"),
        (breaks("joints.knee_l.offset", [0, 0, 0]), "ends in knee_l has no length"),
        (breaks("joints.knee_l", [0, 0, 0]), "joint knee_l should be"),
        (breaks("chains", [["hip", "knee_l"], ["hip", "knee_r"]]), "look at knee_r - hand_r"),
        (breaks("chains", [["hip", "knee_l"]] * 2 + [["hip", "knee_r", "hand_r"]]), "look at hip - knee_l"),
        (breaks("chains", "hip"), "chains should be a list"),
        (breaks("pairs", [["knee_l", "elbow"]]), r"pairs\[0\] names 'elbow'"),
        (breaks("facing", ["knee_l"]), "facing should be a list of 4 joints"),
        (breaks("facing", [["knee_l"], 2, "hip", "hip"]), "facing names"),
        (breaks("joints.knee_l.parent", ["hip"]), "the parent of knee_l"),
        (breaks("feet", {"left": ["hip", "knee_l"]}), "feet should give left and right"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path, spec, change, message):
    change(spec)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, spec)
    assert "stick.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_not_yaml_or_not_there(tmp_path):
    with pytest.raises(UserError, match=r"no skeleton file .*humanml23.*has humanml22"):
        load_skeleton("humanml23")
    path = tmp_path / "broken.yaml"
    path.write_text("joints: [")
    with pytest.raises(UserError, match="is not YAML"):
        load_skeleton(path)
    path = tmp_path / "text.yaml"
    path.write_text("a page of text")
    with pytest.raises(UserError, match="a mapping with the keys"):
        load_skeleton(path)


def test_an_unknown_joint_is_named():
    with pytest.raises(UserError, match="no joint 'tail'"):
        load_skeleton().index("tail")
