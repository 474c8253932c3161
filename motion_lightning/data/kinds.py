"""What clips are of, where their tags say so."""

import json
from collections.abc import Sequence

from motion_lightning.data.store import Split


def kind(tags: dict) -> str | None:
    """What a clip is of, where its tags say so: its program without when things happen, its label or its gloss."""
    known = next((tags[name] for name in ("program", "label", "gloss") if tags.get(name) is not None), None)
    if isinstance(known, dict) and "segments" in known:
        known = [{k: v for k, v in s.items() if k not in ("start", "end") and v is not None} for s in known["segments"]]
    return None if known is None else json.dumps(known, sort_keys=True)


def action(tags: dict) -> str | None:
    """What alone is done in a clip, where its tags say so: the one action of its program, its label or its gloss."""
    known = next((tags[name] for name in ("program", "label", "gloss") if tags.get(name) is not None), None)
    if isinstance(known, dict):
        segments = known.get("segments", [])
        return segments[0]["action"] if len(segments) == 1 else None
    return None if known is None else str(known)


def kind_numbers(split: Split) -> list[int]:
    """A number for every clip, the same for clips of one kind; a clip of which nothing is known has its own."""
    numbers: dict[str, int] = {}
    return [
        len(split) + numbers.setdefault(known, len(numbers)) if (known := kind(split.tags(i))) else i
        for i in range(len(split))
    ]


def strangers(kinds: Sequence) -> list[int]:
    """For every clip the next one of another kind; the next of all where there is none."""
    count = len(kinds)
    return [
        next((j % count for j in range(i + 1, i + count) if kinds[j % count] != kinds[i]), (i + 1) % count)
        for i in range(count)
    ]
