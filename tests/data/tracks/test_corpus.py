"""Windows as clips: splits by episode, what is left out, mirror images, and the way through the store to a batch."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch
import yaml

from motion_lightning.config import compose, instantiate
from motion_lightning.data.clip import SPLITS, Clip, Rejected
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.store import Store
from motion_lightning.data.tracks.clips import Cut, episode_clips, mirror_clip
from motion_lightning.data.tracks.condition import TrackCond, TrackCondition
from motion_lightning.data.tracks.corpus import TrackCorpus
from motion_lightning.data.tracks.episodes import SIDES, write_episode
from motion_lightning.data.tracks.program import Move, follows
from motion_lightning.data.tracks.statistics import TrackStatistics, store_statistics, track_statistics
from motion_lightning.data.writer import is_current, prepare_store
from motion_lightning.errors import UserError
from motion_lightning.motion.rotations import sixd_to_matrix


def same(one: Clip, two: Clip) -> None:
    assert (one.captions, one.split, one.tags.get("program")) == (two.captions, two.split, two.tags.get("program"))
    np.testing.assert_array_equal(one.features, two.features)
    assert one.extras.keys() == two.extras.keys()
    for name in one.extras:
        np.testing.assert_array_equal(one.extras[name], two.extras[name])


def test_shapes_and_types(corpus, clips):
    assert len(clips) == len(corpus) == 24
    shapes = {
        "frames": (2, 3, 24, 24), "query": (32, 3), "depth": (2, 24, 24), "hand_present": (2,),
        "hand_position": (2, 3), "hand_rotation": (2, 6),
        "hand_position_displacements": (10, 2, 3), "hand_rotation_displacements": (10, 2, 6),
    }  # fmt: skip
    for clip in clips:
        assert clip.features.shape == (10, 32, 3) and clip.features.dtype == np.float32
        assert {name: array.shape for name, array in clip.extras.items()} == shapes
        assert clip.extras["frames"].dtype == np.uint8 and clip.extras["frames"].any((1, 2, 3)).all()
        assert all(np.isfinite(array).all() for array in clip.extras.values())
        np.testing.assert_array_equal(clip.features[0], 0)
        np.testing.assert_array_equal(clip.extras["hand_position_displacements"][0], 0)
        json.dumps(clip.tags)


def test_the_last_picture_is_that_of_slot_0(corpus):
    episode = corpus.episode(("val", 1))
    clips = episode_clips(episode, "val", Cut(frames=3, stride=1), 10)
    for clip, start in zip(clips, (0, 5, 10), strict=True):
        numbers = [max(start - 2, 0), max(start - 1, 0), start]
        np.testing.assert_array_equal(clip.extras["frames"].transpose(0, 2, 3, 1), episode.video[numbers])
        np.testing.assert_array_equal(clip.extras["depth"], episode.depth[numbers])


def test_processes_do_not_change_the_clips(small, clips):
    corpus = TrackCorpus(**(small | {"train": 32, "val": 0, "test": 0, "workers": 2}))
    got = list(corpus.clips())
    assert len(got) == len(corpus) == 96
    for one, two in zip(got[:12], clips[:12], strict=True):
        same(one, two)


def test_files_give_the_same_clips(folder, clips):
    got = list(TrackCorpus(folder, workers=1).clips())
    by_id = {clip.id.partition("/")[2]: clip for clip in got}
    assert len(got) == len(by_id) == len(clips)
    for clip in clips:
        same(clip, by_id[clip.id])


def test_no_picture_is_in_two_splits(tmp_path, episode):
    """Subfolders name the split; without them the episode's name does, for all of its windows."""
    write_episode(tmp_path / "000.hdf5", episode)
    for i in range(1, 40):
        (tmp_path / f"{i:03d}.hdf5").hardlink_to(tmp_path / "000.hdf5")
    got = list(TrackCorpus(tmp_path, points=8, workers=2).clips())
    splits: dict[str, set[str]] = {}
    for clip in got:
        splits.setdefault(clip.tags["episode"], set()).add(clip.split)
    assert len(splits) == 40 and all(len(s) == 1 for s in splits.values())
    counts = {name: sum(s == {name} for s in splits.values()) for name in SPLITS}
    assert counts["train"] > 25 and counts["val"] and counts["test"]


