"""Checks of what lies on the disk: the store, what was left out, published lists, checksums and statistics."""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.clip import SPLITS
from motion_lightning.data.store import file_sha256
from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.finding import ERROR, NOTE, WARNING, Case, Finding, worst
from motion_lightning.doctor.leaks import feature_groups

# Lists as published (EricGuo5513/HumanML3D, 9176e8f): ids, and SHA-256 of them in order, a line each.
PUBLISHED = {
    "humanml3d": {
        "train": (23384, "995f3866b227bd67ce0fcf188623374fd8d337a469c75efa010a3a2ecf2fd18f"),
        "val": (1460, "574ec2ef9d63e2f7433ce60291315e4668ac2be3e8e7d19a3eecc83ffa7a5f16"),
        "test": (4384, "a96eca26b8cec850ca4895db3a1d504831fd5982ce27b5a8f2adbeee075faef5"),
    }
}
BY_RULE = re.compile(r"(shorter|longer) than|\d+ are needed|no caption")  # left out as settings say; all else is broken
SUMS = ("SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt", "checksums.sha256", "MD5SUMS", "md5sums.txt", "checksums.md5")
SHIFTED, SCALED = 0.25, 1.25  # deviations of a group's mean, and factor of its deviation, that are worth a word
EVALUATOR = ("root_yaw_velocity", "root_velocity", "root_height", "contacts")


def check_files(clips: Clips, corpus: Any = None) -> Iterator[Finding]:
    """Findings about files; ``corpus`` is the one that the store was made of, where it is at hand."""
    changed = []
    for name, file in clips.manifest["files"].items():
        path = clips.store.path / name
        if not path.is_file() or file_sha256(path) != file["sha256"]:
            changed.append(Case(f"{path} is not what was prepared", None, None, 1.0))
    yield Finding(
        "store files", ERROR, "prepare the corpus again", len(clips.manifest["files"]), "files", cases=changed
    )
    yield from _left_out(clips)
    source = getattr(corpus, "source", None)
    folder = Path(source) if isinstance(source, str | Path) and Path(source).is_dir() else None
    yield from _checksums(folder)
    yield from _lists(clips, folder)
    if not folder or not (folder / "new_joint_vecs").is_dir():
        yield from _unlisted_recordings(corpus)


def _left_out(clips: Clips) -> Iterator[Finding]:
    """Items that prepare could not take, and those that it took no interest in."""
    reasons = defaultdict(list)
    for entry in clips.manifest["rejected"]:
        reasons[entry["reason"]].append(entry)
    total = len(clips) + len(clips.manifest["rejected"])
    broken, short = [], []
    for entries in sorted(reasons.values(), key=len):
        for entry in entries:
            case = Case(f"{entry['id']} ({entry['where']}): {entry['reason']}", None, None, 1.0)
            (short if BY_RULE.search(entry["reason"]) else broken).append(case)
    yield Finding("broken or missing items", ERROR, "fetch or repair them", total, "items", cases=broken)
    advice = "; ".join(
        f"{len(entries)} {reason}" for reason, entries in sorted(reasons.items(), key=lambda r: -len(r[1]))[:3]
    )
    yield Finding("items left out", NOTE, advice, total, "items", cases=short)


def _checksums(folder: Path | None) -> Iterator[Finding]:
    """Files of a source folder against a list of checksums in it."""
    finding = Finding("checksums of the source", ERROR, "fetch the file again", 0, "files")
    lists = [folder / name for name in SUMS if folder and (folder / name).is_file()]
    if not lists:
        finding.skipped = f"the source has no list of checksums ({', '.join(SUMS[:2])}, …)"
    for path in lists:
        kind = "md5" if "md5" in path.name.lower() else "sha256"
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            match = re.fullmatch(r"\s*([0-9a-fA-F]{32,64})\s+\*?(.+?)\s*", line)
            if not match:
                continue
            finding.of += 1
            file = (folder / match[2]).resolve()
            if not file.is_relative_to(folder.resolve()) or not file.is_file():
                finding.cases.append(Case(f"{match[2]} of {path.name} is missing", None, None, 1.0))
            else:
                content = np.memmap(file, np.uint8, "r") if file.stat().st_size else b""
                if hashlib.new(kind, content).hexdigest() != match[1].lower():
                    finding.cases.append(Case(f"{match[2]} is not the file of {path.name}", None, None, 1.0))
    yield finding


