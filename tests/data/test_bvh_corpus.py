"""Folders and zips of BVH recordings become clips: lengths, rates, splits, captions, and what is refused."""

import json
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_lightning.data.bvh_corpus import BvhCorpus
from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.conversion import resample, windows
from motion_lightning.data.recordings import assign_splits, read_recordings
from motion_lightning.errors import UserError
from motion_lightning.motion.bvh import Bvh, read_bvh, write_bvh
from motion_lightning.motion.features import canonicalise, features_to_joints, mirror, retarget
from motion_lightning.motion.rig import load_rig
from motion_lightning.motion.skeleton import load_skeleton

SKELETON = load_skeleton("humanml22")
REST = {
    "left": [1.0, 0, 0],
    "right": [-1.0, 0, 0],
}  # arms and hips point sideways, the rest as in the skeleton


def walker(path: Path, frames: int, fps: float, speed: float = 1.0, unit: float = 100.0) -> None:
    """A stiff figure that slides along +Z at a speed in m/s and swings its left shoulder."""
    offsets = SKELETON.offsets * unit
    for j, name in enumerate(SKELETON.joints):
        if name.split("_")[-1] in ("shoulder", "elbow", "wrist"):
            offsets[j] = np.array(REST[name.split("_")[0]]) * SKELETON.bone_lengths[j] * unit
    positions = np.repeat(offsets[None], frames, axis=0)
    positions[:, 0] = [0, unit, 0]
    positions[:, 0, 2] += np.arange(frames) / fps * speed * unit
    rotations = np.broadcast_to(np.eye(3), (frames, len(offsets), 3, 3)).copy()
    angle = np.sin(2 * np.pi * np.arange(frames) / fps)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rotations[:, SKELETON.index("left_shoulder"), :2, :2] = turn.transpose(2, 0, 1)
    write_bvh(path, Bvh(SKELETON.joints, SKELETON.parents, offsets, {}, positions, rotations, 1 / fps))


@pytest.fixture
def rig(tmp_path):
    path = tmp_path / "motions" / "same.yaml"
    path.parent.mkdir(exist_ok=True)
    joints = "\n".join(f"  {name}: {name}" for name in SKELETON.joints)
    path.write_text(f"name: same\nunit: cm\nup: y\njoints:\n{joints}\n")
    return str(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "motions"
    folder.mkdir(exist_ok=True)
    return folder


def caption_file(folder: Path, *rows: dict | str) -> Path:
    path = folder / "captions.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def row(rig: str, file: str = "a.bvh", **more) -> dict:
    return {"file": file, "skeleton": rig, "fps": 60, "captions": ["a person walks"], **more}


def clips(folder: Path, **settings) -> list[Clip | Rejected]:
    return list(BvhCorpus(folder, workers=0, **settings).clips())


def test_a_recording_becomes_a_clip_at_its_true_speed(folder, rig):
    walker(folder / "a.bvh", 301, 60, speed=1.3)
    text = (folder / "a.bvh").read_text()
    (folder / "a.bvh").write_text(text.replace(f"Frame Time: {1 / 60:.10g}", "Frame Time: 0.00833333"))
    caption_file(folder, row("same.yaml", labels={"folder": "x"}, flags=["fast"], license="CC0", source="here"))
    (clip,) = clips(folder)
    assert clip.features.shape == (100, 263)
    assert clip.features.dtype == np.float32
    joints = features_to_joints(torch.from_numpy(clip.features)).numpy()
    speed = np.linalg.norm(joints[-1, 0] - joints[0, 0]) / (99 / 20)
    assert speed == pytest.approx(1.3, rel=0.02)
    assert joints[-1, 0, 2] > 5  # forward
    assert joints[..., 1].min() == pytest.approx(0, abs=1e-4)
    assert (joints[:, SKELETON.index("left_wrist"), 0] > joints[:, SKELETON.index("right_wrist"), 0]).all()
    assert clip.captions == ["a person walks"]
    assert (clip.tags["recording"], clip.tags["rig"]) == ("a", "same")
    assert (clip.tags["start"], clip.tags["end"], clip.tags["duration"]) == (0, 5, 5)
    assert clip.tags["labels"] == {"folder": "x"}
    assert clip.tags["flags"] == ["fast"]
    assert (clip.tags["license"], clip.tags["source"]) == ("CC0", "here")
    json.dumps(clip.tags)


def test_leading_frames_are_dropped(folder, rig):
    walker(folder / "a.bvh", 301, 60)
    lines = (folder / "a.bvh").read_text().split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("Frame Time")) + 1
    lines[first] = " ".join(["5000", *lines[first].split()[1:]])  # a rest pose 50 m away
    (folder / "a.bvh").write_text("\n".join(lines))
    caption_file(folder, row(rig, skip_frames=1), row(rig, id="with"))
    clip, jumping = clips(folder)
    assert np.abs(clip.features[:, 1:3]).max() < 0.1
    assert np.abs(jumping.features[:, 1:3]).max() > 10
    assert clip.tags["start"] == pytest.approx(1 / 60, abs=1e-4)