def test_no_frame_of_the_scenes_is_shared_between_splits(clips):
    frames = {
        split: {picture.tobytes() for clip in clips if clip.split == split for picture in clip.extras["frames"]}
        for split in SPLITS
    }
    assert all(frames.values())
    assert not (frames["train"] & frames["val"] or frames["train"] & frames["test"] or frames["val"] & frames["test"])


def test_splits_grow_without_changing(small, clips):
    more = {clip.id: clip for clip in TrackCorpus(**(small | {"val": 5})).clips()}
    for clip in clips:
        same(clip, more[clip.id])


def test_settings_of_the_cut(tmp_path, episode):
    write_episode(tmp_path / "a.hdf5", episode)

    def cut(**settings):
        return list(TrackCorpus(tmp_path, **({"points": 5, "workers": 0} | settings)).clips())

    plain = cut()
    assert [clip.tags["start"] for clip in plain] == [0, 2]
    assert [clip.tags["start"] for clip in cut(gap=3)] == [0]
    (flat, _), (slow, _) = cut(dims=2, depth=False), cut(stride=3, steps=4, frames=1)
    np.testing.assert_array_equal(flat.features, plain[0].features[..., :2])
    assert flat.extras["query"].shape == (5, 2) and "depth" not in flat.extras
    np.testing.assert_array_equal(slow.features, plain[0].features[[0, 3, 6, 9]])
    assert TrackCorpus(tmp_path, stride=2).fps == 5


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"points": 10}, "9 points, 10 are needed"), ({"steps": 12}, "10 steps, 12 are needed"),
     ({"steps": 6, "stride": 2}, "10 steps, 11 are needed")],
)  # fmt: skip
def test_windows_that_do_not_fit_are_left_out(tmp_path, episode, settings, says):
    write_episode(tmp_path / "a.hdf5", episode)
    got = list(TrackCorpus(tmp_path, workers=0, **settings).clips())
    assert [(r.where, r.reason) for r in got] == [(f"tracks/frame_000{n}", says) for n in (0, 2)]


def test_flat_files_and_files_without_depth_say_what_to_set(episode):
    from dataclasses import replace

    flat = replace(episode.windows[0], query=episode.windows[0].query[:, :2])
    (clip,) = episode_clips(replace(episode, windows=[flat]), "val", Cut(points=5), 10)
    assert clip.reason == "2 coordinates a point; for such files give dims=2"
    (clip, _) = episode_clips(replace(episode, depth=None), "val", Cut(points=5), 10)
    assert clip.reason == "no depth; for such files give depth=false"


def test_broken_files_are_left_out_by_name(tmp_path, episode):
    (tmp_path / "val").mkdir()
    write_episode(tmp_path / "val" / "good.hdf5", episode)
    (tmp_path / "val" / "bad.h5").write_bytes(b"no HDF5")
    bad, *good = TrackCorpus(tmp_path, points=5).clips()
    assert (bad.id, bad.where) == ("val/bad", "val/bad.h5") and bad.reason.startswith("not an HDF5 file")
    assert [(clip.id, clip.split) for clip in good] == [("val/good.0", "val"), ("val/good.2", "val")]


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"train": -1}, "none below zero"), ({"steps": 30}, "is beyond that"), ({"points": 60}, "is beyond that"),
     ({"dims": 4}, "dims is 2 or 3"), ({"size": 4}, "is beyond that"), ({"steps": 1}, "steps start at 2")],
)  # fmt: skip
def test_bad_settings(settings, says):
    with pytest.raises(UserError, match=says):
        TrackCorpus(**settings)


def test_a_folder_without_episodes(tmp_path):
    with pytest.raises(UserError, match=r"holds no \.hdf5 files"):
        TrackCorpus(tmp_path)


def test_fingerprint_follows_files_and_settings(tmp_path, episode):
    write_episode(tmp_path / "a.hdf5", episode)
    one = TrackCorpus(tmp_path).fingerprint()
    assert one == TrackCorpus(tmp_path).fingerprint() == json.loads(json.dumps(one))
    assert one != TrackCorpus(tmp_path, points=8).fingerprint()
    write_episode(tmp_path / "b.hdf5", episode)
    assert one != TrackCorpus(tmp_path).fingerprint()
    assert TrackCorpus().fingerprint() != TrackCorpus(seed=1).fingerprint()


