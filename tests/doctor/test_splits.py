"""Leaks between splits, and what lies on the disk: lists, checksums, statistics, items left out."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from motion_lightning.data.clip import Rejected
from motion_lightning.data.official import OfficialFolder
from motion_lightning.data.statistics import frame_statistics
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.doctor.examine import examine
from motion_lightning.doctor.files import _checksums
from motion_lightning.motion.features import SLICES, mirror


@pytest.fixture(scope="module")
def leaking(examined, clean, changed):
    """Findings where each clip of test and val has something of a training clip."""

    def like(source, target, change):
        return replace(target, features=changed(source, change).features)

    def noisy(joints):
        return joints + np.random.default_rng(0).normal(scale=0.003, size=joints.shape)

    clips = list(clean)
    clips[3] = replace(clips[3], features=clips[4].features)
    clips[17] = replace(clips[17], tags={"recording": clips[0].id, "mirrored": True})
    clips[18] = replace(clips[18], features=clips[5].features)
    clips[20] = like(clips[6], clips[20], noisy)
    clips[21] = like(clips[7], clips[21], mirror)
    clips[22] = like(clips[8], clips[22], lambda joints: joints[:-1])
    clips[23] = replace(clips[23], captions=clips[9].captions[::-1])
    return examined(clips)


LEAKS = {
    "recordings in several splits": [17],
    "same clip in several splits": [18],
    "same clip twice in a split": [4],
    "near copies across splits": [20, 21, 22],  # 18 is told already
    "caption sets in several splits": [23],
}


@pytest.mark.parametrize("check", LEAKS)
def test_leaks_are_found(check, leaking, healthy):
    assert sorted(case.row for case in leaking[check].cases) == LEAKS[check]
    assert healthy[check].state == "fine"


def test_both_sides_of_a_leak_are_named(leaking, clean):
    for case in leaking["near copies across splits"].cases:
        assert clean[case.row - 14].id in case.what
        assert "(train)" in case.what
        assert ("in a mirror" in case.what) == (case.row == 21)


def test_splits_that_differ_are_found(examined, clean):
    lift = 0.5 * np.eye(263, dtype=np.float32)[3]
    clips = [replace(c, features=c.features + lift) if c.split == "test" else c for c in clean]
    cases = examined(clips)["splits that differ"].cases
    assert any("test: root_height" in case.what for case in cases)


# ---------------------------------------------------------------------------------------------- the disk


def test_items_left_out_are_told_by_their_kind(examined, clean):
    clips = [*clean, Rejected("a", "a.bvh", "shorter than 24 frames"), Rejected("b", "b.bvh", "no such file")]
    found = examined(clips)
    assert [case.what for case in found["items left out"].cases] == ["a (a.bvh): shorter than 24 frames"]
    assert [case.what for case in found["broken or missing items"].cases] == ["b (b.bvh): no such file"]
    assert found["broken or missing items"].of == 26


def test_checksums_of_the_source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    lines = []
    for name in ("a.npy", "b.npy", "c.npy"):
        (folder / name).write_bytes(name.encode())
        lines.append(f"{hashlib.sha256(name.encode()).hexdigest()}  {name}")
    (folder / "SHA256SUMS").write_text("\n".join([*lines, f"{'0' * 64}  ../outside"]))
    (folder / "b.npy").write_bytes(b"other")
    (folder / "c.npy").unlink()
    (finding,) = _checksums(folder)
    assert [case.what.split()[0] for case in finding.cases] == ["b.npy", "c.npy", "../outside"]
    assert finding.of == 4


def published(clips, change=lambda group, std: std):
    stats = frame_statistics([c.features for c in clips if c.split == "train"], SLICES.values())
    std = stats.std.copy()
    for group, part in SLICES.items():
        std[part] = change(group, std[part])
    return {
        "Mean.npy": {"sha256": "", "values": stats.mean.tolist()},
        "Std.npy": {"sha256": "", "values": std.tolist()},
    }


def test_drift_of_statistics(examined, clean):
    wrong = published(clean, lambda group, std: std * 1.5 if group == "velocities" else std)
    wrong["Mean.npy"]["values"][3] += 1
    cases = examined(clean, published=wrong)["drift of Mean and Std"].cases
    assert [case.what.split(":")[0] for case in cases] == ["root_height", "velocities"]


def test_statistics_of_an_evaluator_are_recognised(examined, clean):
    small = ("root_yaw_velocity", "root_velocity", "root_height", "contacts")
    finding = examined(clean, published=published(clean, lambda group, std: std / (25 if group in small else 1)))
    assert "evaluator" in finding["drift of Mean and Std"].advice


def test_an_official_folder_against_its_lists(clean, tmp_path, tiny_encoder):
    folder = tmp_path / "official"
    for sub in ("new_joint_vecs", "texts"):
        (folder / sub).mkdir(parents=True)
    lists = {"train": [], "val": [], "test": []}
    for i, clip in enumerate(clean):
        name = f"{i:06}"
        lists[clip.split].append(name)
        np.save(folder / f"new_joint_vecs/{name}.npy", clip.features)
        (folder / f"texts/{name}.txt").write_text("a man walks#a/DET man/NOUN walk/VERB#0.0#0.0\n")
    lists["test"].append("000099")
    for split, ids in lists.items():
        (folder / f"{split}.txt").write_text("\n".join(ids))
    np.save(folder / "new_joint_vecs/stray.npy", clean[0].features)
    corpus = OfficialFolder(folder, min_frames=20)
    prepare_store(corpus, tiny_encoder, tmp_path / "store", progress=False)
    found = {finding.check: finding for finding in examine(Store.open(tmp_path / "store"), corpus)[0]}
    told = [case.what for case in found["files and lists"].cases]
    assert any("000099 is listed and has no texts" in what for what in told)
    assert "new_joint_vecs/stray.npy is in no list" in told
    assert len(told) == 3
    assert "000099" in found["broken or missing items"].cases[0].what
    assert len(found["official lists"].cases) == 3  # they are not those that were published