def test_long_recordings_are_cut_into_equal_windows_that_share_all(folder, rig):
    walker(folder / "a.bvh", 1501, 60)
    caption_file(folder, row(rig, captions=["walks", "strolls"]))
    found = clips(folder)
    assert [len(clip.features) for clip in found] == [167, 166, 167]
    assert len({clip.id for clip in found}) == 3
    assert {tuple(clip.captions) for clip in found} == {("walks", "strolls")}
    assert len({clip.split for clip in found}) == 1
    assert [clip.tags["start"] for clip in found[1:]] == [clip.tags["end"] for clip in found[:-1]]
    assert found[-1].tags["end"] == 25


def test_every_clip_can_be_followed_by_its_mirror_image(folder, rig):
    walker(folder / "a.bvh", 901, 60)
    caption_file(folder, row(rig, captions=["he swings the left arm"]))
    plain, found = clips(folder), clips(folder, mirror=True)
    assert [clip.id for clip in found] == ["a.0", "Ma.0", "a.1", "Ma.1"]
    np.testing.assert_array_equal(found[2].features, plain[1].features)
    assert found[3].captions == ["he swings the right arm"] and found[3].tags["mirrored"]
    joints, image = (features_to_joints(torch.from_numpy(clip.features)).numpy() for clip in found[2:])
    expected = canonicalise(retarget(mirror(joints, SKELETON), SKELETON), SKELETON)  # sides differ by millimetres
    np.testing.assert_allclose(image, expected, atol=1e-4)
    assert BvhCorpus(folder, mirror=True).fingerprint() != BvhCorpus(folder).fingerprint()


def test_windows_cover_everything_once():
    for frames in (1, 39, 196, 197, 500, 1961):
        cut = windows(frames, 196)
        assert [a for a, _ in cut] == [0, *(b for _, b in cut[:-1])]
        assert cut[-1][1] == frames
        lengths = [b - a for a, b in cut]
        assert max(lengths) <= 196
        assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(("fps", "frames"), [(120, 121), (60, 61), (30, 31), (25, 26), (10, 11)])
def test_resampling_keeps_time_and_smoothness(fps, frames):
    t = np.arange(frames) / fps
    motion = np.sin(2 * np.pi * t)[:, None, None] * np.ones((1, 2, 3))
    again = resample(motion, fps, 20)
    assert len(again) == 21
    np.testing.assert_allclose(again[:, 0, 0], np.sin(2 * np.pi * np.arange(21) / 20), atol=5e-3)


