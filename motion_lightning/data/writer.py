"""Preparing a corpus: clips, captions, embeddings and statistics into one store."""

import hashlib
import json
import math
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from tqdm import tqdm

from motion_lightning import __version__
from motion_lightning.data.clip import SPLITS, Clip, Corpus, Rejected, items_after
from motion_lightning.data.embedding import write_embeddings
from motion_lightning.data.fitness import shapes_of, tidy, unfit
from motion_lightning.data.ragged import Ragged, RaggedWriter
from motion_lightning.data.statistics import frame_statistics
from motion_lightning.data.store import CLIP_FILES, VERSION, data_files, extra_file, file_sha256
from motion_lightning.data.texts import Texts
from motion_lightning.errors import UserError
from motion_lightning.motion.features import layout
from motion_lightning.text.encoders import TextEncoder

COVARIANCE_UP_TO = 1024  # numbers a frame; beyond, a corpus has no statistics


@dataclass
class Report:
    """What ``prepare_store`` did. ``splits`` holds (clips, minutes) by name."""

    corpus: str
    clips: int
    minutes: float
    texts: int
    seconds: float
    splits: dict[str, tuple[int, float]]
    rejected: list[Rejected]

    def __str__(self) -> str:
        lines = [f"{self.corpus}: {_amount(self.clips, self.minutes)}, {self.texts} different captions"]
        lines += [f"  {name:5} {_amount(*amount)}" for name, amount in self.splits.items()]
        reasons = Counter(r.reason for r in self.rejected)
        lines += [f"  left out {count}: {reason}" for reason, count in reasons.most_common()]
        return "\n".join([*lines, f"  took {self.seconds:.0f} s"])


def _amount(clips: int, minutes: float) -> str:
    return f"{clips} clips, {minutes:.1f} min" if minutes else f"{clips} clips"


def prepare_store(corpus: Corpus, encoder: TextEncoder, path: str | Path, *, progress: bool = True) -> Report:
    """Writes the store of ``corpus`` at ``path``, in place of an older one once it is complete.

    Work goes into ``path.partial``; when it was interrupted there on the same corpus and encoder, it goes on.
    A clip is left out, and listed with the reason, where it holds NaN or infinity, has fewer frames than the
    corpus allows, no caption, other shapes than the first clip, or an id that was there before.

    Raises:
        UserError: another process prepares the same store, ``path`` is something else, or no clip is left.
    """
    began, path = time.monotonic(), Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    old, partial = path.with_name(path.name + ".old"), path.with_name(path.name + ".partial")
    lock = filelock.FileLock(path.with_name(path.name + ".lock"), timeout=0)
    try:
        held = lock.acquire()
    except filelock.Timeout:
        raise UserError(f"{path}: another process prepares this store; wait for it or stop it") from None
    with held:
        if old.exists() and not path.exists():  # stopped between the two renames below
            old.rename(path)
        if path.exists() and not (path / "manifest.json").is_file():
            raise UserError(f"{path} exists and is not a store; name another place or move it away")
        plan = _plan(corpus, encoder)
        if not (partial / "plan.json").is_file() or json.loads((partial / "plan.json").read_text()) != plan:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _write_json(partial / "plan.json", plan)
        entries = _write_clips(corpus, partial, progress)
        kept = [entry for entry in entries if "frames" in entry]
        if not kept:
            raise UserError(f"{corpus.name}: no clip is left, e.g. {entries[0] if entries else 'the corpus is empty'}")
        write_embeddings(Texts(partial), encoder, partial, progress)
        _finish(partial, plan, corpus.about, entries)
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        partial.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    manifest = json.loads((path / "manifest.json").read_text())
    return Report(
        corpus=corpus.name,
        clips=manifest["counts"]["clips"],
        minutes=sum(manifest["minutes"].values()),
        texts=manifest["counts"]["texts"],
        seconds=time.monotonic() - began,
        splits={name: (manifest["counts"][name], manifest["minutes"][name]) for name in SPLITS},
        rejected=[Rejected(**entry) for entry in manifest["rejected"]],
    )


def is_current(path: str | Path, corpus: Corpus, encoder: TextEncoder) -> bool:
    """Whether the store at ``path`` is what ``prepare_store`` would write again."""
    manifest, plan = Path(path) / "manifest.json", _plan(corpus, encoder)
    return manifest.is_file() and plan.items() <= json.loads(manifest.read_text()).items()


def _plan(corpus: Corpus, encoder: TextEncoder) -> dict[str, Any]:
    """All that the content of a store depends on, as JSON gives it back."""
    plan = {
        "version": VERSION,
        "corpus": corpus.name,
        "source": corpus.fingerprint(),
        "encoder": encoder.fingerprint(),
        "representation": corpus.representation,
        "skeleton": corpus.skeleton,
        "fps": corpus.fps,
        "min_frames": corpus.min_frames,
    }
    return json.loads(json.dumps(plan))


