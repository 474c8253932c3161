"""Preparing a corpus: clips, captions, embeddings and statistics into one store."""

import hashlib
import inspect
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from tqdm import tqdm

from motion_lightning import __version__
from motion_lightning.data.clip import SPLITS, Clip, Corpus, Rejected
from motion_lightning.data.ragged import Ragged, RaggedWriter
from motion_lightning.data.statistics import frame_statistics
from motion_lightning.data.store import CLIP_FILES, VERSION, data_files, file_sha256
from motion_lightning.errors import UserError
from motion_lightning.text.encoders import TextEncoder

TEXTS_A_CHUNK = 512  # embedded together; a resumed run keeps whole chunks, so that its bytes do not differ


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
        lines = [f"{self.corpus}: {self.clips} clips, {self.minutes:.1f} min, {self.texts} different captions"]
        lines += [f"  {name:5} {clips} clips, {minutes:.1f} min" for name, (clips, minutes) in self.splits.items()]
        reasons = Counter(r.reason for r in self.rejected)
        lines += [f"  left out {count}: {reason}" for reason, count in reasons.most_common()]
        return "\n".join([*lines, f"  took {self.seconds:.0f} s"])


def prepare_store(
    corpus: Corpus, encoder: TextEncoder, path: str | Path, *, min_frames: int = 20, progress: bool = True
) -> Report:
    """Writes the store of ``corpus`` at ``path``, in place of an older one once it is complete.

    Work goes into ``path.partial``; when it was interrupted there on the same corpus and encoder, it goes on.
    A clip is left out, and listed with the reason, where it holds NaN or infinity, has fewer than
    ``min_frames`` frames, no caption, another width than the first clip, or an id that was there before.

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
        plan = _plan(corpus, encoder, min_frames)
        if not (partial / "plan.json").is_file() or json.loads((partial / "plan.json").read_text()) != plan:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _write_json(partial / "plan.json", plan)
        entries = _write_clips(corpus, partial, min_frames, progress)
        kept = [entry for entry in entries if "frames" in entry]
        if not kept:
            raise UserError(f"{corpus.name}: no clip is left, e.g. {entries[0] if entries else 'the corpus is empty'}")
        _write_embeddings(encoder, partial, progress)
        _finish(partial, plan, entries)
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


def is_current(path: str | Path, corpus: Corpus, encoder: TextEncoder, *, min_frames: int = 20) -> bool:
    """Whether the store at ``path`` is what ``prepare_store`` would write again."""
    manifest, plan = Path(path) / "manifest.json", _plan(corpus, encoder, min_frames)
    return manifest.is_file() and plan.items() <= json.loads(manifest.read_text()).items()


def _plan(corpus: Corpus, encoder: TextEncoder, min_frames: int) -> dict[str, Any]:
    """All that the content of a store depends on, as JSON gives it back."""
    plan = {
        "version": VERSION,
        "corpus": corpus.name,
        "source": corpus.fingerprint(),
        "encoder": encoder.fingerprint(),
        "skeleton": corpus.skeleton,
        "fps": corpus.fps,
        "min_frames": min_frames,
    }
    return json.loads(json.dumps(plan))


def _write_clips(corpus: Corpus, folder: Path, min_frames: int, progress: bool) -> list[dict]:
    """First stage. Returns the journal: an entry for each item of the corpus, kept or left out, in order."""
    files = {name: RaggedWriter(folder, name) for name in (*CLIP_FILES, "texts")}
    entries = _take_up(folder / "journal.jsonl", files)
    if entries and "complete" in entries[-1]:
        return entries[:-1]
    kept = [entry for entry in entries if "frames" in entry]
    ids = {entry["id"] for entry in kept}
    width = files["features"].ends[0] // (4 * kept[0]["frames"]) if kept else None
    texts = Ragged(folder, "texts", np.uint8)
    text_ids = {texts.text(i): i for i in range(len(texts))}  # numbered as they come
    with open(folder / "journal.jsonl", "w", encoding="utf-8") as journal:
        journal.writelines(map(_line, entries))
        bar = tqdm(desc="clips", total=len(corpus), initial=len(entries), disable=not progress, unit="clip")
        for item in _items_after(corpus, len(entries)):
            if isinstance(item, Clip):
                item.captions = [caption.strip() for caption in item.captions if caption.strip()]
                reason = _unfit(item, min_frames, width, ids)
                item = Rejected(item.id, item.split, reason) if reason else item
            if isinstance(item, Rejected):
                entry = asdict(item)
            else:
                width = item.features.shape[1]
                ids.add(item.id)
                new = [caption for caption in dict.fromkeys(item.captions) if caption not in text_ids]
                text_ids.update(zip(new, range(len(text_ids), len(text_ids) + len(new)), strict=True))
                for caption in new:
                    files["texts"].append(caption.encode())
                files["features"].append(item.features.astype(np.float32, copy=False))
                files["captions"].append(np.array([text_ids[c] for c in item.captions], np.int32))
                files["tags"].append(json.dumps(item.tags, ensure_ascii=False).encode())
                files["ids"].append(item.id.encode())
                files["splits"].append(np.uint8([SPLITS.index(item.split)]))
                for file in files.values():
                    file.flush()
                frames = len(item.features)
                entry = {"id": item.id, "split": item.split, "frames": frames, "texts": len(text_ids)}
            entries.append(entry)
            journal.write(_line(entry))
            journal.flush()
            bar.update()
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
    counts = {name: len(kept) for name in CLIP_FILES} | {"texts": kept[-1]["texts"] if kept else 0}
    if any(len(files[name]) < count for name, count in counts.items()):  # the machine went down
        entries, counts = [], dict.fromkeys(counts, 0)
    for name, count in counts.items():
        files[name].truncate(count)
    return entries


def _unfit(clip: Clip, min_frames: int, width: int | None, ids: set[str]) -> str | None:
    """Why a clip is left out; None for a good one."""
    if clip.split not in SPLITS:
        raise UserError(f"clip {clip.id}: split '{clip.split}' is none of {', '.join(SPLITS)}")
    if clip.id in ids:
        return "id was there before"
    if clip.features.ndim != 2 or width not in (None, clip.features.shape[1]):
        return f"features are not (frames, {width or 'D'})"
    if len(clip.features) < min_frames:
        return f"shorter than {min_frames} frames"
    if not np.isfinite(clip.features).all():
        return "NaN or infinity in the features"
    return None if clip.captions else "no caption"


def _items_after(corpus: Corpus, done: int) -> Iterator[Clip | Rejected]:
    """The rest of the corpus; one that cannot start in the middle is gone through from its beginning."""
    if done and "start" in inspect.signature(corpus.clips).parameters:
        return corpus.clips(start=done)
    return islice(corpus.clips(), done, None)


def _write_embeddings(encoder: TextEncoder, folder: Path, progress: bool) -> None:
    """Second stage: every different caption once, in half precision."""
    texts = Ragged(folder, "texts", np.uint8)
    files = {name: RaggedWriter(folder, name) for name in ("tokens", "pooled")}
    done = min(len(file) for file in files.values()) // TEXTS_A_CHUNK * TEXTS_A_CHUNK
    for file in files.values():
        file.truncate(done)
    with tqdm(desc="captions", total=len(texts), initial=done, disable=not progress, unit="text") as bar:
        for start in range(done, len(texts), TEXTS_A_CHUNK):
            chunk = [texts.text(i) for i in range(start, min(start + TEXTS_A_CHUNK, len(texts)))]
            cond = encoder.encode(chunk)
            tokens, pooled = cond.tokens.numpy().astype(np.float16), cond.pooled.numpy().astype(np.float16)
            if not (np.isfinite(tokens).all() and np.isfinite(pooled).all()):
                raise UserError(f"text encoder {encoder.name}: embeddings do not fit into half precision; use another")
            for row, length, mean in zip(tokens, cond.mask.sum(1).tolist(), pooled, strict=True):
                files["tokens"].append(row[:length])
                files["pooled"].append(mean)
            for file in files.values():
                file.flush()
            bar.update(len(chunk))
    for file in files.values():
        file.close()


def _finish(folder: Path, plan: dict[str, Any], entries: list[dict]) -> None:
    """Third stage: statistics of the training frames, the manifest, and no trace of the work."""
    kept = [entry for entry in entries if "frames" in entry]
    frames = {name: sum(e["frames"] for e in kept if e["split"] == name) for name in SPLITS}
    columns = (folder / "features.bin").stat().st_size // (4 * sum(frames.values()))
    width = Ragged(folder, "pooled", np.float16).lengths[0].item()
    if frames["train"]:
        features = Ragged(folder, "features", np.float32, columns)
        train = (features[i] for i, entry in enumerate(kept) if entry["split"] == "train")
        frame_statistics(train).save(folder / "stats.npz")
    files = {file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file)} for file in data_files(folder)}
    manifest = {
        **plan,
        "made_with": {"motion_lightning": __version__, "numpy": np.__version__},
        "widths": {"features": columns, "tokens": width},
        "counts": {
            "clips": len(kept),
            **{name: sum(e["split"] == name for e in kept) for name in SPLITS},
            "texts": len(Ragged(folder, "texts", np.uint8)),
            "frames": sum(frames.values()),
        },
        "minutes": {name: count / plan["fps"] / 60 for name, count in frames.items()},
        "rejected": [entry for entry in entries if "reason" in entry],
        "digest": hashlib.sha256("".join(file["sha256"] for file in files.values()).encode()).hexdigest(),
        "files": files,
    }
    _write_json(folder / "manifest.json", manifest)
    (folder / "journal.jsonl").unlink()
    (folder / "plan.json").unlink()


def _line(entry: dict) -> str:
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    temporary.replace(path)