def test_bad_files_are_left_out_and_listed(folder, rig):
    walker(folder / "a.bvh", 301, 60)
    walker(folder / "short.bvh", 10, 60)
    text = (folder / "a.bvh").read_text()
    (folder / "cut.bvh").write_text(text[: len(text) * 3 // 4])
    (folder / "nan.bvh").write_text(text[: text.rindex(" ")] + " nan\n")
    (folder / "text.bvh").write_text("hello")
    (folder / "other.bvh").write_text(text.replace("left_wrist", "left_hand"))
    names = ["missing", "short", "cut", "nan", "text", "other", "a"]
    caption_file(folder, *(row(rig, f"{name}.bvh") for name in names), row(rig, id="mute", captions=[" "]))
    found = clips(folder)
    assert [type(item) for item in found] == [Rejected] * 6 + [Clip, Rejected]
    reasons = {item.id: item.reason for item in found if isinstance(item, Rejected)}
    assert reasons["missing"] == "no such file"
    assert reasons["short"] == "a clip of 3 frames, 40 are needed"
    last = text[: len(text) * 3 // 4].count("\n") + 1
    assert reasons["cut"].startswith(f"line {last}: expected 69 numbers, found ")
    assert "found 'nan'" in reasons["nan"]
    assert reasons["text"].startswith("line 1: expected MOTION")
    assert reasons["other"].startswith("no joint left_wrist, which rig same needs for left_wrist")
    assert reasons["mute"] == "no caption in captions.jsonl line 8"
    assert found[0].where == "motions/missing.bvh"


def test_zips_and_processes_give_the_same_clips(folder, rig, tmp_path):
    rows = []
    for k in range(5):
        walker(folder / f"{k}.bvh", 150 + k, 60)
        rows.append(row(rig, f"{k}.bvh"))
    rows.append(row(rig, "none.bvh"))
    caption_file(folder, *rows)
    expected = clips(folder)
    packed = tmp_path / "packed"
    packed.mkdir()
    for kind, name in ((zipfile.ZIP_LZMA, "one.zip"), (zipfile.ZIP_DEFLATED, "two.zip")):
        with zipfile.ZipFile(packed / name, "w", kind) as archive:
            for k in range(5):
                archive.write(folder / f"{k}.bvh", f"sub/{k}.bvh")
    rows = [{**r, "file": f"sub/{r['file']}", "archive": ("one.zip", "two.zip")[i % 2]} for i, r in enumerate(rows)]
    caption_file(packed, *({**r, "id": r["file"][4:-4]} for r in rows))
    for source, workers in ((packed, 1), ([packed / "one.zip", packed / "two.zip"], 0)):
        found = list(BvhCorpus(source, workers=workers).clips())
        assert [item.id for item in found] == [item.id for item in expected]
        for item, other in zip(found[:-1], expected[:-1], strict=True):
            np.testing.assert_array_equal(item.features, other.features)
            assert item.split == other.split
        assert found[-1].where == "two.zip/sub/none.bvh"


def test_a_damaged_zip_member_is_left_out_and_a_damaged_zip_refused(folder, rig):
    walker(folder / "a.bvh", 150, 60)
    with zipfile.ZipFile(folder / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "a.bvh", "a.bvh")
    data = bytearray((folder / "z.zip").read_bytes())
    data[200:260] = bytes(60)
    (folder / "z.zip").write_bytes(data)
    caption_file(folder, row(rig, archive="z.zip"))
    (item,) = clips(folder)
    assert item.where == "z.zip/a.bvh"
    assert "broken in its zip" in item.reason
    (folder / "y.zip").write_bytes(data[:-40])
    caption_file(folder, row(rig, archive="y.zip"))
    with pytest.raises(UserError, match=r"y\.zip is no zip that can be read"):
        BvhCorpus(folder)


def test_captions_of_every_kind_but_the_subject_only_for_want_of_others(folder, rig):
    subject = "subject_description"
    path = caption_file(
        folder,
        row(
            rig,
            id="a",
            captions=["He waves. ", "wave", "dance"],
            caption_kinds=["sentence", "index", subject],
        ),
        row(rig, id="b", captions=["dance"], caption_kinds=[subject]),
        row(rig, id="c", captions=[], subject_description="climb"),
        row(rig, id="d", captions=["wave right hand, youthful", "wave right hand, youthful"]),
        row(rig, id="e", captions=[]),
    )
    found = {r.id: r for r in read_recordings(path)}
    assert found["a"].captions == ("He waves.", "wave")
    assert found["a"].caption_kinds == ("sentence", "index")
    assert found["b"].captions == ("dance",)
    assert (found["c"].captions, found["c"].caption_kinds) == (("climb",), (subject,))
    assert found["d"].captions == ("wave right hand, youthful",)
    assert found["e"].captions == ()


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("{'file': 1}", "line 2: not JSON"),
        ("[1, 2]", "line 2: expected an object"),
        ('{"skeleton": "daz"}', "line 2: file should be a path"),
        ('{"file": "a.bvh"}', "line 2: skeleton should be the name of a rig"),
        (
            '{"file": "b.bvh", "skeleton": "unicorn"}',
            "line 2: no rig 'unicorn'; known are bandai, cc_base, daz",
        ),
        ('{"file": "../b.bvh", "skeleton": "daz"}', "line 2: '../b.bvh' leaves its folder"),
        ('{"file": "/b.bvh", "skeleton": "daz"}', "line 2: '/b.bvh' leaves its folder"),
        ('{"file": "x\\\\..\\\\b.bvh", "skeleton": "daz"}', "line 2: .* leaves its folder"),
        (
            '{"file": "b.bvh", "archive": "../z.zip", "skeleton": "daz"}',
            "line 2: '../z.zip' leaves its folder",
        ),
        ('{"file": "b.bvh", "archive": "z.zip", "skeleton": "daz"}', "line 2: archive z.zip should be one"),
        ('{"file": "a.bvh", "skeleton": "daz"}', "line 2: id 'a' is that of captions.jsonl line 1 too"),
        ('{"file": "b.bvh", "skeleton": "daz", "fps": 0}', "line 2: fps should be positive"),
        ('{"file": "b.bvh", "skeleton": "daz", "fps": "60"}', "line 2: fps should be a positive number"),
        ('{"file": "b.bvh", "skeleton": "daz", "fps": NaN}', "line 2: fps should be positive"),
        ('{"file": "b.bvh", "skeleton": "daz", "skip_frames": -1}', "line 2: .* skip_frames 0 or more"),
        ('{"file": "b.bvh", "skeleton": "daz", "split": "dev"}', "line 2: split should be one of train"),
        ('{"file": "b.bvh", "skeleton": "daz", "captions": "walk"}', "line 2: captions should be a list"),
        ('{"file": "b.bvh", "skeleton": "daz", "captions": [1]}', "line 2: captions should hold texts"),
        (
            '{"file": "b.bvh", "skeleton": "daz", "captions": ["a"], "caption_kinds": ["x", "y"]}',
            "1 captions, but 2",
        ),
    ],
)
def test_a_wrong_line_of_the_captions_file_is_named(folder, rig, second, message):
    caption_file(folder, row(rig), second)
    with pytest.raises(UserError, match=message):
        BvhCorpus(folder)


def test_what_is_missing_is_named(folder, tmp_path):
    with pytest.raises(UserError, match="no source of BVH files"):
        BvhCorpus(None)
    with pytest.raises(UserError, match=r"no folder or zip .*nowhere"):
        BvhCorpus(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no captions file"):
        BvhCorpus(folder)
    with pytest.raises(UserError, match="min_frames"):
        BvhCorpus(folder, min_frames=200)
    caption_file(folder, "")
    with pytest.raises(UserError, match="holds no recordings"):
        BvhCorpus(folder)


def test_the_fingerprint_follows_motions_captions_rigs_and_settings(folder, rig):
    walker(folder / "a.bvh", 150, 60)
    caption_file(folder, row(rig))
    seen = [BvhCorpus(folder).fingerprint()]
    assert BvhCorpus(folder, workers=0).fingerprint() == seen[0]
    json.dumps(seen[0])
    seen.append(BvhCorpus(folder, max_frames=100).fingerprint())
    walker(folder / "a.bvh", 151, 60)
    seen.append(BvhCorpus(folder).fingerprint())
    caption_file(folder, row(rig, captions=["runs"]))
    seen.append(BvhCorpus(folder).fingerprint())
    Path(rig).write_text(Path(rig).read_text().replace("unit: cm", "unit: m"))
    seen.append(BvhCorpus(folder).fingerprint())
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])


