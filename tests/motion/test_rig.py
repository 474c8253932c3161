"""A rig is a YAML file: it reads motion files of any make, and a wrong one is explained."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh, read_bvh, write_bvh
from motion_lightning.motion.features import joints_to_features
from motion_lightning.motion.rig import load_rig
from motion_lightning.motion.skeleton import load_skeleton

TINY = Path(__file__).with_name("tiny.bvh").read_text()


def rig_yaml(
    tmp_path,
    joints="{pelvis: hip, tip: 'knee:END', middle: {hip: 0.5, knee: 0.5}}",
    unit="cm",
    up="y",
    more="",
):
    path = tmp_path / "rig.yaml"
    path.write_text(f"name: tiny\nunit: {unit}\nup: {up}\njoints: {joints}\n{more}")
    return path


def test_a_rig_weighs_joints_and_reaches_end_sites(tmp_path):
    joints = load_rig(rig_yaml(tmp_path)).map(read_bvh(TINY), ("pelvis", "middle", "tip"))
    np.testing.assert_allclose(joints[0], [[0.01, 1, 0], [0.01, 0.8, 0], [0.01, 0.3, 0.05]])
    tip = np.array([43, 105, 7]) + read_bvh(TINY).global_transforms()[1][1, 1] @ [0, -30, 5]
    np.testing.assert_allclose(joints[1, 2], 0.01 * tip)


def test_a_rig_turns_z_up_to_y_up_without_a_mirror(tmp_path):
    upright = load_rig(rig_yaml(tmp_path)).map(read_bvh(TINY), ("pelvis", "middle", "tip"))
    lying = load_rig(rig_yaml(tmp_path, up="z")).map(read_bvh(TINY), ("pelvis", "middle", "tip"))
    np.testing.assert_allclose(lying, upright[..., [0, 2, 1]] * [1, 1, -1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "ell"}, "unit is 'ell', should be m, cm, mm or a number of metres"),
        ({"unit": "-1"}, "unit is -1"),
        ({"unit": "yes"}, "unit is True"),
        ({"up": "w"}, "up is 'w', should be one of y, z"),
        ({"up": "[y]"}, r"up is \['y'\]"),
        ({"joints": "{pelvis: {hip: 0.5}}"}, r"joints.pelvis is \{'hip': 0.5\}, should be a joint of the file"),
        ({"joints": "{pelvis: {hip: .nan, knee: 1}}"}, "joints.pelvis is"),
        ({"joints": "{pelvis: {1: 1}}"}, "joints.pelvis is"),
        ({"joints": "{pelvis: [hip]}"}, "joints.pelvis is"),
        ({"joints": "{1: hip}"}, "a key of joints is 1"),
        ({"joints": "[hip]"}, "joints is"),
        ({"joints": "{}"}, "joints is"),
        ({"joints": "{pelvis: "}, "not YAML: .* line [45]"),
        ({"more": "lead_in: -1"}, "lead_in is -1"),
        ({"more": "lead_in: true"}, "lead_in is True"),
        ({"more": "colour: red"}, "unknown key 'colour'; known are joints, lead_in, name, unit, up"),
        ({"more": "when: 2001-99-99"}, "not YAML: month must be in 1..12"),
    ],
)
def test_a_wrong_rig_is_explained(tmp_path, change, message):
    path = rig_yaml(tmp_path, **change)
    with pytest.raises(UserError, match=message) as error:
        load_rig(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


def test_a_rig_without_keys_is_told_them(tmp_path):
    path = rig_yaml(tmp_path)
    for text, message in (("", "a rig is a mapping"), ("name: x\nup: y", "a rig also needs joints, unit")):
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            load_rig(path)
    path.write_bytes(b"name: \xff")
    with pytest.raises(UserError, match="not UTF-8 at byte 6"):
        load_rig(path)


def test_a_rig_that_does_not_fit_names_the_joint(tmp_path):
    with pytest.raises(UserError, match=r"a.bvh: no joint lThigh, which rig daz needs for left_hip"):
        load_rig("daz").map(read_bvh(TINY.replace("knee", "abdomen"), "a.bvh"), ("pelvis", "left_hip"))
    with pytest.raises(UserError, match="no joint hip:END"):
        load_rig(rig_yaml(tmp_path, joints="{pelvis: 'hip:END'}")).map(read_bvh(TINY), ("pelvis",))
    with pytest.raises(UserError, match="rig tiny does not say where tail is"):
        load_rig(rig_yaml(tmp_path)).map(read_bvh(TINY), ("tail",))


def test_known_rigs_cover_the_skeleton():
    skeleton = load_skeleton("humanml22")
    for name in ("cc_base", "daz", "bandai"):
        assert load_rig(name).joints.keys() == set(skeleton.joints)
    with pytest.raises(UserError, match="no rig 'unicorn'; known are bandai, cc_base, daz"):
        load_rig("unicorn")


# An engine's export: Mixamo's names, z up, inches, facing its own way, fingers that nothing asks for.
SIDES = {"left": "Left", "right": "Right"}
MIXAMO = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    "collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
}  # fmt: skip
INCH = 0.0254


def mixamo(joint: str) -> str:
    side, _, part = joint.partition("_")
    return "mixamorig:" + (SIDES[side] + MIXAMO[part] if part else MIXAMO[joint])


def test_a_new_rig_needs_one_yaml_file_and_no_code(tmp_path, walk):
    skeleton = load_skeleton()
    turn = Rotation.from_euler("xyz", [90, 0, 40], degrees=True).as_matrix()  # y up to z up, and somewhere else
    parents = (*skeleton.parents, 20)
    joints = np.concatenate([walk, walk[:, 20:21] + [0, 0, 0.1]], axis=1) @ turn.T / INCH
    steps = joints - joints[:, np.maximum(parents, 0)]
    steps[:, 0] = joints[:, 0]
    rotations = np.broadcast_to(np.eye(3), (*steps.shape, 3))
    names = (*map(mixamo, skeleton.joints), "mixamorig:LeftHandIndex1")
    write_bvh(tmp_path / "walk.bvh", Bvh(names, parents, steps[0], {}, steps, rotations, 1 / 20))
    mapping = "\n".join(f"  {joint}: {mixamo(joint)}" for joint in skeleton.joints)
    (tmp_path / "mixamo.yaml").write_text(f"name: mixamo\nunit: {INCH}\nup: z\njoints:\n{mapping}\n")

    found = load_rig(tmp_path / "mixamo.yaml").map(read_bvh((tmp_path / "walk.bvh").read_bytes()), skeleton.joints)
    np.testing.assert_allclose(np.ptp(found[..., 1]), np.ptp(walk[..., 1]), atol=1e-6)  # upright again, in metres
    np.testing.assert_allclose(
        joints_to_features(found, skeleton), joints_to_features(walk, skeleton), rtol=0, atol=1e-5
    )


# Any document

KEYS = ["name", "unit", "up", "joints", "lead_in", "fps", "chains", "feet", "pairs", "facing", "legs", "contact"]
WORDS = st.sampled_from([*KEYS, "cm", "y", "hip", "knee", "parent", "offset", "left", "right", "feature_unit"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.integers(0, 3), inner, max_size=5),
    max_leaves=12,
)
TEXTS = st.text(alphabet="&*!?:-[]{}|>%@`'\"#, \n\tab01.\x00é", max_size=60)
EXAMPLES = pytest.mark.parametrize("examples", [80, pytest.param(1_000, marks=pytest.mark.slow)])
NUMBERS = itertools.count()  # of the files: a skeleton is read once
READERS = pytest.mark.parametrize("read", [load_rig, load_skeleton])


def refused(read, path) -> str:
    try:
        read(path)
    except UserError as error:
        assert "\n" not in str(error) and path.name in str(error)
        return str(error)
    return ""


RIG = {"name": "tiny", "unit": "cm", "up": "y", "lead_in": 2, "joints": {"hip": "a", "knee": {"a": 0.5, "b": 0.5}}}
STICK = {
    "name": "stick", "fps": 30, "unit": "cm", "feature_unit": "m", "up": "y", "contact": 0.01,
    "joints": {
        "hip": {"parent": None, "offset": [0, 0, 0]},
        "knee": {"parent": "hip", "offset": [0, -40, 0]},
        "left": {"parent": "hip", "offset": [3, 0, -4]},
        "right": {"parent": "knee", "offset": [1, 0, 0]},
    },
    "chains": [["hip", "left"], ["hip", "knee", "right"]],
    "feet": {"left": ["hip", "left"], "right": ["knee", "right"]},
    "pairs": [["left", "right"]], "facing": ["right", "left", "right", "left"], "legs": ["knee", "right"],
    "t_pose": {"left": [1, 0, 0]},
}  # fmt: skip


@READERS
@EXAMPLES
def test_any_document_is_read_or_explained(tmp_path, read, examples):
    @settings(max_examples=examples, deadline=None)
    @given(st.one_of(VALUES.map(yaml.safe_dump), TEXTS))
    def check(text):
        path = tmp_path / f"{next(NUMBERS)}.yaml"
        path.write_text(text, encoding="utf-8")
        assert refused(read, path)  # none of these is whole

    check()


@READERS
@EXAMPLES
def test_a_file_with_one_wrong_value_is_read_or_explained(tmp_path, read, examples):
    @settings(max_examples=examples, deadline=None)
    @given(st.data())
    def check(data):
        node = spec = copy.deepcopy(RIG if read is load_rig else STICK)
        while True:
            key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
            if not isinstance(node[key], dict | list) or data.draw(st.booleans()):
                break
            node = node[key]
        node[key] = data.draw(VALUES)
        path = tmp_path / f"{next(NUMBERS)}.yaml"
        path.write_text(yaml.safe_dump(spec, sort_keys=False))
        if not refused(read, path) and read is load_skeleton:  # whatever is accepted works
            joints = np.random.default_rng(0).normal(size=(5, 4, 3))
            assert np.isfinite(joints_to_features(joints, load_skeleton(path))).all()

    check()


@READERS
@pytest.mark.parametrize(
    "text",
    ["&a [*a]", "[" * 1000, "!!bool maybe", "!!int ''", "!!timestamp x", "{[1]: 2}", "a: &b {c: *b}", "9" * 5000],
)
def test_documents_that_break_parsers_are_explained(tmp_path, read, text):
    (tmp_path / "any.yaml").write_text(text)
    assert refused(read, tmp_path / "any.yaml")
