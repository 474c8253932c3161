"""Caption files as HumanML3D and KIT-ML have them: one caption a line, with its words tagged and its times.

    a man kicks.#a/DET man/NOUN kick/VERB#0.0#0.0

Two numbers of seconds name the part of the motion that is meant; 0 and 0 mean all of it (README of
EricGuo5513/HumanML3D). A line without ``#`` is a caption alone.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from motion_lightning.errors import UserError

TOKEN = re.compile(r"\S+/[A-Za-z]+")  # word/TAG
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
FORM = "caption#word/TAG word/TAG#start#end"

Style = Literal["tagged", "plain"]


@dataclass(frozen=True)
class TaggedText:
    """A caption, the corpus' own tags of its words ("" where it has none), and the seconds it speaks of."""

    caption: str
    pos: str = ""
    start: float = 0.0
    end: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether the caption speaks of the whole motion."""
        return self.start == 0 and self.end == 0

    def __str__(self) -> str:
        return f"{self.caption}#{self.pos}#{self.start}#{self.end}"


def parse_line(line: str, style: Style = "tagged") -> TaggedText:
    """The text of one line; UserError says what is wrong with it.

    Read from the right, for the caption may hold ``#`` itself. ``nan`` for a time counts as 0, as in the published
    loader (EricGuo5513/text-to-motion, data/dataset.py). With ``style="plain"`` the line is the caption.
    """
    if style == "plain" or "#" not in line:
        return TaggedText(_caption(line))
    parts = line.rsplit("#", 3)
    if len(parts) < 4:
        raise UserError(f"expected {FORM}, or a caption without '#', got {_short(line)}")
    caption, pos, *times = parts
    pos = " ".join(pos.split())
    if wrong := [token for token in pos.split(" ") if token and not TOKEN.fullmatch(token)]:
        raise UserError(f"expected {FORM}, got {_short(wrong[0])} for word/TAG")
    return TaggedText(_caption(caption), pos, *map(_seconds, times))


def read_tagged_texts(path: Path, style: Style = "tagged") -> tuple[list[TaggedText], list[tuple[int, str]]]:
    """The texts of a file in its order, and (line number, what is wrong) of lines that cannot be read.

    Blank lines are passed over. UserError: the file is missing or not UTF-8.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})") from None
    texts, wrong = [], []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            texts.append(parse_line(line, style))
        except UserError as error:
            wrong.append((number, str(error)))
    return texts, wrong


def _caption(text: str) -> str:
    text = text.strip()
    if not text:
        raise UserError("an empty caption")
    if CONTROL.search(text):
        raise UserError(f"control characters in the caption {_short(text)}")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise UserError(f"expected {FORM}, got {_short(text)} for a time in seconds") from None
    if math.isnan(seconds):
        return 0.0
    if not 0 <= seconds < math.inf:
        raise UserError(f"a time of {seconds} seconds")
    return seconds


def _short(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= 42 else shown[:41] + "…"