def test_splits_follow_pairs_of_labels_or_recordings_and_do_not_move(folder, rig):
    rows = [
        row(rig, id=f"{content}-{style}-{take}", labels={"content": content, "style": style})
        for content in ("walk", "run", "bow", "wave", *(f"rare{k}" for k in range(20)))
        for style in (["normal"] if content.startswith("rare") else [f"style{k}" for k in range(15)])
        for take in range(3)
    ]
    rows += [row(rig, id=f"free{k}") for k in range(400)] + [row(rig, id="told", split="test")]
    recordings = read_recordings(caption_file(folder, *rows))
    splits = dict(zip([r.id for r in recordings], assign_splits(recordings), strict=True))
    pairs, contents = defaultdict(set), defaultdict(set)
    for r in recordings:
        if r.labels:
            pairs[r.labels["content"], r.labels["style"]].add(splits[r.id])
            contents[r.labels["content"]].add(splits[r.id])
    assert all(len(found) == 1 for found in pairs.values())
    assert all("train" in found for found in contents.values())
    free = [splits[f"free{k}"] for k in range(400)]
    assert [round(free.count(s) / 400, 1) for s in ("train", "val", "test")] == [0.8, 0.1, 0.1]
    assert splits["told"] == "test"
    part = recordings[::-1][:200]
    assert [splits[r.id] for r in part] == assign_splits(part)


