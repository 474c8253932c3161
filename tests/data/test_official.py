import os
import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.official import OfficialFolder
from motion_lightning.data.store import Store
from motion_lightning.data.writer import is_current, prepare_store
from motion_lightning.errors import UserError
from motion_lightning.motion.features import features_to_joints

WHOLE = "a man kicks.#a/DET man/NOUN kick/VERB#0.0#0.0\n"


def motion(frames: int, seed: int = 0, width: int = 263) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((frames, width)).astype(np.float32)


def make_folder(path: Path, motions: dict[str, np.ndarray], texts: dict[str, str], **lists: str) -> Path:
    """An official folder; motions that no list names are for training."""
    for folder in ("new_joint_vecs", "texts"):
        (path / folder).mkdir(parents=True)
    for name, features in motions.items():
        np.save(path / "new_joint_vecs" / name, features)
        (path / "texts" / f"{name}.txt").write_text(texts.get(name, WHOLE), encoding="utf-8")
    lists = {"train": "\n".join(motions), "val": "", "test": ""} | lists
    for split, names in lists.items():
        (path / f"{split}.txt").write_text(names)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four motions, one of which is mirrored, one with captions for its parts."""
    motions = {"000001": motion(60, 1), "M000001": motion(60, 2), "000002": motion(199, 3), "000003": motion(45, 4)}
    parts = f"{WHOLE}he steps back#he/PRON step/VERB back/ADV#1.3#4.05\nhe turns##5.0#20.0\nhe bows##0.0#1.0\n"
    lists = {"train": "000001\nM000001\n", "val": "000002\r\n", "test": "000003"}
    return make_folder(tmp_path / "HumanML3D", motions, {"000002": parts, "000003": "a walk\nwalking # 2\n"}, **lists)


def items(folder, **settings) -> list:
    return list(OfficialFolder(folder, **settings).clips())


def told(item) -> tuple:
    """An item, to be compared."""
    return (item.id, item.where, item.reason) if isinstance(item, Rejected) else (item.id, item.features.tobytes())


def test_parity_through_prepare(tmp_path, shared_data, make_encoder):
    """The published arrays come back bit for bit, with their captions, and their joints to a micrometre."""
    reference = shared_data / "humanml3d_reference"
    source = tmp_path / "HumanML3D"
    for name in ("new_joint_vecs", "texts"):
        shutil.copytree(reference / name, source / name)
    for name in ("Mean.npy", "Std.npy"):
        shutil.copy(reference / name, source)
    text = "a man serves # twice.#a/DET man/NOUN serve/VERB twice/ADV#0.0#0.0\nhe waits##nan#nan\nhe bends##2.0#5.0\n"
    (source / "texts" / "012314.txt").write_text(text)
    lists = {"train": "012314\n", "val": "", "test": "000000\n"}
    for split, names in lists.items():
        (source / f"{split}.txt").write_text(names)
    prepare_store(OfficialFolder(source), make_encoder(), tmp_path / "store", progress=False)
    store = Store.open(tmp_path / "store")
    train, test = store.split("train"), store.split("test")
    assert (train.ids, test.ids) == (["012314", "012314.s0"], ["000000"])

    published = {name: np.load(reference / "new_joint_vecs" / f"{name}.npy") for name in ("012314", "000000")}
    np.testing.assert_array_equal(train.features(0), published["012314"])
    np.testing.assert_array_equal(train.features(1), published["012314"][40:100])
    np.testing.assert_array_equal(test.features(0), published["000000"].astype(np.float32))  # published in float64
    for split, name in ((train, "012314"), (test, "000000")):
        joints = features_to_joints(torch.from_numpy(split.features(0).copy()))
        assert np.abs(joints.numpy() - np.load(reference / "new_joints" / f"{name}.npy")).max() < 1e-6

    assert train.captions(0) == ["a man serves # twice.", "he waits"]
    assert [store.texts.pos(i) for i in train.text_ids(0)] == ["a/DET man/NOUN serve/VERB twice/ADV", ""]
    assert train.captions(1) == ["he bends"]
    lines = (reference / "texts" / "000000.txt").read_text().splitlines()
    assert test.captions(0) == [line.split("#")[0] for line in lines]
    assert [store.texts.pos(i) for i in test.text_ids(0)] == [line.split("#")[1] for line in lines]

    statistics = store.manifest["source"]["published"]
    for name in ("Mean.npy", "Std.npy"):
        np.testing.assert_array_equal(np.float32(statistics[name]["values"]), np.load(reference / name))


def test_the_clips_of_a_folder(folder):
    clips = {clip.id: clip for clip in items(folder) if isinstance(clip, Clip)}
    assert list(clips) == ["000001", "M000001", "000002", "000002.s0", "000002.s1", "000003"]
    assert [clip.split for clip in clips.values()] == ["train", "train", "val", "val", "val", "test"]
    np.testing.assert_array_equal(clips["000002.s0"].features, motion(199, 3)[26:81])  # 1.3 and 4.05 s
    np.testing.assert_array_equal(clips["000002.s1"].features, motion(199, 3)[100:])
    assert clips["000002.s0"].captions == ["he steps back"]
    assert clips["000002.s0"].pos == ["he/PRON step/VERB back/ADV"]
    assert clips["000002.s1"].pos == []
    assert clips["000002.s0"].tags == {
        "recording": "000002", "mirrored": False, "start": 1.3, "end": 4.05, "duration": 2.75
    }  # fmt: skip
    assert clips["M000001"].tags == {
        "recording": "000001", "mirrored": True, "start": 0.0, "end": 3.0, "duration": 3.0
    }  # fmt: skip
    rejected = [told(item) for item in items(folder) if isinstance(item, Rejected)]
    assert rejected == [
        ("000002.s2", "texts/000002.txt, 0.0 to 1.0 s", "a part shorter than 40 frames"),
        ("000003", "texts/000003.txt line 2", rejected[1][2]),
    ]
    assert "expected caption#word/TAG" in rejected[1][2]


def test_settings(folder):
    assert "M000001" not in [item.id for item in items(folder, mirrored=False)]
    plain = {item.id: item for item in items(folder, caption_style="plain")}
    assert plain["000003"].captions == ["a walk", "walking # 2"]
    assert {item.id for item in items(folder, min_frames=10)} == {item.id for item in items(folder)}
    assert not [item for item in items(folder, min_frames=10, caption_style="plain") if isinstance(item, Rejected)]
    for wrong in ({"min_frames": 0}, {"min_frames": 50, "max_frames": 40}, {"caption_style": "json"}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            OfficialFolder(folder, **wrong)


def published_loader(features: np.ndarray, lines: list[str]) -> list[tuple[bytes, list[str]]]:
    """What the published rules make of one motion of HumanML3D, written once more after their description."""
    if not 40 <= len(features) < 200:
        return []
    clips, whole = [], []
    for line in lines:
        caption, _, *times = line.split("#")
        start, end = (0.0 if np.isnan(t) else t for t in map(float, times))
        if start == end == 0:
            whole.append(caption)
        elif 40 <= len(part := features[int(start * 20) : int(end * 20)]) < 200:
            clips.append((part.tobytes(), [caption]))
    return [(features.tobytes(), whole)] * bool(whole) + clips


def test_what_counts_is_what_the_published_loader_takes(tmp_path):
    draw = random.Random(0)
    motions = {f"{i:06}": motion(draw.choice([39, 40, 41, 100, 198, 199, 200, 201]), i) for i in range(60)}
    texts = {}
    for name in motions:
        times = [(0.0, 0.0), (0.0, float("nan")), (0.0, round(draw.random() * 10, 2))]
        times += [sorted(round(draw.random() * 11, 2) for _ in range(2)) for _ in range(3)]
        chosen = draw.sample(times, draw.randint(1, 4))
        texts[name] = "".join(f"caption {i}#a/X#{a}#{b}\n" for i, (a, b) in enumerate(chosen))
    corpus = OfficialFolder(make_folder(tmp_path / "f", motions, texts))
    ours = [(c.features.tobytes(), c.captions) for c in corpus.clips() if isinstance(c, Clip)]
    theirs = [clip for name in motions for clip in published_loader(motions[name], texts[name].splitlines())]
    assert ours == theirs
    assert 20 < len(ours) < 200


def test_it_goes_on_where_it_stopped(folder):
    (folder / "train.txt").write_text("000001\nnone\nM000001\n000001\n")
    corpus = OfficialFolder(folder, workers=1)
    whole = [told(item) for item in corpus.clips()]
    for start in range(len(whole) + 1):
        assert [told(item) for item in OfficialFolder(folder).clips(start=start)] == whole[start:]


def break_motion(path: Path, kind: str) -> None:
    file = path / "new_joint_vecs" / "000001.npy"
    if kind == "missing":
        file.unlink()
    elif kind == "pickle":
        np.save(file, np.array([{"a": 1}]), allow_pickle=True)
    elif kind == "bare pickle":
        motion(60).dump(file)
    elif kind == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "zip":
        np.savez(path / "x.npz", motion(60))
        (path / "x.npz").replace(file)
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    else:
        features = motion(60).astype(np.float64)
        features[[50, 51]] = {"nan": np.nan, "infinite": np.inf, "large": 1e300}.get(kind, 0)
        changed = {"narrow": features[:, :262], "flat": features[0], "whole numbers": np.ones((60, 263), int)}
        np.save(file, changed.get(kind, features))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "no such file"),
        ("pickle", "pickled objects"),
        ("bare pickle", "no array of numpy"),
        ("cut", "cut short"),
        ("empty", "no array of numpy"),
        ("zip", "no array of numpy"),
        ("folder", "cannot be read"),
        ("nan", "NaN or infinity"),
        ("infinite", "NaN or infinity"),
        ("large", "NaN or infinity"),
        ("narrow", "expected (frames, 263) of floats for humanml22, got (60, 262) float64"),
        ("flat", "expected (frames, 263) of floats for humanml22, got (263) float64"),
        ("whole numbers", "expected (frames, 263) of floats for humanml22, got (60, 263) int64"),
    ],
)
def test_a_motion_that_cannot_be_used_is_listed(folder, kind, reason):
    whole = items(folder)
    break_motion(folder, kind)
    bad, *rest = items(folder)
    assert isinstance(bad, Rejected) and bad.id == "000001" and reason in bad.reason
    assert bad.where.startswith("new_joint_vecs/000001.npy")
    assert "row 50" in bad.where or "NaN" not in bad.reason
    assert [told(item) for item in rest] == [told(item) for item in whole[1:]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"\n \n", "no caption"),
        (b"#", "expected caption#"),
    ],
)
def test_texts_that_cannot_be_used_are_listed(folder, content, reason):
    path = folder / "texts" / "000001.txt"
    path.write_bytes(content) if content is not None else path.unlink()
    bad = items(folder)[0]
    assert isinstance(bad, Rejected) and reason in bad.reason and bad.where.startswith("texts/000001.txt")


def test_lists_with_wrong_lines(folder):
    (folder / "train.txt").write_text("000001\n../000001\nM000001\n.\n000001\n" + "x" * 300 + "\na/b\nC:\\x\n")
    (folder / "val.txt").write_text("000002\n000001\n")
    rejected = {item.where: item for item in items(folder) if isinstance(item, Rejected) and ".txt line" in item.where}
    lines = {f"train.txt line {n}" for n in (2, 4, 5, 6, 7, 8)} | {"val.txt line 2"}
    assert lines <= rejected.keys()
    assert rejected["train.txt line 5"].reason == rejected["val.txt line 2"].reason == "is in train.txt already"
    assert "an id is the name of a file" in rejected["train.txt line 2"].reason


def test_kit(tmp_path):
    motions = {"00001": motion(24, 1, 251), "M00001": motion(23, 2, 251), "00002": motion(60, 3)}
    folder = make_folder(tmp_path / "KIT-ML", motions, {})
    corpus = OfficialFolder(folder, "kit", "kit21", min_frames=24)
    clip, short, wide = corpus.clips()
    assert (corpus.fps, clip.id, clip.features.shape, clip.tags["duration"]) == (12.5, "00001", (24, 251), 1.92)
    assert short.reason == "shorter than 24 frames"
    assert wide.reason == "expected (frames, 251) of floats for kit21, got (60, 263) float32"


def test_a_folder_of_another_kind(folder, tmp_path):
    def says(message: str, path: Path = folder):
        with pytest.raises(UserError, match=re.escape(message)):
            OfficialFolder(path)

    says("is no folder", tmp_path / "none")
    says(f"did you mean {folder}?", tmp_path)
    np.save(folder / "Mean.npy", np.zeros(251, np.float32))
    says("Mean.npy: expected 263 finite numbers for skeleton humanml22, got float32 of shape (251,)")
    np.save(folder / "Mean.npy", np.full(263, np.nan))
    says("Mean.npy: expected 263 finite numbers")
    (folder / "Mean.npy").write_bytes(b"?")
    says("Mean.npy: no array of numpy")
    (folder / "Mean.npy").unlink()
    for split in ("train", "val", "test"):
        (folder / f"{split}.txt").write_text("\n")
    says("name no motion")
    (folder / "val.txt").unlink()
    says("lacks val.txt; a folder with new_joint_vecs/, texts/, train.txt, val.txt, test.txt is expected")
    (folder / "new_joint_vecs").rename(folder / "new_joints")
    says("data=joints")


def test_a_change_of_the_folder_makes_its_store_out_of_date(folder, tmp_path, make_encoder):
    encoder, path = make_encoder(), tmp_path / "store"
    prepare_store(OfficialFolder(folder), encoder, path, progress=False)
    assert is_current(path, OfficialFolder(folder, workers=1), encoder)
    assert not is_current(path, OfficialFolder(folder, mirrored=False), encoder)
    file = folder / "texts" / "000003.txt"
    for change in (lambda: file.write_text("a run\n"), lambda: os.utime(file, (0, 0)), file.unlink):
        before = OfficialFolder(folder).fingerprint()
        change()
        assert OfficialFolder(folder).fingerprint() != before
        assert not is_current(path, OfficialFolder(folder), encoder)


def damage(data: bytes, draw: random.Random) -> bytes:
    """Bytes changed, cut out, put in or repeated, mostly near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(min(len(changed), draw.choice([8, 130, 2000])) or 1)
        kind = draw.randrange(4)
        if kind == 0:
            changed[at : at + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            del changed[at : at + draw.choice([1, 8, 64, 10**6])]
        elif kind == 2:
            changed[at:at] = draw.choice(
                [b"#", b"'", b"(", b"9" * 20, b"\n", b"nan", b"-", b"O", b"\xff", b"\x00" * 16]
            )
        else:
            changed[at:at] = changed[at : at + draw.randrange(64)]
    return bytes(changed)


def fuzz(folder: Path, file: str, rounds: int, seed: int) -> None:
    draw, path = random.Random(seed), folder / file
    data = path.read_bytes()
    (folder / "val.txt").write_text("")
    (folder / "test.txt").write_text("")
    (folder / "train.txt").write_text(path.stem)
    corpus = OfficialFolder(folder, min_frames=1)
    for _ in range(rounds):
        path.write_bytes(damage(data, draw))
        for item in corpus._read((path.stem, "train")):
            if isinstance(item, Clip):
                assert item.features.dtype == np.float32 and item.features.shape[1] == 263
                assert np.isfinite(item.features).all() and all(caption.strip() for caption in item.captions)
            else:
                assert item.where.startswith((file, f"texts/{path.stem}")) and len(item.reason) < 200


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@pytest.mark.parametrize("rounds", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_damaged_files_are_listed_or_read(folder, rounds):
    np.save(folder / "new_joint_vecs" / "000001.npy", motion(3))
    fuzz(folder, "new_joint_vecs/000001.npy", rounds, 0)
    fuzz(folder, "texts/000002.txt", rounds, 1)
