"""Checks of splits: the same recording, motion or captions on both sides of a split, and unlike statistics."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from motion_lightning.data.clip import SPLITS
from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.finding import ERROR, NOTE, WARNING, Case, Finding, worst
from motion_lightning.motion.features import layout, mirror

KEYS = 8  # poses of a clip's outline
NEAR, RELATIVE = 0.04, 0.2  # m between outlines, and as a share of how far the clip moves
LENGTH = 0.1  # share by which lengths of near copies may differ
COORDINATES = 24  # of the outlines, for the search


def check_leaks(clips: Clips) -> Iterator[Finding]:
    """Findings about what train, val and test share."""
    names = defaultdict(list)
    for row, name in enumerate(clips.recordings):
        names[name].append(row)
    split = [
        Case(f"{name} is in {_list(clips, rows)}", rows[-1], None, float(len(rows)))
        for name, rows in names.items()
        if len({clips.splits[row] for row in rows}) > 1
    ]
    yield Finding(
        "recordings in several splits", ERROR, "parts and mirrored copies of a recording belong into one split",
        len(names), "recordings", cases=worst(split),
    )  # fmt: skip

    same = defaultdict(list)
    for row in range(len(clips)):
        same[hashlib.blake2b(clips.store.features[row].tobytes(), digest_size=16).digest()].append(row)
    copies = [rows for rows in same.values() if len(rows) > 1]
    leaks = [rows for rows in copies if len({clips.splits[row] for row in rows}) > 1]

    def told(heaps: list[list[int]]) -> list[Case]:
        return [
            Case(" = ".join(_named(clips, r) for r in rows[:4]), rows[-1], None, float(len(rows))) for rows in heaps
        ]

    yield Finding("same clip in several splits", ERROR, "keep one of them", len(clips), cases=worst(told(leaks)))
    within = [rows for rows in copies if rows not in leaks]
    yield Finding(
        "same clip twice in a split", WARNING, "it counts twice; keep one", len(clips), cases=worst(told(within))
    )
    if clips.manifest["representation"] == "motion" and clips.skeleton:
        yield _near_copies(clips, {row for rows in copies for row in rows})
    yield _shared_captions(clips)


def _near_copies(clips: Clips, known: set[int]) -> Finding:
    """Clips of val and test with a close neighbour in train, also in a mirror."""
    from scipy.spatial import cKDTree

    train, held = np.flatnonzero(clips.splits == 0), np.flatnonzero(clips.splits != 0)
    finding = Finding(
        "near copies across splits", WARNING, "look at both: another take is fine, the same one is a leak", len(held)
    )
    if not len(train) or not len(held):
        finding.skipped = "no training clips" if not len(train) else "no clips but for training"
        return finding
    outlines = np.stack([outline(clips, row) for row in range(len(clips))])  # (N, KEYS, J, 3)
    flat = outlines.reshape(len(outlines), -1)
    mean = flat[train].mean(0)
    # a turn of the axes shortens no distance by leaving some out: no near one is missed
    some = flat[np.random.default_rng(0).permutation(train)[:4000]]
    axes = np.linalg.svd(some - mean, full_matrices=False)[2][:COORDINATES]
    tree = cKDTree((flat[train] - mean) @ axes.T)
    mirrored = mirror(outlines, clips.skeleton).reshape(flat.shape)
    scale = np.sqrt(outlines[0].shape[0] * outlines[0].shape[1])
    cases = []
    for row in held:
        moves = np.sqrt(((outlines[row] - outlines[row].mean(0)) ** 2).sum(-1).mean())
        bound = min(NEAR, RELATIVE * moves) / clips.skeleton.metre_per_unit if moves else 0.0
        mates = []
        for other, how in ((flat[row], "is"), (mirrored[row], "is, in a mirror,")):
            for mate in train[tree.query_ball_point((other - mean) @ axes.T, bound * scale)].tolist():
                far = float(np.linalg.norm(flat[mate] - other)) / scale
                alike = abs(clips.lengths[mate] - clips.lengths[row]) <= LENGTH * clips.lengths[row]
                if far < bound and alike and not (row in known and far == 0):
                    mates.append((far * clips.skeleton.metre_per_unit, how, mate))
        if mates:
            far, how, mate = min(mates)
            what = f"{_named(clips, row)} {how} {1000 * far:.0f} mm from {_named(clips, mate)}"
            cases.append(Case(what, int(row), None, far))
    finding.cases = worst(cases, reverse=False)
    return finding


def outline(clips: Clips, row: int) -> np.ndarray:
    """(KEYS, J, 3): poses at even times, heading removed, with the root's path so far in the place of the root."""
    joints = len(clips.skeleton.joints)
    features, parts = clips.store.features[row], layout(joints)
    keys = np.rint(np.linspace(0, len(features) - 1, KEYS)).astype(int)
    local = features[keys, parts["positions"]].reshape(KEYS, joints - 1, 3)
    path = np.cumsum(features[:, parts["root_velocity"]], axis=0)[keys]
    root = np.stack([path[:, 0], features[keys, parts["root_height"].start], path[:, 1]], -1)
    return np.concatenate([root[:, None], local], 1)


