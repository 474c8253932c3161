"""BVH files as exporters really write them, and the ones that are broken."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh, read_bvh, write_bvh

TINY = Path(__file__).with_name("tiny.bvh").read_text()
FULL = TINY.replace("CHANNELS 3 ", "CHANNELS 6 Xposition Yposition Zposition ").replace(
    "0 0 0 0 0 0 0 0 0\n2 5 7 90 0 0 0 0 30", "0 0 0 0 0 0 0 -40 0 0 0 0\n0 0 0 0 0 0 3 -50 1 0 0 0"
)


def test_root_offset_is_added_and_channels_turn_in_their_order():
    bvh = read_bvh(TINY)
    assert bvh.names == ("hip", "knee")
    assert bvh.frame_time == 0.05
    joints = bvh.global_joints()
    np.testing.assert_allclose(joints[0], [[1, 100, 0], [1, 60, 0]])
    # a quarter turn about Z takes the thigh, which hangs down, to +X
    np.testing.assert_allclose(joints[1], [[3, 105, 7], [43, 105, 7]], atol=1e-12)
    _, orientations = bvh.global_transforms()
    turn = Rotation.from_euler("z", 90, degrees=True) * Rotation.from_euler("x", 30, degrees=True)
    np.testing.assert_allclose(orientations[1, 1], turn.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_every_rotation_order_multiplies_left_to_right(order):
    channels = " ".join(f"{axis}rotation" for axis in order)
    text = TINY.replace("CHANNELS 3 Zrotation Yrotation Xrotation", f"CHANNELS 3 {channels}")
    text = text.replace("2 5 7 90 0 0 0 0 30", "0 0 0 0 0 0 10 20 30")
    expected = np.eye(3)
    for axis, angle in zip(order, (10, 20, 30), strict=True):
        expected = expected @ Rotation.from_euler(axis.lower(), angle, degrees=True).as_matrix()
    np.testing.assert_allclose(read_bvh(text).rotations[1, 1], expected, atol=1e-12)


def test_position_channels_replace_the_offset_of_a_joint_below_the_root():
    joints = read_bvh(FULL).global_joints()
    np.testing.assert_allclose(joints[:, 1], [[1, 60, 0], [4, 50, 1]])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("  ", "\t").replace(": ", ":\t"),
        lambda text: text.replace("\n", "  \n") + "\n \n\n",
        lambda text: "\ufeff" + text,
        lambda text: text.replace("hip\n{", "hip {").replace("    End Site\n    {", "End Site {"),
        lambda text: text.replace("Frame Time", "FRAME TIME").replace("Xposition", "XPOSITION"),
        lambda text: text.replace("MOTION", "\n\nMOTION"),
    ],
)
def test_layout_of_the_text_does_not_matter(change):
    expected = read_bvh(TINY)
    bvh = read_bvh(change(TINY).encode())
    assert bvh.names == expected.names
    np.testing.assert_array_equal(bvh.global_joints(), expected.global_joints())


@pytest.mark.parametrize(
    ("old", "new", "line", "expected"),
    [
        ("0 0 0 0 0 0 0 0 0\n", "0 0 0 0 0 0 0 0\n", 19, "expected 9 numbers, found 8"),
        (" 0 0 0 30", " 0", 20, "expected 9 numbers, found 6"),
        ("0 0 30", "0 nan 30", 20, "finite number as value 8, found 'nan'"),
        ("5 7 90", "5 nan 90", 20, "finite number as value 3, found 'nan'"),
        ("5 7 90", "5 1e999 90", 20, "finite number as value 3, found '1e999'"),
        ("5 7 90", "5 seven 90", 20, "finite number as value 3, found 'seven'"),
        ("Frames: 2", "Frames: 3", 20, "after 2 of 3 frames"),
        ("Frames: 2", "Frames: 1", 20, "expected the end after 1 frames"),
        ("Frames: 2", "Frames: many", 17, "'Frames:'"),
        ("Frames: 2", "Frames: 0", 17, "'Frames:'"),
        ("Frames: 2", "Frames: 1.5", 17, "whole number"),
        ("Frame Time: 0.05", "Frame Time: nan", 18, "'Frame Time:'"),
        ("Frame Time: 0.05\n", "", 18, "'Frame Time:'"),
        ("OFFSET 0 -40 0", "OFFSET 0 -40", 9, "expected a finite number, found 'CHANNELS'"),
        ("OFFSET 0 -40 0", "", 15, "joint knee ends without OFFSET"),
        ("    CHANNELS 3 Zrotation Yrotation Xrotation\n", "", 13, "joint knee ends without CHANNELS"),
        ("CHANNELS 3 Z", "CHANNELS x Z", 9, "0 to 6 channels, found 'x'"),
        (
            "CHANNELS 3 Z",
            "CHANNELS 4 Z",
            10,
            "expected a channel such as Xposition or Zrotation, found 'End'",
        ),
        ("Yrotation Xrotation\n    End", "Zrotation Xrotation\n    End", 9, "two channels Zrotation"),
        ("JOINT knee", "JOINT hip", 7, "a second joint is called 'hip'"),
        ("JOINT knee", "JOIN knee", 6, "found 'JOIN'"),
        ("MOTION", "}\nMOTION", 16, "expected MOTION after the root's last }, found '}'"),
        ("MOTION", "ROOT other\nMOTION", 16, "found 'ROOT'"),
        ("HIERARCHY", "", 2, "expected HIERARCHY, found 'ROOT'"),
    ],
)
def test_a_broken_file_is_named_with_line_and_expectation(old, new, line, expected):
    assert old in TINY
    with pytest.raises(UserError) as error:
        read_bvh(TINY.replace(old, new, 1), "x.bvh")
    assert expected in str(error.value)
    assert str(error.value).startswith("x.bvh line ")
    assert abs(int(str(error.value).split()[2].rstrip(":")) - line) <= 1


def test_the_line_of_a_cut_row_is_exact():
    with pytest.raises(UserError, match=r"^x.bvh line 20: expected 9 numbers, found 4$"):
        read_bvh(TINY[: TINY.index(" 0 0 0 0 30")], "x.bvh")


@pytest.mark.parametrize("length", range(0, len(TINY) - 4, 7))
def test_every_cut_through_a_file_is_an_error(length):
    with pytest.raises(UserError, match="line"):
        read_bvh(TINY[:length].encode())


WORDS = [
    "nan",
    "{",
    "}",
    "JOINT",
    "OFFSET",
    "-1e999",
    "9" * 40,
    "End Site",
    "CHANNELS 6",
    "MOTION",
    "\n",
    "\x00",
    "é",
]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(TINY)), st.integers(0, 12), st.sampled_from([*WORDS, ""]) | st.text(max_size=3)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([TINY, FULL]),
)
def test_a_mutated_file_is_read_or_refused_and_never_makes_nan(mutations, text):
    for start, length, word in mutations:
        text = text[:start] + word + text[start + length :]
    try:
        bvh = read_bvh(text.encode())
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(bvh, Bvh)
    assert np.isfinite(bvh.positions).all()
    assert np.isfinite(bvh.rotations).all()


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(data):
    with pytest.raises(UserError):
        read_bvh(data)


@pytest.mark.parametrize("text", [TINY, FULL])
def test_what_was_written_is_read_back(text, tmp_path):
    bvh = read_bvh(text)
    write_bvh(tmp_path / "a.bvh", bvh)
    again = read_bvh((tmp_path / "a.bvh").read_bytes())
    assert (again.names, again.parents, again.frame_time) == (bvh.names, bvh.parents, bvh.frame_time)
    np.testing.assert_allclose(again.positions, bvh.positions, atol=1e-6)
    np.testing.assert_allclose(again.rotations, bvh.rotations, atol=1e-7)
    np.testing.assert_allclose(again.end_sites[1], bvh.end_sites[1])
    assert [path.name for path in tmp_path.iterdir()] == ["a.bvh"]


@settings(deadline=None)
@given(st.lists(st.floats(-180, 180), min_size=12, max_size=12))
def test_any_rotation_survives_writing(tmp_path_factory, angles):
    bvh = read_bvh(TINY)
    turned = Rotation.from_euler("ZYX", np.reshape(angles, (4, 3)), degrees=True).as_matrix().reshape(2, 2, 3, 3)
    path = tmp_path_factory.getbasetemp() / "turned.bvh"
    write_bvh(path, Bvh(bvh.names, bvh.parents, bvh.offsets, bvh.end_sites, bvh.positions, turned, 0.05))
    np.testing.assert_allclose(read_bvh(path.read_bytes()).rotations, turned, atol=1e-7)


GOLDEN = ["iclone_cc/005_16.bvh", "daz/salsa_20.bvh", "dataset-2_run_active_001.bvh"]


@pytest.mark.parametrize("file", GOLDEN)
def test_joints_of_real_files_lie_where_another_reader_puts_them(shared_data, file):
    archive = "cmu_bvh.zip" if "/" in file else "bandai_bvh.zip"
    bvh = read_bvh(zipfile.ZipFile(shared_data / archive).read(file), file)
    golden = np.load(shared_data / "fk_golden.npz")
    key = file.replace("/", "__")
    expected = golden[f"{key}|positions"]
    np.testing.assert_allclose(bvh.global_joints()[golden[f"{key}|frames"]], expected, atol=1e-9)


@pytest.mark.parametrize("file", [GOLDEN[0], GOLDEN[2]])
def test_a_real_file_survives_writing(shared_data, tmp_path, file):
    archive = "cmu_bvh.zip" if "/" in file else "bandai_bvh.zip"
    bvh = read_bvh(zipfile.ZipFile(shared_data / archive).read(file), file)
    write_bvh(tmp_path / "a.bvh", bvh)
    again = read_bvh((tmp_path / "a.bvh").read_bytes())
    np.testing.assert_allclose(again.global_joints(), bvh.global_joints(), atol=1e-5)
