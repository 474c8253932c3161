"""Clusters of the training clips by k-means: what quotas count, and a picture of them.

They are made of what a model is given: normalised features, of several frames where a clip has more than one. The
result lies beside the store's files and is made anew with the store.
"""

import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from motion_lightning.data.poses import poses_of
from motion_lightning.data.quotas import Quotas, plan_quotas
from motion_lightning.data.store import Split, Store
from motion_lightning.errors import UserError
from motion_lightning.motion.features import layout
from motion_lightning.motion.skeleton import load_skeleton

VERSION = 1
CLUSTERS, SEED = 10, 42
FRAMES = 8  # of a clip, evenly spaced from its first to its last
NUMBERS = 1024  # of a frame, at most: larger pictures are thinned out
RESTARTS = 4  # of k-means, the best is taken: 5 s each for 23,384 motions on one thread


@dataclass(frozen=True, eq=False)
class Clusters:
    """k clusters of the training split, the largest first."""

    path: Path
    labels: np.ndarray  # (clips,) int64, cluster of each clip
    centres: np.ndarray  # (k, D) float32, of clip_vectors
    nearest: np.ndarray  # (k,) int64, the clip nearest to each centre: its representative

    @property
    def sizes(self) -> np.ndarray:
        """(k,) clips of each cluster."""
        return np.bincount(self.labels, minlength=len(self.centres))


def open_clusters(store: Store, clusters: int = CLUSTERS, seed: int = SEED) -> Clusters:
    """Clusters of the store's training clips; they are fitted where it has none of this number and seed.

    Equal stores have equal clusters on one machine. Fewer different clips than ``clusters`` make as many clusters as
    there are different ones.

    Raises:
        UserError: no training clips, or fewer than one cluster.
    """
    if clusters < 1:
        raise UserError(f"clusters={clusters}: give 1 or more")
    path = store.path / "derived" / f"clusters-{clusters}-{seed}"
    if not _is_current(path, store):
        _write(path, store, *_fit(clip_vectors(store.split("train")), clusters, seed))
    arrays = (np.load(path / f"{name}.npy", allow_pickle=False) for name in ("labels", "centres", "nearest"))
    return Clusters(path, *arrays)


