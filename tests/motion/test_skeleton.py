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


def test_units_become_metres_and_offsets_are_read_only(tmp_path, spec):
    skeleton = load(tmp_path, spec)
    np.testing.assert_allclose(skeleton.bone_lengths, [0, 0.4, 0.05, 0.01])
    assert skeleton.bones == [(1, 0), (2, 0), (3, 2)]
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
