"""The HDF5 format: round trip, other spellings of it, and files that are wrong."""

import h5py
import numpy as np
import pytest

from motion_lightning.data.tracks import reader as reader_module
from motion_lightning.data.tracks.episodes import STILL, write_episode
from motion_lightning.data.tracks.reader import EpisodeReader, read_episode, read_episodes
from motion_lightning.errors import UserError


@pytest.fixture
def file(tmp_path, episode):
    path = tmp_path / "e.hdf5"
    write_episode(path, episode)
    return path


def same(one, two) -> None:
    np.testing.assert_array_equal(one.video, two.video)
    np.testing.assert_array_equal(one.depth, two.depth)
    assert one.captions == two.captions
    assert [w.start for w in one.windows] == [w.start for w in two.windows]
    for a, b in zip(one.windows, two.windows, strict=True):
        for name in ("query", "displacements"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        for name in vars(a.hands):
            np.testing.assert_array_equal(getattr(a.hands, name), getattr(b.hands, name))


def test_what_is_written_is_read(file, episode, reader):
    got = reader.read(file)
    same(got, episode)
    assert got.id == "e" and got.program == episode.program
    np.testing.assert_array_equal(got.windows[1].objects, episode.windows[1].objects)
    assert not list(file.parent.glob("*.part"))


def test_other_spellings(tmp_path, episode, reader):
    """A group root, channels first, hands by name, one text, a hand that is missing."""
    path = tmp_path / "e.hdf5"
    with h5py.File(path, "w") as f:
        root = f.create_group("root")
        root["video"], root["text"] = episode.video.transpose(0, 3, 1, 2), episode.captions[0]
        for window in episode.windows:
            group = root.create_group(f"tracks/frame_{window.start:04d}")
            group["query_coords"], group["displacements"] = window.query.astype(">f8"), window.displacements
            group["right_wrist_query_uvd"] = window.hands.position[1]
            group["right_wrist_query_rot_6d"] = window.hands.rotation[1]
            group["right_wrist_uvd_displacements"] = window.hands.position_displacements[:, 1]
            group["right_wrist_rot_displacements"] = window.hands.rotation_displacements[:, 1]
    got = reader.read(path)
    np.testing.assert_array_equal(got.video, episode.video)
    assert got.depth is None and got.captions == episode.captions[:1] and got.program == []
    for a, b in zip(got.windows, episode.windows, strict=True):
        np.testing.assert_array_equal(a.query, b.query)
        assert a.hands.present.tolist() == [False, True]
        np.testing.assert_array_equal(a.hands.rotation[1], b.hands.rotation[1])
        np.testing.assert_array_equal(a.hands.rotation[0], STILL)
        np.testing.assert_array_equal(a.hands.position_displacements[:, 1], b.hands.position_displacements[:, 1])


W = "tracks/frame_0002"


def put(name, value):
    def change(f):
        del f[name]
        f[name] = value(f) if callable(value) else value

    return change


def set_at(name, index, value):
    def change(f):
        f[name][index] = value

    return change


def remove(name):
    return lambda f: f.__delitem__(name)


def link(name, target):
    def change(f):
        del f[name]
        f[name] = target

    return change


def named(name):
    def change(f):
        f["tracks"].move("frame_0002", name)

    return change


def virtual(f):
    layout = h5py.VirtualLayout((12, 16, 16, 3), "u1")
    layout[:] = h5py.VirtualSource("/etc/hostname", "video", (12, 16, 16, 3))
    del f["video"]
    f.create_virtual_dataset("video", layout)


def external(f):
    del f["depth"]
    f.create_dataset("depth", (12, 16, 16), "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def giant(f):
    del f["depth"]
    f.create_dataset("depth", (12, 1 << 40, 1 << 20), "f4", chunks=(1, 64, 64))


def program(f):
    f.attrs["program"] = "[1e999]"


WRONG = {
    "no video": (remove("video"), "video: missing"),
    "no text": (remove("text"), "text: missing"),
    "empty text": (put("text", [" ", ""]), "text: empty"),
    "number as text": (put("text", 3), "text: should be one string"),
    "control characters": (put("text", "a\x07b"), "text: control characters"),
    "no tracks": (remove("tracks"), "tracks: missing"),
    "tracks is data": (put("tracks", 3), "tracks: is no group"),
    "no window": (lambda f: [f.__delitem__(f"tracks/{n}") for n in list(f["tracks"])], "tracks: no group frame_0000"),
    "frame beyond the video": (named("frame_0012"), "tracks/frame_0012: not the number"),
    "frame without a number": (named("frame_two"), "tracks/frame_two: not the number"),
    "window is data": (put(W, 3), f"{W}: is no group"),
    "no query": (remove(f"{W}/query_coords"), f"{W}/query_coords: missing"),
    "NaN in the query": (set_at(f"{W}/query_coords", (4, 1), np.nan), f"{W}/query_coords: NaN or infinity at [4, 1]"),
    "infinite move": (set_at(f"{W}/displacements", (3, 4, 0), np.inf), f"{W}/displacements: NaN or infinity at [3"),
    "NaN in the depth": (set_at("depth", (5, 0, 3), np.nan), "depth: NaN or infinity at [5, 0, 3]"),
    "depth below zero": (set_at("depth", (5, 0, 3), -1), "depth: below zero in frame 5"),
    "beyond single precision": (put("depth", lambda f: np.full((12, 16, 16), 1e200)), "depth: NaN or infinity"),
    "pixels": (set_at(f"{W}/query_coords", (0, 0), 12.0), f"{W}/query_coords: 12; u and v are shares"),
    "moved in pixels": (set_at(f"{W}/displacements", (3, 0, 0), 40), f"{W}/displacements: 40; u and v are shares"),
    "slot 0": (set_at(f"{W}/displacements", (0, 0, 0), 0.1), f"{W}/displacements: 0.1 in slot 0"),
    "depth behind": (set_at(f"{W}/displacements", (3, 0, 2), -3), f"{W}/displacements: a depth below zero"),
    "other points": (put(f"{W}/query_coords", np.full((4, 3), 0.5)), f"{W}/displacements: shape (10, 9, 3), should"),
    "four axes": (put(f"{W}/query_coords", np.full((9, 4), 0.5)), f"{W}/query_coords: shape (9, 4), should be"),
    "flat tracks": (put(f"{W}/displacements", np.zeros((10, 9))), f"{W}/displacements: shape (10, 9), should be of 3"),
    "no points": (put(f"{W}/query_coords", np.zeros((0, 3))), f"{W}/query_coords: shape (0, 3)"),
    "grey video": (put("video", np.zeros((12, 16, 16), np.uint8)), "video: shape (12, 16, 16), should be of 4"),
    "four channels": (put("video", np.zeros((12, 16, 16, 4), np.uint8)), "video: shape (12, 16, 16, 4) is neither"),
    "no frames": (put("video", np.zeros((0, 16, 16, 3), np.uint8)), "video: shape (0, 16, 16, 3)"),
    "video of floats": (put("video", np.zeros((12, 16, 16, 3))), "video: holds float64"),
    "text as tracks": (put(f"{W}/displacements", "far"), f"{W}/displacements: holds object"),
    "short depth": (put("depth", np.zeros((3, 16, 16))), "depth: shape (3, 16, 16) does not fit"),
    "null dataset": (put("depth", h5py.Empty("f4")), "depth: "),
    "too big": (giant, "depth: shape (12, 1099511627776, 1048576) is more than 4 GiB"),
    "objects": (put(f"{W}/objects", np.zeros(3, int)), f"{W}/objects: 3 numbers for 9 points"),
    "bent rotation": (set_at(f"{W}/hand_rotation", (0, 0), 3.0), f"{W}, the left hand: its rotation: not the first"),
    "turned in slot 0": (
        put(f"{W}/hand_rotation_displacements", np.tile(np.float32([0, 1, 0, -1, 0, 0]), (10, 2, 1))),
        f"{W}, the left hand: it should not be turned in slot 0",
    ),
    "hand in slot 0": (
        set_at(f"{W}/hand_position_displacements", (0, 1, 0), 0.2),
        f"{W}, the right hand: 0.2 in slot 0",
    ),
    "one hand": (put(f"{W}/hand_position", np.zeros((1, 3))), f"{W}/hand_position: shape (1, 3), should be (2, 3)"),
    "half a hand": (remove(f"{W}/hand_rotation"), f"{W}/hand_rotation: missing"),
    "program of infinity": (program, "attribute program: 1e999 is no number"),
    "soft link": (link("depth", h5py.SoftLink("/video")), "depth: a link"),
    "link to a file": (link("tracks", h5py.ExternalLink("e.hdf5", "/tracks")), "tracks: a link"),
    "numbers elsewhere": (external, "depth: its numbers lie in another file"),
    "virtual": (virtual, "video: its numbers lie in another file"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_explained(file, reader, case):
    change, says = WRONG[case]
    with h5py.File(file, "r+") as f:
        change(f)
    with pytest.raises(UserError) as error:
        reader.read(file)
    assert str(error.value).startswith(f"e.hdf5: {says}") and "\n" not in str(error.value)


def test_what_is_no_hdf5(tmp_path, file, reader):
    for content in (b"", b"not HDF5", file.read_bytes()[:-2000], file.read_bytes()[:100]):
        path = tmp_path / "x.hdf5"
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"^x.hdf5: not an HDF5 file that can be read"):
            reader.read(path)
    with pytest.raises(UserError, match="no such file"):
        reader.read(tmp_path / "nothing.hdf5")


CRASHING = """
import os, pickle, sys
pickle.load(sys.stdin.buffer), pickle.dump(None, sys.stdout.buffer), sys.stdout.flush()
pickle.load(sys.stdin.buffer)
{}
"""


@pytest.mark.parametrize(
    ("end", "says"),
    [("os.abort()", "crashed"), ("import time; time.sleep(600)", "not read within 0.5 s"), ("exit()", "crashed"),
     ("sys.stdout.write('half'); sys.stdout.flush(); os._exit(1)", "crashed")],
)  # fmt: skip
def test_a_child_that_dies_or_hangs_costs_one_file(monkeypatch, file, episode, end, says):
    with EpisodeReader(timeout=0.5) as reader:
        with monkeypatch.context() as patched:
            patched.setattr(reader_module, "CHILD", CRASHING.format(end))
            with pytest.raises(UserError, match=rf"^e.hdf5: .*{says}"):
                reader.read(file)
        reader.timeout = 60
        same(reader.read(file), episode)


def test_a_child_that_does_not_start(monkeypatch, file):
    monkeypatch.setattr(reader_module, "CHILD", "exit()")
    with pytest.raises(UserError, match="no process could be started"):
        read_episode(file)


def test_many_files_in_order(tmp_path, episode):
    paths = [tmp_path / f"{i}.hdf5" for i in range(7)]
    for path in paths:
        write_episode(path, episode)
    paths[3].write_bytes(b"broken")
    got = list(read_episodes(paths, workers=2))
    assert isinstance(got[3], UserError) and str(got[3]).startswith("3.hdf5: ")
    assert [e.id for i, e in enumerate(got) if i != 3] == ["0", "1", "2", "4", "5", "6"]


def test_writing_leaves_nothing_half_done(tmp_path, episode, monkeypatch):
    monkeypatch.setattr(h5py.File, "create_group", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_episode(tmp_path / "e.hdf5", episode)
    assert not (tmp_path / "e.hdf5").exists()
