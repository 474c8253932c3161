"""Clusters of a store, the quotas that a loader takes from them, and the picture."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from motion_lightning.data.clip import Clip
from motion_lightning.data.clusters import clip_vectors, open_clusters, write_clusters
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.quotas import plan_quotas
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.errors import UserError
from motion_lightning.motion.features import layout
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.view.drawing import COLOURS
from motion_lightning.view.shares import Share, shares_picture

SKELETON = load_skeleton("humanml22")
REST = np.zeros((22, 3))  # standing, arms down
for _child, _parent in SKELETON.bones:
    REST[_child] = REST[_parent] + SKELETON.offsets[_child]
SIZES = (24, 6, 3)  # of the heaps below
SCRIPT = Path(__file__).with_name("quotas_run.py")


class Heaps:
    """Poses in three heaps of unlike size, mixed; the caption and the tag name the heap."""

    name, representation, skeleton, fps, min_frames = "heaps", "pose", "humanml22", 20.0, 1
    about = {"title": "Heaps", "source": "a test", "licence": "none"}  # noqa: RUF012

    def __init__(self, seed: int = 0, split: str = "train", noise: float = 0.01):
        self.seed, self.split, self.noise = seed, split, noise

    def fingerprint(self) -> dict:
        return {"seed": self.seed, "split": self.split, "noise": self.noise}

    def __len__(self) -> int:
        return sum(SIZES)

    def clips(self):
        rng = np.random.default_rng(self.seed)
        for i, heap in enumerate(rng.permutation(np.repeat(range(3), SIZES)).tolist()):
            pose = REST[1:].copy()
            pose[:, 2 * (heap > 1)] += 0.4 * heap
            pose += self.noise * rng.standard_normal(pose.shape)
            features = pose.reshape(1, 63).astype(np.float32)
            yield Clip(f"{i:02}", features, [f"a person in heap {heap}"], self.split, {"heap": heap})


class Arrays:
    """Clips of any arrays."""

    name, skeleton, fps, min_frames = "arrays", None, 20.0, 1
    about = Heaps.about

    def __init__(self, arrays: list[np.ndarray], representation: str):
        self.arrays, self.representation = arrays, representation

    def fingerprint(self) -> dict:
        return {"n": len(self.arrays), "representation": self.representation}

    def __len__(self) -> int:
        return len(self.arrays)

    def clips(self):
        for i, array in enumerate(self.arrays):
            yield Clip(f"{i:02}", array, [f"number {i}"], "train")


@pytest.fixture(scope="module")
def make_store(tmp_path_factory, tiny_encoder):
    def make_store(corpus) -> Store:
        path = tmp_path_factory.mktemp("stores") / corpus.name
        prepare_store(corpus, tiny_encoder, path, progress=False)
        return Store.open(path)

    return make_store


@pytest.fixture(scope="module")
def heaps(make_store) -> Store:
    return make_store(Heaps())


# ---------------------------------------------------------------------------------------------- clusters


def test_heaps_are_found_the_largest_first(heaps):
    found, split = open_clusters(heaps, 3), heaps.split("train")
    assert found.labels.tolist() == [split.tags(i)["heap"] for i in range(len(split))]
    assert found.sizes.tolist() == list(SIZES)
    vectors = clip_vectors(split)
    for cluster, nearest in enumerate(found.nearest.tolist()):
        members = np.flatnonzero(found.labels == cluster)
        np.testing.assert_allclose(found.centres[cluster], vectors[members].mean(0), atol=1e-5)
        distances = np.linalg.norm(vectors[members] - found.centres[cluster], axis=1)
        assert nearest == members[distances.argmin()]


def test_they_are_fitted_once_and_alike(heaps, make_store, monkeypatch):
    again = make_store(Heaps())
    first, second = open_clusters(heaps, 5), open_clusters(again, 5)
    for name in ("labels", "centres", "nearest"):
        assert (first.path / f"{name}.npy").read_bytes() == (second.path / f"{name}.npy").read_bytes()
    monkeypatch.setattr("motion_lightning.data.clusters._fit", None)
    assert np.array_equal(open_clusters(heaps, 5).labels, first.labels)
    assert sorted(p.name for p in first.path.parent.iterdir() if "5" in p.name) == ["clusters-5-42"]


def test_they_go_with_their_store(make_store):
    store, other = make_store(Heaps(seed=1)), make_store(Heaps(seed=2))
    stale = open_clusters(other, 3)
    stale.path.parent.rename(store.path / "derived")
    found = open_clusters(store, 3)
    assert not np.array_equal(found.labels, stale.labels)
    assert found.labels.tolist() == [store.split("train").tags(i)["heap"] for i in range(len(store))]
    store.verify()  # they are no part of what the manifest vouches for


def test_no_more_clusters_than_different_clips(make_store):
    found = open_clusters(make_store(Heaps(noise=0)), 10)
    assert found.sizes.tolist() == list(SIZES)


def test_poses_are_clustered_as_they_are_trained_on(heaps):
    split, stats = heaps.split("train"), heaps.stats
    expected = np.concatenate([(split.features(i) - stats.mean) / stats.std for i in range(len(split))])
    assert clip_vectors(split).shape == (33, 63)
    np.testing.assert_allclose(clip_vectors(split), expected, atol=1e-5)


def test_motions_are_clustered_by_eight_frames_without_rotations(tiny_store):
    split, stats = tiny_store.split("train"), tiny_store.stats
    vectors = clip_vectors(split).reshape(len(split), 8, 263 - 126)
    whole = [(split.features(i) - stats.mean) / stats.std for i in range(len(split))]
    kept = np.delete(np.arange(263), layout(22)["rotations"])
    for row, clip in zip(vectors, whole, strict=True):
        places = [round(k * (len(clip) - 1) / 7) for k in range(8)]  # from the first to the last
        np.testing.assert_allclose(row, clip[places][:, kept], atol=1e-4)


def test_a_clip_shorter_than_eight_frames_repeats_some(make_store):
    rng = np.random.default_rng(0)
    store = make_store(Arrays([rng.standard_normal((n, 5)) for n in (3, 12, 1)], "tracks"))
    vectors = clip_vectors(store.split("train")).reshape(3, 8, 5)
    assert np.isfinite(vectors).all()
    assert (vectors[2] == vectors[2, 0]).all()


@pytest.mark.parametrize(("shape", "numbers"), [((28, 28, 1), 784), ((64, 64, 3), 768), ((3, 96, 96), 768)])
def test_pictures_are_thinned_out(make_store, shape, numbers):
    bright = [np.full((1, *shape), 255 * (i % 2), np.uint8) for i in range(6)]
    store = make_store(Arrays(bright, "image"))
    vectors = clip_vectors(store.split("train"))
    assert vectors.shape == (6, numbers)
    assert set(vectors.reshape(-1).tolist()) == {-1.0, 1.0}
    assert open_clusters(store, 2).sizes.tolist() == [3, 3]


def test_nothing_to_cluster(make_store):
    store = make_store(Heaps(split="test"))
    with pytest.raises(UserError, match="no train clips to find clusters in"):
        open_clusters(store)
    assert write_clusters(store) is None
    with pytest.raises(UserError, match="clusters=0: give 1 or more"):
        open_clusters(store, 0)


# ------------------------------------------------------------------------------------------------ loader


def drawn(store: Store, rank: int, world: int, steps: int, **settings) -> list[list[int]]:
    """Clips that one rank is given, step by step."""
    data = MotionDataModule(store, batch_size=4, steps_per_epoch=steps, bucket=1, seed=5, **settings)
    progress = SimpleNamespace(batch_progress=SimpleNamespace(total=SimpleNamespace(processed=0)))
    loop = SimpleNamespace(epoch_loop=progress)
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world, fit_loop=loop)
    return [batch.info.clip.tolist() for batch in data.train_dataloader()]


@pytest.mark.parametrize("quotas", ["uniform", "sqrt", {0: 8, 1: 4}, {"0": 0.5, "1": 0.3, "2": 0.2}])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_shares_reported_are_shares_drawn(heaps, world, quotas):
    plan = plan_quotas(open_clusters(heaps, 3).labels, quotas)
    steps = len(plan)  # batches of four: four passes
    settings = {"quotas": quotas, "clusters": 3}
    ranks = [drawn(heaps, rank, world, steps, **settings) for rank in range(world)]
    clips = [clip for parts in zip(*ranks, strict=True) for part in parts for clip in part]
    labels = open_clusters(heaps, 3).labels
    for index in range(4):
        one = clips[index * len(plan) : (index + 1) * len(plan)]
        assert len(set(one)) == len(one)  # no clip twice
        np.testing.assert_array_equal(np.bincount(labels[one]) / len(one), plan.after)
    assert plan.after.max() < plan.before.max()


def test_a_replacement_may_fill_small_clusters(heaps):
    settings = {"quotas": "uniform", "replacement": True, "clusters": 3}
    clips = [clip for part in drawn(heaps, 0, 1, 33, **settings) for clip in part]
    labels = open_clusters(heaps, 3).labels
    assert np.bincount(labels[clips]).tolist() == [44, 44, 44]  # four passes of 33


def test_quotas_are_told(heaps, caplog):
    with caplog.at_level("INFO"):
        drawn(heaps, 0, 1, 1, quotas="uniform", clusters=3)
    assert "quotas: 9 of 33 clips a pass, largest cluster 72.7 % -> 33.3 %" in caplog.text
    with pytest.raises(UserError, match="cluster 2 has 3 clips and is asked for 30"):
        drawn(heaps, 0, 1, 1, quotas={0: 5, 2: 30}, clusters=3)


@pytest.mark.slow
def test_so_do_two_processes(heaps, tmp_path):
    plan = plan_quotas(open_clusters(heaps, 3).labels, "sqrt")
    steps = len(plan)
    command = [sys.executable, SCRIPT, heaps.path, tmp_path, "2", str(steps)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    job = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert job.returncode == 0, job.stderr
    ranks = [torch.load(tmp_path / f"2-{rank}.pt") for rank in range(2)]
    steps = [a + b for a, b in zip(*ranks, strict=True)]
    assert steps == drawn(heaps, 0, 1, len(steps), quotas="sqrt", clusters=3)  # what one process draws
    clips, labels = np.concatenate(steps), open_clusters(heaps, 3).labels
    for start in range(0, len(clips), len(plan)):
        one = clips[start : start + len(plan)]
        assert len(set(one)) == len(one)
        np.testing.assert_array_equal(np.bincount(labels[one]) / len(one), plan.after)


# ----------------------------------------------------------------------------------------------- picture


def test_numbers_and_picture_lie_beside_the_clusters(heaps):
    picture = write_clusters(heaps, clusters=3)
    assert picture == heaps.path / "derived/clusters-3-42/shares-sqrt.png"
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.width > 400
    rows = json.loads((picture.parent / "shares.json").read_text())
    split, found = heaps.split("train"), open_clusters(heaps, 3)
    for name in ("uniform", "sqrt"):
        plan = plan_quotas(found.labels, name)
        assert [row[name]["clips_a_pass"] for row in rows] == plan.counts.tolist()
        assert [row[name]["share"] for row in rows] == pytest.approx(plan.after)
        assert [row["share"] for row in rows] == pytest.approx(plan.before)
    assert [row["nearest"] for row in rows] == [split.ids[i] for i in found.nearest]
    assert [row["caption"] for row in rows] == [f"a person in heap {i}" for i in range(3)]
    written = picture.stat().st_mtime_ns
    assert write_clusters(heaps, clusters=3) == picture and picture.stat().st_mtime_ns == written


def test_any_store_has_a_picture(make_store, tiny_store):
    rng = np.random.default_rng(0)
    pictures = Arrays([rng.integers(0, 256, (1, 12, 9, 3)).astype(np.uint8) for _ in range(12)], "image")
    tracks = Arrays([rng.standard_normal((9, 4)) for _ in range(12)], "tracks")
    for store in (make_store(pictures), make_store(tracks), tiny_store):
        assert write_clusters(store, clusters=4).is_file()


def columns(image: Image.Image, colour: tuple) -> np.ndarray:
    """x of the pixels that are nearly of a colour."""
    near = np.abs(np.asarray(image).astype(int) - colour).max(-1) < 24
    return np.nonzero(near)[1]


def test_the_left_arm_is_at_the_viewers_right():
    pose = REST.copy()
    for side in ("left", "right"):
        pose[SKELETON.index(f"{side}_wrist")] = pose[SKELETON.index(f"{side}_shoulder")] + [
            0.5 if side == "left" else -0.5, 0, 0,
        ]  # fmt: skip
    panel = shares_picture([Share("0", 3, 3, sight=pose)], "none", SKELETON).crop((26, 84, 174, 232))
    assert columns(panel, COLOURS["left"]).mean() > columns(panel, COLOURS["right"]).mean() + 20


def test_bars_are_as_high_as_the_shares():
    shares = [Share("0", 60, 20), Share("1", 30, 15), Share("2", 10, 5)]
    image = np.asarray(shares_picture(shares, "sqrt"))
    for i, share in enumerate(shares):
        for colour, part in (((176, 180, 188), share.before / 100), ((38, 122, 108), share.after / 40)):
            column = image[90:, 26 + 162 * i : 26 + 162 * i + 148]
            height = (column == colour).all(-1).any(1).sum()
            assert height == pytest.approx(168 * part / 0.6, abs=2)


def test_no_clusters_to_draw():
    with pytest.raises(UserError, match="no clusters to draw"):
        shares_picture([], "sqrt")