def _write_clips(corpus: Corpus, folder: Path, progress: bool) -> list[dict]:
    """First stage. Returns the journal: an entry for each item of the corpus, kept or left out, in order."""
    shapes = json.loads(text) if (text := _read(folder / "layout.json")) else None
    names = [*CLIP_FILES, "texts", "pos", *map(extra_file, shapes["extras"] if shapes else ())]
    files = {name: RaggedWriter(folder, name) for name in names}
    entries = _take_up(folder / "journal.jsonl", files)
    if entries and "complete" in entries[-1]:
        return entries[:-1]
    ids = {entry["id"] for entry in entries if "frames" in entry}
    texts = Texts(folder)
    text_ids = {texts[i]: i for i in range(len(texts))}  # numbered as they come
    with open(folder / "journal.jsonl", "w", encoding="utf-8") as journal:
        journal.writelines(map(_line, entries))
        bar = tqdm(desc="clips", total=len(corpus), initial=len(entries), disable=not progress, unit="clip")
        for item in items_after(corpus, len(entries)):
            if isinstance(item, Clip):
                tidy(item)
                reason = unfit(item, corpus.min_frames, shapes, ids)
                item = Rejected(item.id, item.split, reason) if reason else item
            if isinstance(item, Rejected):
                entry = asdict(item)
            else:
                if shapes is None:
                    _write_json(folder / "layout.json", shapes := shapes_of(item))
                    files |= {extra_file(name): RaggedWriter(folder, extra_file(name)) for name in item.extras}
                ids.add(item.id)
                for caption, pos in zip(item.captions, item.pos, strict=True):
                    if caption not in text_ids:
                        text_ids[caption] = len(text_ids)
                        files["texts"].append(caption.encode())
                        files["pos"].append(pos.encode())
                files["features"].append(item.features)
                files["captions"].append(np.array([text_ids[c] for c in item.captions], np.int32))
                files["tags"].append(json.dumps(item.tags, ensure_ascii=False).encode())
                files["ids"].append(item.id.encode())
                files["splits"].append(np.uint8([SPLITS.index(item.split)]))
                for name, extra in item.extras.items():
                    files[extra_file(name)].append(extra)
                for file in files.values():
                    file.flush()
                frames = len(item.features)
                entry = {"id": item.id, "split": item.split, "frames": frames, "texts": len(text_ids)}
            entries.append(entry)
            journal.write(_line(entry))
            journal.flush()
            bar.update()
            bar.total = max(bar.total, bar.n)  # a recording may be cut into several clips
        bar.close()
        journal.write(_line({"complete": True}))
    for file in files.values():
        file.close()
    return entries


def _take_up(journal: Path, files: dict[str, RaggedWriter]) -> list[dict]:
    """The journal of an interrupted run, to which the files are cut back; none where the files hold less."""
    text = journal.read_text(encoding="utf-8", errors="replace") if journal.is_file() else ""
    entries = [json.loads(line) for line in text.split("\n")[:-1]]  # complete lines only
    kept = [entry for entry in entries if "frames" in entry]
    texts = kept[-1]["texts"] if kept else 0
    counts = {name: texts if name in ("texts", "pos") else len(kept) for name in files}
    if any(len(files[name]) < count for name, count in counts.items()):  # the machine went down
        entries, counts = [], dict.fromkeys(counts, 0)
    for name, count in counts.items():
        files[name].truncate(count)
    return entries


def _finish(folder: Path, plan: dict[str, Any], about: dict[str, str], entries: list[dict]) -> None:
    """Third stage: statistics of the training frames, the manifest, and no trace of the work."""
    kept = [entry for entry in entries if "frames" in entry]
    frames = {name: sum(e["frames"] for e in kept if e["split"] == name) for name in SPLITS}
    shapes = json.loads(_read(folder / "layout.json"))
    dtype, shape = shapes["features"]["dtype"], shapes["features"]["shape"]
    width = Ragged(folder, "pooled", np.float16).lengths[0].item()
    if frames["train"] and dtype == "float32" and (columns := math.prod(shape)) <= COVARIANCE_UP_TO:
        features = Ragged(folder, "features", dtype, [columns])
        train = (features[i] for i, entry in enumerate(kept) if entry["split"] == "train")
        joints, rest = divmod(columns + 1, 12)
        is_motion = plan["representation"] == "motion" and not rest
        frame_statistics(train, layout(joints).values() if is_motion else ()).save(folder / "stats.npz")
    files = {file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
             for file in data_files(folder, shapes["extras"])}  # fmt: skip
    moves = plan["representation"] not in ("pose", "image")  # what stands still lasts no time
    manifest = {
        **plan,
        "made_with": {"motion_lightning": __version__, "numpy": np.__version__},
        "about": about,
        **shapes,
        "text_width": width,
        "counts": {
            "clips": len(kept),
            **{name: sum(e["split"] == name for e in kept) for name in SPLITS},
            "texts": len(Texts(folder)),
            "frames": sum(frames.values()),
        },
        "minutes": {name: count / plan["fps"] / 60 * moves for name, count in frames.items()},
        "rejected": [entry for entry in entries if "reason" in entry],
        "digest": hashlib.sha256("".join(file["sha256"] for file in files.values()).encode()).hexdigest(),
        "files": files,
    }
    _write_json(folder / "manifest.json", manifest)
    for name in ("journal.jsonl", "plan.json", "layout.json"):
        (folder / name).unlink()


def _read(path: Path) -> str:
    """Text of a file; empty where there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _line(entry: dict) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(path)
