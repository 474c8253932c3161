"""Folders of clips with texts: ``NAME.pose`` or ``NAME.mp4`` beside ``NAME.txt``, or a captions file.

``NAME.txt`` has a caption a line. The part of the name before its first ``_`` is the signer. Where there is a
``captions.jsonl``, it takes the place of the text files, one object a line: ``file`` (relative to the folder),
``captions``, and where known ``signer``, ``split``, ``gloss`` and ``license``.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from motion_lightning.data.clip import SPLITS
from motion_lightning.errors import UserError

LARGEST_TEXT = 1 << 20  # bytes


@dataclass(frozen=True)
class Pair:
    """A clip of a folder and what is said about it."""

    id: str
    file: Path
    captions: tuple[str, ...]
    signer: str
    split: str
    tags: dict[str, Any] = field(default_factory=dict)


def find_pairs(source: str | Path | None, suffixes: Sequence[str]) -> list[Pair]:
    """The clips of a folder by name, split by signer.

    Raises:
        UserError: no folder, no clip in it, a clip without its text, or a wrong line of the captions file.
    """
    if not source or not Path(source).expanduser().is_dir():
        raise UserError(f"data.source: {source} is no folder; give the one of the clips and their texts")
    folder = Path(source).expanduser().resolve()
    captions = folder / "captions.jsonl"
    rows = _from_lines(captions) if captions.is_file() else _from_texts(folder, suffixes)
    if not rows:
        raise UserError(f"{folder}: no file {' or '.join('*' + suffix for suffix in suffixes)}")
    drawn = split_signers([row["signer"] for row in rows if not row["split"]])
    pairs: dict[str, Pair] = {}
    for row in rows:
        if Path(row["file"]).suffix.lower() not in suffixes:
            raise UserError(f"{row['where']}: {row['file']} is none of {', '.join(suffixes)}")
        name = str(PurePosixPath(row["file"]).with_suffix(""))
        if name in pairs:
            raise UserError(f"{row['where']}: {name} was there before, as {pairs[name].file.name}")
        split = row["split"] or drawn[row["signer"]]
        tags = {"signer": row["signer"], **row["tags"]}
        pairs[name] = Pair(name, folder / row["file"], tuple(row["captions"]), row["signer"], split, tags)
    return list(pairs.values())


def split_signers(signers: Sequence[str]) -> dict[str, str]:
    """A split for each signer, none in two: about a tenth is test and a tenth val, one each from three people on.

    The order of the people is that of a hash, so it does not depend on the files' order. Two people are train and
    test, one is train.
    """
    people = sorted(set(signers), key=lambda signer: hashlib.sha256(signer.encode()).digest())
    test = max(1, round(len(people) / 10)) if len(people) > 1 else 0
    val = max(1, round(len(people) / 10)) if len(people) > 2 else 0
    return {p: "test" if k < test else "val" if k < test + val else "train" for k, p in enumerate(people)}


def read_text(path: Path) -> list[str]:
    """Captions of a text file, one a line. UserError for what is no short UTF-8 text."""
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise UserError(f"{path}: larger than {LARGEST_TEXT} bytes; one caption a line is expected")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); one caption a line is expected") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 at byte {error.start}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def fingerprint(pairs: Sequence[Pair]) -> str:
    """A hash over all names, captions, splits and files."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(json.dumps([pair.id, pair.captions, pair.split, pair.tags]).encode())
        if pair.file.is_file():
            with pair.file.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()


def _from_texts(folder: Path, suffixes: Sequence[str]) -> list[dict]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    return [
        {"file": path.name, "captions": read_text(path.with_suffix(".txt")), "signer": path.stem.split("_")[0],
         "split": None, "tags": {}, "where": str(path)}
        for path in files
    ]  # fmt: skip


def _from_lines(path: Path) -> list[dict]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 ({error})") from None
    return [_row(line, f"{path} line {number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _row(line: str, where: str) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({error}); one object a line is expected") from None
    if not isinstance(row, dict) or not isinstance(row.get("file"), str):
        raise UserError(f"{where}: expected an object with file and captions, found {line[:60]}")
    file, captions = row["file"].replace("\\", "/"), row.get("captions")
    posix = PurePosixPath(file)
    if posix.is_absolute() or ".." in posix.parts or ":" in file or "\0" in file or not posix.name:
        raise UserError(f"{where}: {file!r} leaves its folder; paths are relative, without '..'")
    if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
        raise UserError(f"{where}: captions should be a list of texts, got {json.dumps(captions)[:60]}")
    signer, split = row.get("signer", posix.stem.split("_")[0]), row.get("split")
    if not isinstance(signer, str) or split not in (None, *SPLITS):
        raise UserError(f"{where}: signer should be a text and split one of {', '.join(SPLITS)}")
    tags = {key: row[key] for key in ("gloss", "license") if isinstance(row.get(key), (str, list))}
    return {"file": file, "captions": captions, "signer": signer, "split": split, "tags": tags, "where": where}