def clip_vectors(split: Split) -> np.ndarray:
    """What is clustered: (clips, D) float32, one row a clip, whatever its length.

    Of ``FRAMES`` evenly spaced frames, or one where no clip has more: poses and other features normalised by the
    store's statistics, motions without their rotations, which repeat what the positions say; bytes as [-1, 1].

    Raises:
        UserError: the split is empty.
    """
    store, manifest = split.store, split.store.manifest
    if not len(split):
        raise UserError(f"{store.path}: no {split.name} clips to find clusters in; prepare a corpus with some")
    frames = min(FRAMES, int(split.lengths.max()))
    shape = tuple(manifest["features"]["shape"])
    kept = np.arange(int(np.prod(shape)))
    if manifest["representation"] == "motion":
        kept = np.delete(kept, layout((len(kept) + 1) // 12)["rotations"])
    elif len(kept) > NUMBERS:
        kept = _thinned(shape)
    rows = np.empty((len(split), frames, len(kept)), np.float32)
    for i, (row, length) in enumerate(zip(rows, split.lengths.tolist(), strict=True)):
        at = np.rint(np.linspace(0, length - 1, frames)).astype(int)
        row[:] = split.features(i)[at].reshape(frames, -1)[:, kept]
    if manifest["features"]["dtype"] == "uint8":
        rows = rows / 127.5 - 1
    elif (store.path / "stats.npz").is_file():
        rows = (rows - store.stats.mean[kept]) / store.stats.std[kept]
    return rows.reshape(len(split), -1).astype(np.float32)


def write_clusters(store: Store, quotas: str = "sqrt", clusters: int = CLUSTERS, seed: int = SEED) -> Path | None:
    """Clusters of the store, their shares before and after ``quotas`` as numbers, and a picture of both.

    Returns the picture, ``derived/clusters-<k>-<seed>/shares-<quotas>.png``, beside which ``shares.json`` lies; None
    where there are no training clips.
    """
    from motion_lightning.view.shares import Share, write_shares

    split = store.split("train")
    if not len(split):
        return None
    found = open_clusters(store, clusters, seed)
    picture = found.path / f"shares-{quotas}.png"
    if picture.is_file():
        return picture
    plans = {name: plan_quotas(found.labels, name) for name in ("uniform", "sqrt")}
    _write_json(found.path / "shares.json", _numbers(found, split, plans))
    plan = plans.get(quotas) or plan_quotas(found.labels, quotas)
    shares = [
        Share(str(c), int(plan.sizes[c]), int(plan.counts[c]), split.captions(i)[0], sight)
        for c, (i, sight) in enumerate(zip(found.nearest.tolist(), _sights(split, found.nearest.tolist()), strict=True))
    ]
    has_body = store.manifest["representation"] in ("motion", "pose")
    return write_shares(picture, shares, quotas, load_skeleton(store.manifest["skeleton"]) if has_body else None)


def _numbers(found: Clusters, split: Split, plans: dict[str, Quotas]) -> list[dict]:
    """An entry a cluster, for ``shares.json``."""
    return [
        {
            "cluster": c,
            "nearest": split.ids[i],
            "caption": split.captions(i)[0],
            "clips": int(found.sizes[c]),
            "share": float(found.sizes[c] / found.sizes.sum()),
            **{
                name: {"clips_a_pass": int(plan.counts[c]), "share": float(plan.after[c])}
                for name, plan in plans.items()
            },
        }
        for c, i in enumerate(found.nearest.tolist())
    ]


def _sights(split: Split, clips: list[int]) -> list[np.ndarray | None]:
    """What there is to see of each clip: a pose (J, 3) in metres, or its middle picture (H, W, C) of bytes."""
    manifest, features = split.store.manifest, [split.features(i) for i in clips]
    if manifest["representation"] == "pose":
        return [np.concatenate([np.zeros((1, 3)), clip[0].reshape(-1, 3)]) for clip in features]
    if manifest["representation"] == "motion":
        motions = [poses_of(clip, load_skeleton(manifest["skeleton"])) for clip in features]
        usual = np.concatenate(motions).mean(0)  # what sets a clip apart is far from it
        return [poses[np.square(poses - usual).sum((1, 2)).argmax()] for poses in motions]
    pictures = [clip[len(clip) // 2] for clip in features]
    seen = pictures[0].dtype == np.uint8 and pictures[0].ndim == 3 and pictures[0].shape[-1] in (1, 3)
    return pictures if seen else [None] * len(clips)


def _fit(vectors: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, centres and nearest clips, the largest cluster first."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    different = len({row.tobytes() for row in vectors})
    means = KMeans(min(clusters, different), n_init=RESTARTS, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():  # sums of several threads come in any order
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly equal clips: fewer clusters, see below
        labels = means.fit_predict(vectors)
    there, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    labels, centres = np.argsort(order)[labels], means.cluster_centers_[there][order]
    nearest = []
    for cluster, centre in enumerate(centres):
        members = np.flatnonzero(labels == cluster)
        nearest.append(members[np.square(vectors[members] - centre).sum(1).argmin()])
    return labels.astype(np.int64), centres.astype(np.float32), np.array(nearest, np.int64)


def _thinned(shape: tuple[int, ...]) -> np.ndarray:
    """Columns of a frame that are kept so that they are at most ``NUMBERS``: every n-th along each longer axis."""
    columns = np.arange(int(np.prod(shape))).reshape(shape)
    step = 1
    while (some := columns[tuple(slice(None, None, step if n > 8 else 1) for n in shape)]).size > NUMBERS:
        if step > max(shape):
            break
        step += 1
    return some.reshape(-1)


def _write(path: Path, store: Store, labels: np.ndarray, centres: np.ndarray, nearest: np.ndarray) -> None:
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    for name, array in {"labels": labels, "centres": centres, "nearest": nearest}.items():
        np.save(partial / f"{name}.npy", array)
    _write_json(partial / "clusters.json", {"version": VERSION, "store": store.digest})
    if path.exists():
        shutil.rmtree(path)
    try:
        partial.rename(path)
    except OSError:  # another process has just written the same
        shutil.rmtree(partial)


def _is_current(path: Path, store: Store) -> bool:
    file = path / "clusters.json"
    return file.is_file() and json.loads(file.read_text()) == {"version": VERSION, "store": store.digest}


def _write_json(path: Path, content: list | dict) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    partial.replace(path)