REAL = {
    "cmu_07_05": ("walk", (0.6, 1.6)),
    "cmu_135_04": ("kick", (0.1, 1.5)),
    "bandai2_wave-left-hand_normal_001": ("wave", (0.0, 0.1)),
    "bandai2_run_normal_001": ("run", (2.0, 5.0)),
}


@pytest.fixture
def real(shared_data, tmp_path):
    wanted = [line for line in (shared_data / "captions.jsonl").open() if json.loads(line)["id"] in REAL]
    captions = caption_file(tmp_path, *wanted)
    return BvhCorpus(shared_data, captions=captions, max_frames=400, workers=0)


def test_real_recordings_stand_walk_and_come_back(real):
    found = {clip.id.rsplit(".", 1)[0]: clip for clip in real.clips()}
    assert found.keys() == REAL.keys()
    for recording, (archive, member) in zip(real.recordings, real.files, strict=True):
        clip = found[recording.id]
        joints = features_to_joints(torch.from_numpy(clip.features)).numpy()
        rig = load_rig(recording.rig)
        bvh = read_bvh(zipfile.ZipFile(archive).read(member))
        raw = rig.map(bvh, SKELETON.joints)[recording.skip_frames + rig.lead_in :]
        uniform = canonicalise(retarget(resample(raw, recording.fps, 20), SKELETON), SKELETON)
        np.testing.assert_allclose(joints, uniform[: len(joints)], atol=1e-3)

        lowest = joints[..., 1].min(axis=1)
        assert lowest.min() == pytest.approx(0, abs=1e-3)
        assert np.median(lowest) < 0.05
        assert joints[0, SKELETON.index("head"), 1] > 1.1
        assert joints[0, SKELETON.index("left_wrist"), 0] > joints[0, SKELETON.index("right_wrist"), 0]
        path = np.linalg.norm(np.diff(joints[:, 0, [0, 2]], axis=0), axis=-1).sum()
        low, high = REAL[recording.id][1]
        assert low <= path / (len(joints) / 20) <= high
    waving = features_to_joints(torch.from_numpy(found["bandai2_wave-left-hand_normal_001"].features))
    reach = waving[:, [SKELETON.index("left_wrist"), SKELETON.index("right_wrist")], 1].amax(0)
    assert reach[0] > 1.5 > 1.1 > reach[1]


@pytest.mark.slow
def test_all_real_recordings_are_prepared(shared_data):
    found = list(BvhCorpus(shared_data).clips())
    kept = [item for item in found if isinstance(item, Clip)]
    assert len({clip.tags["recording"] for clip in kept}) == 514
    assert all("frames, 40 are needed" in item.reason for item in found if isinstance(item, Rejected))
    assert all(np.isfinite(clip.features).all() for clip in kept)
    assert len({clip.id for clip in kept}) == len(kept)
    assert max(len(clip.features) for clip in kept) <= 196