# ---- mirror images


def test_a_mirror_image_twice_is_the_clip(clips):
    for clip in clips:
        twice = mirror_clip(mirror_clip(clip))
        np.testing.assert_allclose(twice.features, clip.features)
        for name in clip.extras:
            np.testing.assert_allclose(twice.extras[name], clip.extras[name], atol=1e-6)
        assert twice.tags["program"] == clip.tags["program"] and twice.tags["objects"] == clip.tags["objects"]


def test_words_and_points_of_a_mirror_image_agree(small):
    corpus = TrackCorpus(**(small | {"train": 12, "val": 0, "test": 0}), mirror=True, steps=20, depth=False)
    clips = list(corpus.clips())
    assert len(clips) == len(corpus) == 24
    for clip, mirrored in zip(clips[::2], clips[1::2], strict=True):
        assert mirrored.id == f"M{clip.id}"
        np.testing.assert_array_equal(mirrored.extras["frames"], clip.extras["frames"][..., ::-1])
        for move in (Move(**m) for m in mirrored.tags["program"]):
            on = np.array(mirrored.tags["objects"]) == move.object
            assert follows(move, mirrored.extras["query"][on], mirrored.features[-1, on])
            assert mirrored.extras["hand_present"][SIDES.index(move.hand)]
            assert all(f"{move.hand} hand" in text.lower() for text in mirrored.captions)
        sides = [set(re.findall(r"left|right", " ".join(c.captions).lower())) for c in (clip, mirrored)]
        assert sides[0] == sides[1] or len(sides[0] | sides[1]) == 2


def test_wrists_of_a_mirror_image_are_turned_like_the_other_hand(clips):
    mirror = torch.diag(torch.tensor([-1.0, 1, 1]))
    for clip in clips[:6]:
        other = mirror_clip(clip)
        for name in ("hand_rotation", "hand_rotation_displacements"):
            before, after = (sixd_to_matrix(torch.from_numpy(c.extras[name])) for c in (clip, other))
            torch.testing.assert_close(after, mirror @ before.flip(-3) @ mirror, atol=1e-5, rtol=0)
        ends = [c.extras["hand_position"] + c.extras["hand_position_displacements"] for c in (clip, other)]
        present = clip.extras["hand_present"]
        np.testing.assert_allclose(ends[1][:, ::-1][:, present, 0], 1 - ends[0][:, present, 0], atol=1e-6)
        np.testing.assert_allclose(ends[1][:, ::-1][:, present, 1:], ends[0][:, present, 1:], atol=1e-6)


# ---- store, statistics, batches


@pytest.fixture(scope="module")
def store(corpus, make_encoder, tmp_path_factory):
    path = tmp_path_factory.mktemp("stores") / "tracks"
    prepare_store(corpus, make_encoder(), path, progress=False)
    assert is_current(path, corpus, make_encoder())
    return Store.open(path)


def test_the_store_gives_the_clips_back(store, clips):
    assert store.manifest["representation"] == "tracks" and store.manifest["skeleton"] is None
    for name in SPLITS:
        split, expected = store.split(name), [clip for clip in clips if clip.split == name]
        assert split.ids == [clip.id for clip in expected]
        for i, clip in enumerate(expected):
            np.testing.assert_array_equal(split.features(i), clip.features)
            assert split.captions(i) == clip.captions and split.tags(i) == clip.tags
            for extra, array in split.extras(i).items():
                np.testing.assert_array_equal(array, clip.extras[extra])


def test_statistics_are_numpys_on_training_slots(store, clips, folder):
    train = [clip for clip in clips if clip.split == "train"]
    moved = np.concatenate([clip.features[1:].reshape(-1, 3) for clip in train]).astype(float)
    turns = np.concatenate(
        [clip.extras["hand_rotation_displacements"][1:, clip.extras["hand_present"]].reshape(-1, 6) for clip in train]
    ).astype(float)
    got = store_statistics(store)
    np.testing.assert_allclose(got.displacement_mean, moved.mean(0), atol=1e-12)
    np.testing.assert_allclose(got.displacement_std, moved.std(0), rtol=1e-9)
    np.testing.assert_allclose(got.hand_rot_disp_std, turns.std(0), rtol=1e-9)
    assert store_statistics(store) == got == TrackStatistics.load(store.path / "derived" / "normalization_stats.yaml")
    store.verify()  # a derived file is none of the store's own
    written = TrackStatistics.load(folder / "normalization_stats.yaml")  # over all points of the files
    np.testing.assert_allclose(written.displacement_std, got.displacement_std, rtol=0.3)
    assert written.hand_rot_disp_std == pytest.approx(got.hand_rot_disp_std)


