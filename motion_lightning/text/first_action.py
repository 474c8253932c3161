"""Captions cut to their first action, by parts of speech and a list of verbs. Pure functions of text and tags."""

import re
from collections.abc import Sequence
from typing import Any

from motion_lightning.errors import UserError
from motion_lightning.text.clauses import Clauses, Word, sentence_ends
from motion_lightning.text.verbs import verbs

MODES = ("none", "first_sentence", "seed", "first_action")
VERSION = 1  # of the rules, counted up by hand

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def cut(text: str, tags: Sequence[str], mode: str) -> str:
    """What ``mode`` leaves of a caption: its beginning, without the spaces around it, and never nothing.

    - ``none``: the whole caption;
    - ``first_sentence``: up to its first full stop, which stays;
    - ``seed``: up to the first conjunction (CCONJ, SCONJ), "then", "after" or "before" behind the third word;
    - ``first_action``: up to "then" or "next"; to "and", "but", "or" or a comma where a verb follows in the next
      clause; to "before" or "after" an action (not "before his chest", "after five steps"); or the first sentence's
      end. Never at "while" or "as", nor between verbs that share an object ("raises and lowers an arm"). A clause
      that opens a caption belongs to what it introduces: "after sitting a person stands up" is one action, since
      either half alone would show another motion. A cut leaves no punctuation behind.

    Args:
        tags: a part of speech (universal, as spaCy's) for each word of `words`.

    Raises:
        UserError: the caption is empty, or there is no such mode.
        ValueError: not one tag for each word.
    """
    if mode not in MODES:
        raise UserError(f"first_action={mode}: there is no such way to cut captions; take one of {', '.join(MODES)}")
    if not text.strip():
        raise UserError("an empty caption cannot be cut to its first action; remove it")
    spans = words(text)
    if len(spans) != len(tags):
        raise ValueError(f"{len(tags)} tags for {len(spans)} words of '{text[:80]}'")
    begin, end = len(text) - len(text.lstrip()), len(text.rstrip())
    ends = [0, *(b for _, b in spans)]
    caption = [
        Word(text[a:b].lower(), tag, text[last:a]) for (a, b), tag, last in zip(spans, tags, ends[:-1], strict=True)
    ]
    if mode == "first_sentence":
        kept = next((i for i in range(1, len(caption)) if sentence_ends(caption, i)), None)
        end = ends[kept] + len(caption[kept].gap.rstrip()) if kept else end
    elif mode == "seed":
        kept = next((i for i in range(3, len(caption)) if _seed_cuts(caption[i])), None)
        end = ends[kept] if kept else end
    elif mode == "first_action":
        kept = _first_action(caption)
        end = ends[kept] + len(re.match(r"[)\]\"'’”]*", caption[kept].gap)[0]) if kept else end
    return text[begin:end]


def fingerprint() -> dict[str, Any]:
    """JSON that changes whenever the cuts would."""
    return {"rules": VERSION, "verbs": verbs().digest}


def words(text: str) -> list[tuple[int, int]]:
    """(start, end) of each word of a text. "counter-clockwise" and "doesn't" are one."""
    return [match.span() for match in WORD.finditer(text)]


def _seed_cuts(word: Word) -> bool:
    return word.tag in ("CCONJ", "SCONJ") or word.text in ("then", "after", "before")


def _first_action(caption: list[Word]) -> int | None:
    """How many words are left; None for all. Goes on until a cut changes nothing, so that cutting twice does not."""
    kept = None
    while end := Clauses(caption[:kept]).first():
        kept = end
    return kept
