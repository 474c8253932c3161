"""Folders of joints become the features that the published scripts make of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.conversion import resample
from motion_lightning.data.joints_corpus import JointsCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError
from motion_lightning.motion.features import SLICES, features_to_joints, joints_to_features, mirror
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton()
WHOLE = "he lifts the left leg.#he/PRON lift/VERB the/DET left/ADJ leg/NOUN#0.0#0.0\n"


@pytest.fixture
def folder(tmp_path, walk) -> Path:
    """A walk under four names, one of them for its parts only, one that no list names."""
    (tmp_path / "joints").mkdir()
    (tmp_path / "texts").mkdir()
    texts = {"a": WHOLE, "b": WHOLE + "turning left##0.5#2.6\n", "c": "too short##0.0#0.5\n\n#\n", "d": WHOLE}
    for number, (name, text) in enumerate(texts.items()):
        np.save(tmp_path / "joints" / name, walk + np.array([number, 0, 0]))
        (tmp_path / "texts" / f"{name}.txt").write_text(text)
    for split, names in {"train": "a\n", "val": "b\r\n", "test": "c\nMa\nmissing\n"}.items():
        (tmp_path / f"{split}.txt").write_text(names)
    return tmp_path


def clips(folder, **settings) -> list[Clip | Rejected]:
    return list(JointsCorpus(folder, workers=0, **settings).clips())


def test_joints_become_features_with_captions_parts_and_splits(folder, walk):
    a, whole, part, short, line, unlisted = clips(folder)
    expected = joints_to_features(walk, SKELETON)
    np.testing.assert_allclose(a.features, expected, atol=1e-6)
    assert (a.id, a.split, a.captions) == ("a", "train", ["he lifts the left leg."])
    assert a.pos == ["he/PRON lift/VERB the/DET left/ADJ leg/NOUN"]
    assert a.tags == {"recording": "a", "mirrored": False, "start": 0.0, "end": 3.0, "duration": 3.0}
    assert (whole.id, whole.split) == ("b", "val")
    np.testing.assert_allclose(part.features, expected[10:52], atol=1e-6)  # cut as the published loader does
    assert (part.id, part.captions, part.tags["start"]) == ("b.s0", ["turning left"], 0.5)
    assert (short.id, short.reason) == ("c.s0", "a clip of 10 frames; 40 to 199 are taken")
    assert (line.where, unlisted.id) == ("texts/c.txt line 3", "d")
    assert unlisted.reason == "in none of train.txt, val.txt and test.txt"


def test_the_published_joints_give_the_published_features(tmp_path, shared_data, make_encoder):
    reference = shared_data / "humanml3d_reference"
    (tmp_path / "HumanML3D").mkdir()
    for name in ("new_joints", "texts"):
        (tmp_path / "HumanML3D" / name).symlink_to(reference / name)
    (tmp_path / "HumanML3D/train.txt").write_text("000000\n012314\n")
    corpus = JointsCorpus(tmp_path / "HumanML3D", workers=0)
    prepare_store(corpus, make_encoder(), tmp_path / "store", progress=False)
    store = Store.open(tmp_path / "store")
    split = store.split("train")
    assert split.ids == ["000000"] and len(split.captions(0)) == 4  # the other one comes without captions
    published = np.load(reference / "new_joint_vecs/000000.npy")[:-1]
    error = {name: np.abs(split.features(0) - published)[:, part].max() for name, part in SLICES.items()}
    assert error["rotations"] < 2e-4 and error["positions"] < 6e-5 and error["contacts"] == 0
    assert [entry["where"] for entry in store.manifest["rejected"]] == ["texts/012314.txt"]


def test_mirrored_copies_follow_where_there_are_none(folder, walk):
    (folder / "train.txt").write_text("a\nd\nMd\n")
    np.save(folder / "joints/Md", walk)
    (folder / "texts/Md.txt").write_text("his own words\n")
    found = [item for item in clips(folder, mirror=True) if isinstance(item, Clip)]
    assert [clip.id for clip in found] == ["Md", "a", "Ma", "b", "b.s0", "Mb", "Mb.s0", "d"]
    copies = {clip.id: clip for clip in found if clip.tags["mirrored"]}
    assert copies["Mb.s0"].captions == ["turning right"] and copies["Mb"].split == "val"
    assert copies["Ma"].pos == ["he/PRON lift/VERB the/DET right/ADJ leg/NOUN"]
    assert copies["Md"].captions == ["his own words"] and copies["Md"].tags["recording"] == "d"
    expected = joints_to_features(mirror(walk), SKELETON)
    np.testing.assert_allclose(copies["Ma"].features, expected, atol=1e-6)


def test_another_rate_another_axis_and_more_joints(folder, walk):
    fast = resample(walk, 20, 60)[..., [0, 2, 1]] * [1, -1, 1]
    np.save(folder / "joints/a", np.concatenate([fast, fast[:, :30]], axis=1))  # fingers follow
    expected = joints_to_features(walk, SKELETON)
    clip = clips(folder, fps=60, up="z")[0]
    joints, plain = (features_to_joints(torch.from_numpy(f)).numpy() for f in (clip.features, expected))
    np.testing.assert_allclose(joints, plain[: len(joints)], atol=5e-3)


def test_a_captions_file_does_as_well(folder, walk):
    rows = [
        {
            "file": "joints/a.npy",
            "id": "one",
            "captions": ["left"],
            "labels": {"content": "left kick"},
            "split": "test",
        },
        {"file": "joints/b.npy", "fps": 10, "captions": ["slow"], "skip_frames": 10},
        {"file": "joints/none.npy", "captions": ["nothing"]},
        {"file": "joints/c.npy", "captions": []},
    ]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    one, mirrored, slow, *_, missing, _, mute, _ = clips(folder, mirror=True)
    assert (one.id, one.split, mirrored.id, mirrored.split) == ("one", "test", "Mone", "test")
    assert mirrored.captions == ["right"] and mirrored.tags["labels"] == {"content": "right kick"}
    assert len(slow.features) == 2 * (len(walk) - 11)
    assert (missing.where, missing.reason) == ("joints/none.npy", "no such file")
    assert (mute.where, mute.reason) == ("captions", "no caption")


def test_an_interrupted_preparation_goes_on_where_it_was(folder):
    corpus = JointsCorpus(folder, mirror=True, workers=0)
    told = [(item.id, type(item)) for item in corpus.clips()]
    for start in range(len(told) + 1):
        assert [(item.id, type(item)) for item in corpus.clips(start)] == told[start:]


@pytest.mark.slow
def test_processes_give_the_same_clips(folder):
    alone, two = clips(folder), list(JointsCorpus(folder, workers=1).clips())
    assert [item.id for item in alone] == [item.id for item in two]
    np.testing.assert_array_equal(alone[2].features, two[2].features)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((60, 21, 3)), "expected (frames, 22, 3) numbers for humanml22, got float64 (60, 21, 3)"),
        (np.zeros((60, 66)), "got float64 (60, 66)"),
        (np.full((60, 22, 3), "x"), "got <U1 (60, 22, 3)"),
        (np.full((60, 22, 3), np.nan), "pelvis of frame 0 is not a number"),
        (np.zeros((60, 22, 3)), "pelvis and left_hip coincide in frame 0"),
        (np.zeros((1, 22, 3)), "1 frames, 2 are needed"),
        (np.array([{}]), "holds pickled objects"),
    ],
)
def test_a_file_that_holds_no_motion_is_left_out(folder, array, reason):
    np.save(folder / "joints/a", array)
    found = clips(folder)
    assert isinstance(found[0], Rejected) and reason in found[0].reason and found[0].where == "joints/a.npy"
    assert isinstance(found[1], Clip)


def test_what_is_missing_is_named(folder, tmp_path):
    cases = [
        ({"source": tmp_path / "nowhere"}, "nowhere is no folder"),
        ({"source": tmp_path / "texts"}, "holds no .npy files"),
        ({"source": tmp_path / "joints"}, "has neither texts/"),
        ({"source": folder, "fps": -1}, "fps is -1"),
        ({"source": folder, "up": "x"}, "up is 'x'"),
        ({"source": folder, "min_frames": 300}, "min_frames 300"),
        ({"source": folder, "hip_order": "right"}, "hip_order is 'right'"),
        ({"source": folder, "caption_style": "neat"}, "caption_style is 'neat'"),
        ({"source": folder, "skeleton": "humanml23"}, "no skeleton file"),
    ]
    for settings, message in cases:
        with pytest.raises(UserError, match=message):
            JointsCorpus(**settings)
    (folder / "val.txt").write_text("a\n")
    with pytest.raises(UserError, match=r"val.txt line 1: a is in train.txt already"):
        JointsCorpus(folder)


def test_the_fingerprint_follows_files_lists_and_settings(folder):
    seen = [JointsCorpus(folder).fingerprint()]
    assert JointsCorpus(folder, workers=0).fingerprint() == seen[0]
    seen.append(JointsCorpus(folder, mirror=True).fingerprint())
    seen.append(JointsCorpus(folder, hip_order="corrected").fingerprint())
    (folder / "texts/a.txt").write_text("another caption")
    seen.append(JointsCorpus(folder).fingerprint())
    (folder / "test.txt").write_text("d\n")
    seen.append(JointsCorpus(folder).fingerprint())
    assert len({json.dumps(one, sort_keys=True) for one in seen}) == len(seen)


def test_kit_joints_make_251_features(tmp_path):
    kit = load_skeleton("kit21")
    rest = np.random.default_rng(0).normal(size=(30, 1, 3)) + np.cumsum(kit.offsets, axis=0)
    np.save(tmp_path / "still", rest)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/still.txt").write_text("nobody moves\n")
    corpus = JointsCorpus(tmp_path, skeleton="kit21", min_frames=24, workers=0)
    (clip,) = corpus.clips()
    assert clip.features.shape == (29, 251) and corpus.fps == 12.5