def test_statistics_without_hands_and_without_clips(episode):
    hands = episode.windows[0].hands
    nobody = type(hands).none(10)
    got = track_statistics([(np.zeros((10, 4, 2), np.float32), nobody)])
    assert got.displacement_std == [1, 1] and got.hand_uvd_disp_mean == [0] * 3 and got.hand_rot_disp_std == [1] * 6
    with pytest.raises(UserError, match="no training windows"):
        track_statistics([])


@pytest.mark.parametrize(
    "change",
    [{"displacement_std": [0.1, 0, 1]}, {"displacement_mean": [float("nan")] * 3}, {"displacement_mean": None},
     {"displacement_mean": [1, 2]}, {"displacement_std": "wide"}, {"hand_rot_disp_std": [1, 2]},
     {"displacement_mean": [1, True, 2]}],
)  # fmt: skip
def test_wrong_statistics_are_refused(tmp_path, store, change):
    path = tmp_path / "normalization_stats.yaml"
    path.write_text(yaml.safe_dump(asdict(store_statistics(store)) | change))
    with pytest.raises(UserError, match=r"normalization_stats.yaml: .*displacement|hand_rot"):
        TrackStatistics.load(path)
    for text in ("a: [", "- 1", "\x00"):
        path.write_text(text)
        with pytest.raises(UserError, match="normalization_stats"):
            TrackStatistics.load(path)


def test_batches_carry_the_scene(store):
    split = store.with_condition(TrackCondition()).split("train")
    batch = split.collate([0, 5, 7], multiple_of=1)
    assert isinstance(batch.cond, TrackCond) and batch.x.shape == (3, 10, 32, 3) and batch.mask.all()
    assert batch.cond.text.tokens.shape[0] == 3
    assert batch.cond.frames.shape == (3, 2, 3, 24, 24) and batch.cond.frames.abs().max() <= 1
    np.testing.assert_allclose((batch.cond.frames[1].numpy() + 1) * 127.5, split.extras(5)["frames"], atol=1e-4)
    assert batch.cond.query.shape == (3, 32, 3) and batch.cond.depth.shape == (3, 2, 24, 24)
    assert batch.cond.hands.present.dtype == torch.bool and batch.cond.moves.rotation.shape == (3, 10, 2, 6)


def test_the_loader_takes_them(store):
    data = MotionDataModule(
        store, batch_size=4, val_batch_size=4, steps_per_epoch=2, multiple_of=1, condition=TrackCondition()
    )
    batches = list(data.train_dataloader())
    assert len(batches) == 2 and batches[0].cond.query.shape == (4, 32, 3)
    assert sum(len(batch.x) for batch in data.val_dataloader()) == 6


def test_the_group_of_the_configuration():
    cfg = compose("prepare", ["data=tracks", "data.corpus.train=3"])
    corpus = instantiate(cfg.data.corpus)
    assert corpus.name == "tracks" and len(corpus) == 3 * (3 + 60 + 60) and corpus.min_frames == 10
    assert isinstance(instantiate(cfg.data.condition), TrackCondition)
    assert {"title", "source", "licence"} <= corpus.about.keys()


def test_left_out_clips_are_no_surprise_to_prepare(tmp_path, episode, make_encoder):
    write_episode(tmp_path / "train" / "a.hdf5" if (tmp_path / "train").mkdir() is None else tmp_path, episode)
    (tmp_path / "train" / "b.hdf5").write_bytes(b"no")
    report = prepare_store(TrackCorpus(tmp_path, points=5), make_encoder(), tmp_path / "s", progress=False)
    assert report.clips == 2 and [r.id for r in report.rejected] == ["train/b"]
    assert all(isinstance(r, Rejected) for r in report.rejected)