def _lists(clips: Clips, folder: Path | None) -> Iterator[Finding]:
    """An official folder: its lists against the published ones, and its files against its lists."""
    if not folder or not (folder / "new_joint_vecs").is_dir():
        return
    listed, cases = set(), []
    published = PUBLISHED.get(clips.manifest["corpus"], {})
    for split in SPLITS:
        file = folder / f"{split}.txt"
        ids = {line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()}
        listed |= ids
        if split in published:
            count, digest = published[split]
            if hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest() != digest:
                cases.append(
                    Case(f"{split}.txt has {len(ids):,} ids and is not the published list of {count:,}", value=1.0)
                )
    if published:
        yield Finding(
            "official lists",
            WARNING,
            "numbers on these splits are not comparable with published ones",
            3,
            "lists",
            cases=cases,
        )
    cases, of = [], 0
    for sub, end in (("new_joint_vecs", ".npy"), ("texts", ".txt")):
        with os.scandir(folder / sub) as entries:
            have = {entry.name.removesuffix(end) for entry in entries if entry.name.endswith(end)}
        of += len(have)
        cases += [Case(f"{sub}/{name}{end} is in no list", None, None, 1.0) for name in sorted(have - listed)]
        missing = sorted(listed - have)
        cases += [Case(f"{name} is listed and has no {sub}/{name}{end}", None, None, 2.0) for name in missing]
    yield Finding("files and lists", WARNING, "complete the folder, or the lists", of, "files", cases=worst(cases))


def _unlisted_recordings(corpus: Any) -> Iterator[Finding]:
    """Motion files beside the recordings of a captions file that has no line for them."""
    if not (hasattr(corpus, "files") and hasattr(corpus, "recordings")):
        return
    import zipfile

    listed, cases, of = defaultdict(set), [], 0
    for archive, member in corpus.files:
        listed[Path(archive)].add(str(member).replace("\\", "/"))
    for archive, members in listed.items():
        if archive.is_file():
            with zipfile.ZipFile(archive) as opened:
                have = {name for name in opened.namelist() if name.lower().endswith(".bvh")}
        else:
            have = {path.relative_to(archive).as_posix() for path in archive.rglob("*.bvh")}
        of += len(have)
        cases += [Case(f"{archive.name}/{name} has no caption", None, None, 1.0) for name in sorted(have - members)]
    yield Finding("files without captions", NOTE, "add lines to the captions file", of, "files", cases=cases)


def check_statistics(clips: Clips) -> Iterator[Finding]:
    """Mean.npy and Std.npy as published, beside those of the store's training frames, by feature group."""
    finding = Finding(
        "drift of Mean and Std", WARNING, "the features were made otherwise, or of other motions", 0, "feature groups"
    )
    published = {name: file["values"] for name, file in (clips.manifest["source"].get("published") or {}).items()}
    if len(published) < 2 or not (clips.store.path / "stats.npz").is_file():
        finding.skipped = "no published Mean.npy and Std.npy beside the features"
        yield finding
        return
    mean, std = (np.array(published[name]) for name in ("Mean.npy", "Std.npy"))
    rows = drift(clips, mean, std)
    finding.of = len(rows)
    for row in rows:
        if row["shift"] > SHIFTED or not 1 / SCALED < row["ratio"] < SCALED:
            what = (
                f"{row['group']}: Mean is off by {row['shift']:.2f} deviations; Std is {row['published']:.4g}, "
                f"the store's {row['own']:.4g} ({row['ratio']:.3g} times)"
            )
            finding.cases.append(Case(what, None, None, max(row["shift"], abs(float(np.log(row["ratio"]))))))
    finding.cases = worst(finding.cases)
    ratios = {row["group"]: row["ratio"] for row in rows}
    small = [ratios[group] for group in EVALUATOR if group in ratios]
    if small and all(3 < ratio < 60 for ratio in small) and 0.7 < ratios["positions"] < 1.4:
        finding.advice = (
            "Std is small where the evaluators' is: this is a Std.npy of an evaluator's folder, not the data's own"
        )
    yield finding


def drift(clips: Clips, mean: np.ndarray, std: np.ndarray) -> list[dict[str, Any]]:
    """Per feature group: shift of the mean in published deviations, published and own Std, and their ratio."""
    stats, rows = clips.store.stats, []
    for group, part in feature_groups(clips).items():
        size = float(np.abs(std[part]).mean()) or 1.0
        own = float(stats.std[part].mean())
        shift = float(np.sqrt(((stats.mean[part] - mean[part]) ** 2).mean())) / size
        rows.append({"group": group, "shift": shift, "published": size, "own": own, "ratio": max(own / size, 1e-9)})
    return rows
