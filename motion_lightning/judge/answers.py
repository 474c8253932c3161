"""Reading what came back from viewers: each file is checked against the key of its page, each viewer counted once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from motion_lightning.errors import UserError

KINDS = ("pairs", "choose")
ASKED = {"pairs": ("better", "natural"), "choose": ("chosen",)}
GIVEN = {"pairs": {"left", "right", "neither"}, "choose": {str(k) for k in range(1, 9)}}


class Sheet(NamedTuple):
    """The answers of one viewer to one page."""

    kind: str
    viewer: str
    answers: dict[int, dict[str, Any]]  # by item: what was answered by question, and ``seconds`` of each
    file: Path
    session: str
    saved: str  # ISO 8601, UTC


def read_keys(folder: Path) -> dict[str, dict]:
    """The keys of the pages in a folder, by kind. UserError where there are none."""
    files = {kind: folder / f"{kind}.key.json" for kind in KINDS}
    keys = {kind: json.loads(file.read_text(encoding="utf-8")) for kind, file in files.items() if file.is_file()}
    if not keys:
        raise UserError(
            f"{folder} holds neither pairs.key.json nor choose.key.json: say out=, where the pages were made"
        )
    return keys


def read_answers(files: Sequence[Path], keys: Mapping[str, dict], folder: Path) -> tuple[list[Sheet], list[str]]:
    """The sheets that count, and a line on every file that does not, or not all of it."""
    sheets, notes = [], []
    for i, file in enumerate(files):
        if file.resolve() in {other.resolve() for other in files[:i]}:
            notes.append(f"{file} is named twice; counted once")
            continue
        try:
            sheets.append(read_sheet(file, keys, folder))
        except UserError as error:
            notes.append(str(error))
    counted, replaced = latest(sheets)
    notes += replaced
    for sheet in counted:
        items, asked = keys[sheet.kind]["items"], ASKED[sheet.kind]
        done = sum(all(name in sheet.answers.get(item, {}) for name in asked) for item in range(len(items)))
        if done < len(items):
            notes.append(f"{sheet.file} is incomplete: {done} of {len(items)} answered; what is there counts")
    return counted, notes


def read_sheet(file: Path, keys: Mapping[str, dict], folder: Path) -> Sheet:
    """One file. UserError where it is damaged, or of another page."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        kind, page = found["kind"], found["page"]
        session, saved, viewer = (str(found[name]) for name in ("session", "saved", "viewer"))
        answers = {entry["item"]: entry for entry in found["answers"]}
        whole = len(answers) == len(found["answers"]) and all(isinstance(entry, dict) for entry in answers.values())
    except OSError:
        raise UserError(f"{file}: there is no such file that can be read; not counted") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{file} is damaged, or no file of answers; not counted") from None
    key = keys.get(kind) if isinstance(kind, str) else None
    if key is None:
        raise UserError(f"{file} answers a page of kind {kind!r}, {folder} has none; not counted")
    if page != key["page"]:
        raise UserError(f"{file} answers page {page}, {folder / kind}.key.json is of page {key['page']}; not counted")
    fits = all(
        type(item) is int and 0 <= item < len(key["items"]) and valid(kind, entry) for item, entry in answers.items()
    )
    if not (whole and fits):
        raise UserError(f"{file} is damaged: it holds answers that the page does not have; not counted")
    return Sheet(kind, " ".join(viewer.split()), answers, file, session, saved)


def valid(kind: str, entry: dict[str, Any]) -> bool:
    """Whether all that an item was answered by can be."""
    seconds = entry.get("seconds")
    given = [entry[name] for name in ASKED[kind] if name in entry]
    return (
        all(isinstance(answer, str) and answer in GIVEN[kind] for answer in given)
        and isinstance(seconds, dict)
        and all(isinstance(value, int | float) for value in seconds.values())
    )


def latest(sheets: Sequence[Sheet]) -> tuple[list[Sheet], list[str]]:
    """The last saved sheet of every viewer and page, and a line on those that it replaces.

    A viewer is known by name; one without a name by the browser's session, under a name that is used there alone.
    """
    named: dict[tuple[str, str], set[str]] = {}
    for sheet in sheets:
        if sheet.viewer:
            named.setdefault((sheet.kind, sheet.session), set()).add(sheet.viewer.casefold())
    last: dict[tuple[str, str], Sheet] = {}
    notes = []
    for sheet in sorted(sheets, key=lambda sheet: sheet.saved):
        names = named.get((sheet.kind, sheet.session), set())
        who = sheet.viewer.casefold() or (next(iter(names)) if len(names) == 1 else f"session {sheet.session}")
        if earlier := last.get((sheet.kind, who)):
            notes.append(f"{earlier.file} is replaced by {sheet.file}, which the same viewer saved later; counted once")
        last[sheet.kind, who] = sheet
    return [last[which] for which in sorted(last)], notes