def _shared_captions(clips: Clips) -> Finding:
    """Held-out clips of which every caption is one of a single training clip."""
    train = defaultdict(list)
    for row in np.flatnonzero(clips.splits == 0):
        train[frozenset(clips.texts(row))].append(row)
    cases = []
    for row in np.flatnonzero(clips.splits != 0):
        own = frozenset(clips.texts(row))
        if len(own) > 1 and own in train:
            cases.append(
                Case(f"{_named(clips, row)} has all {len(own)} captions of {_named(clips, train[own][0])}",
                     int(row), None, float(len(own)))
            )  # fmt: skip
    return Finding(
        "caption sets in several splits", WARNING, "several alike are seldom chance: look at the motion",
        int((clips.splits != 0).sum()), cases=worst(cases),
    )  # fmt: skip


def check_balance(clips: Clips) -> Iterator[Finding]:
    """Whether the splits look alike: mean and deviation of each feature group, against train."""
    finding = Finding(
        "splits that differ", NOTE, "numbers on such a split say less about the other", 0, "feature groups"
    )
    width = clips.manifest["features"]["shape"]
    rows = {name: np.flatnonzero(clips.splits == i) for i, name in enumerate(SPLITS)}
    if clips.manifest["features"]["dtype"] != "float32" or len(rows["train"]) < 2 or int(np.prod(width)) > 1024:
        finding.skipped = "no statistics of numbers, or too few training clips"
        yield finding
        return
    moments = {name: _moments(clips, part) for name, part in rows.items() if len(part) > 1}
    groups = feature_groups(clips)
    for name, other in combinations(moments, 2):
        if name != "train":
            continue
        (mean, std), (own_mean, own_std) = moments[name], moments[other]
        for group, part in groups.items():
            finding.of += 1
            size = float(np.sqrt((std[part] ** 2).mean())) or 1.0
            shift = float(np.sqrt(((own_mean[part] - mean[part]) ** 2).mean())) / size
            ratio = float(np.sqrt((own_std[part] ** 2).mean())) / size
            if shift > 0.5 or not 0.5 < ratio < 2:
                what = f"{other}: {group} is shifted by {shift:.2f} deviations, which are {ratio:.2f} times train's"
                finding.cases.append(Case(what, None, None, max(shift, abs(float(np.log(max(ratio, 1e-6)))))))
    finding.cases = worst(finding.cases)
    yield finding


def feature_groups(clips: Clips) -> dict[str, slice]:
    """Columns that belong together, by name."""
    if clips.manifest["representation"] == "motion" and clips.skeleton:
        return layout(len(clips.skeleton.joints))
    return {"features": slice(None)}


def _moments(clips: Clips, rows: np.ndarray, most: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the frames of (at most so many) clips."""
    some = rows if len(rows) <= most else np.random.default_rng(0).permutation(rows)[:most]
    frames = np.concatenate([clips.store.features[row].reshape(clips.lengths[row], -1) for row in some])
    return frames.mean(0, np.float64), frames.std(0, dtype=np.float64)


def _named(clips: Clips, row: int) -> str:
    return f"{clips.ids[row]} ({clips.split(row)})"


def _list(clips: Clips, rows: list[int]) -> str:
    return ", ".join(_named(clips, row) for row in rows[:4]) + (", …" if len(rows) > 4 else "")
