"""What people would say of a motion program.

A caption is drawn from ``grammar.yaml`` in four steps: a frame ("{1:who}, then {2:he}"), a subject, a phrase
for each segment with its verbs inflected, and a place in the phrase for the word of speed. Every attribute of
the program is said, save what people leave out: normal speed, and a forward and straight course. The frames of
harder programs, and the phrases of counted actions, are in ``harder.yaml``.
"""

import re

import numpy as np

from motion_lightning.data.programs.grammar import Form, grammar, inflect_all
from motion_lightning.data.programs.program import CORE, Program, Segment

MAX_WORDS, HARDER_WORDS = 28, 40
LINKS = {"while": r"\bwhile\b", "before_after": r"\b(before|after)\b(?! the other)"}  # twice in a caption is too much
UPRIGHT = ("wave", "raise_arm", "throw", "clap")  # limbs move, the feet stay
PRONOUNS = {  # subject: possessive, reflexive
    "he": ("his", "himself"),
    "she": ("her", "herself"),
    "they": ("their", "themselves"),
    "it": ("its", "itself"),
    "you": ("your", "yourself"),
}
CLOCK = {
    "left": "(counterclockwise|counter-clockwise|anticlockwise|anti-clockwise)",
    "right": "(clockwise|clockwise)",  # a draw as for the left, so that sides are told alike
}
ASIDE, OWN_VERB, OWN_MANNER = 0.06, 0.12, 0.25  # how often: a remark, a verb of speed, a manner's own adverb
SHARES = {"before": 4, "~": 3, "^": 4, "tail": 4, "front": 0.5}  # where the word of speed goes


def captions(program: Program, rng: np.random.Generator, n: int = 3) -> list[str]:
    """Draws ``n`` captions that differ in more than case and full stop, of at most 28 words each (harder ones 40).

    Raises:
        ValueError: the grammar has too few captions of this program.
    """
    told: dict[str, str] = {}
    for _ in range(100 * n):
        text = _Telling(program, rng).caption()
        if _readable(text, program.form):
            told.setdefault(re.sub(r"\W+", " ", text.lower()).strip(), text)
        if len(told) == n:
            return list(told.values())
    raise ValueError(f"the grammar has no {n} captions for {program}")


def _readable(text: str, form: str | None) -> bool:
    """Whether a caption is short enough, and says but once how its halves belong together."""
    twice = form in LINKS and len(re.findall(LINKS[form], text, re.IGNORECASE)) > 1
    return not twice and len(text.split()) <= (HARDER_WORDS if form else MAX_WORDS)


def _cell(segment: Segment) -> str:
    """The grammar's name for an action in the form that its attributes give it."""
    bend = segment.path if segment.path in ("circle", "turn") else None
    direction = segment.direction if segment.action in ("walk", "jump") else None
    both = "both" if segment.side == "both" else None
    return " ".join(filter(None, (segment.action, bend or both or direction))).replace("walk forward", "walk")


class _Telling:
    """One caption in the making: its frame, who does it, and when."""

    def __init__(self, program: Program, rng: np.random.Generator):
        self.rng = rng
        self.segments, self.form = program.segments, program.form
        self.frame = self._frame()
        self.first = int(re.search(r"\{(\d):", self.frame)[1]) - 1  # the segment that is told first
        self.name, self.pronoun = self._doer()
        self.tense = self._draw(["present"] * 13 + ["progressive"] * 4 + ["past"] * 2 + ["was"])
        if self.form == "before_after" and re.search(r"(before|after|that,|first,) \{\d:(who|he|limb)", self.frame):
            self.tense = {"progressive": "present", "was": "past"}.get(self.tense, self.tense)  # no "after he is …"
        named = re.search(r"who|name", self.frame)
        self.the = rng.random() < (0.2 if named else 0.5)  # "the left arm" for "his left arm"
        bare = self.name in ("person", "man", "woman", "human")
        self.terse = bare and rng.random() < 0.4  # "left arm"
        if self.name.startswith("a") and " " in self.name and rng.random() < 0.1:
            self.again = "the " + self.name.split(" ", 1)[1]  # the second time
        else:
            self.again = self.pronoun

    def caption(self) -> str:
        def fill(match: re.Match) -> str:
            if match[0] == "{aux}":
                aux = self._form(self.name).aux
                return f"{aux} " if aux else ""
            if match[1] is None:
                return self.name
            return self._phrase(int(match[1]) - 1, match[2])

        text = re.sub(r"\{aux\}|\{(?:who|name)\}|\{(\d):(\w+)\}", fill, self.frame)
        text = inflect_all(text, self._form(self.name).name)
        text = re.sub(r" (?=[,.])", "", " ".join(text.split()))
        text = re.sub(r"\b(a) (?=[aeiou])", r"\1n ", text)
        style = self.rng.random()
        if style < 0.4:
            text = re.sub(r"(^|\. )(\w)", lambda m: m[1] + m[2].upper(), text)
        return text + "." if style < 0.3 or style > 0.92 else text

    # ---- choices

    def _draw(self, options):
        return options[int(self.rng.integers(len(options)))]

    def _draw_weighted(self, texts: list[str], cumulative: np.ndarray) -> str:
        return texts[int(np.searchsorted(cumulative, self.rng.random() * cumulative[-1], side="right"))]

    def _frame(self) -> str:
        """A frame that suits the actions: not all have clauses about a limb."""
        form = self.form if self.form in grammar()["frames"] else "one" if len(self.segments) == 1 else "two"
        while True:
            frame = self._expand(self._draw_weighted(*grammar()["frames"][form]))
            if form == "while" and self.rng.random() < 0.5:
                frame = frame.translate(str.maketrans("12", "21"))
            wanted = re.findall(r"\{(\d):(limb|fronted)\}", frame)
            if all(kind in self._words(self.segments[int(i) - 1]) for i, kind in wanted):
                return frame

    def _words(self, segment: Segment) -> dict:
        """What the grammar has for a segment."""
        return grammar()["counted" if segment.count else "actions"][_cell(segment)]

    def _doer(self) -> tuple[str, str]:
        """A name and its pronoun; "a clip of he" and "a clip of man" are not English."""
        if ":do}" in self.frame and not re.search(r"who|name|he\}", self.frame):
            return "you", "you"
        while True:
            name, pronouns = self._draw_weighted(*grammar()["subjects"]).split(" / ")
            pronoun = self._draw(pronouns.split())
            noun = name not in PRONOUNS
            article = " " in name or name.startswith("some")
            if "{name}" not in self.frame or (noun and (article or self.frame.startswith("{name}"))):
                return name, pronoun

    def _form(self, subject: str) -> Form:
        plural = subject in ("they", "you")
        if self.tense == "progressive":
            return Form("ing", "are" if plural else "is")
        if self.tense == "was":
            return Form("ing", "were" if plural else "was")
        return Form("past") if self.tense == "past" else Form("base" if plural else "s")

    # ---- words

    def _expand(self, text: str, speed: str = "normal") -> str:
        """Draws the entries of the grammar's words, then an alternative in each bracket, inner ones first."""
        words = grammar()["words"]
        while "$" in text:
            text = re.sub(r"\$(\w+)", lambda m: words.get(f"{m[1]}/{speed}") or words[m[1]], text)
        while "(" in text:
            text = re.sub(r"\(([^()]*)\)", lambda m: self._draw(m[1].split("|")), text)
        return text

    def _speed_word(self, segment: Segment, place: str) -> str:
        """A word for any action or, less often, for this one's manner."""
        manner = self._words(segment)["manner"]
        lists = grammar()["speeds"][segment.speed]
        own = lists[manner] if self.rng.random() < OWN_MANNER else {}
        return self._expand(own.get(place) or lists["any"][place])

    def _phrase(self, index: int, kind: str) -> str:
        """Segment ``index`` as a phrase of a frame: who, he, and, do, doing, noun, limb or fronted."""
        segment = self.segments[index]
        cell = self._words(segment)
        source, said = kind if kind in ("noun", "limb", "fronted") else "does", False
        if source == "does" and segment.speed in cell and self.rng.random() < OWN_VERB:
            source, said = segment.speed, True
        text = self._draw_weighted(*cell[source])
        if segment.count:
            text = re.sub(r"\$(times|number)", rf"$\g<1>{segment.count}", text)
        text = self._expand(text, segment.speed)
        text, front = (text, "") if said or segment.speed == "normal" else self._place(text, segment, kind)
        text = re.sub(r"[~^]", "", text)
        if source == "does":
            text += self._aside(index, text)
        text = self._name_parts(text, segment, first=index == self.first)

        subject = {"who": self.name, "he": self.again}.get(kind)
        form = self._form(subject or self.name)
        if kind == "limb":
            form = self._form("it")
        elif kind in ("do", "doing"):
            form = Form("base" if kind == "do" else "ing")
        elif kind == "and":
            form = Form(form.name)
        text = inflect_all(text, form.name, form.aux)
        return front + (f"{subject} {text}" if subject else text)

    def _place(self, text: str, segment: Segment, kind: str) -> tuple[str, str]:
        """Says the speed before or behind the verb, by an adjective, at the end, or ahead of it all."""
        places = [p for p in "~^" if p in text]
        if kind != "noun":
            places.append("before")
        last = not re.search(r",| (while|that|and) ", text)  # whose verb would take an adverb
        if last and not (kind == "noun" and "^" in text):
            places.append("tail")
        if kind == "who" and self.frame == "{1:who}":
            places.append("front")
        place = self._draw_weighted(places, np.cumsum([SHARES[p] for p in places]))
        if place == "~":
            return text.replace("~", f" {self._speed_word(segment, 'after')}", 1), ""
        if place == "^":
            return text.replace("^", f"{self._speed_word(segment, 'adjective')} ", 1), ""
        if place == "tail":
            return f"{text} {self._speed_word(segment, 'tail')}", ""
        adverb = self._speed_word(segment, "adverb")
        if place == "front":
            return text, f"{adverb}, "
        return re.sub(r"(?=[\[<])", f"*{adverb} ", text, count=1), ""

    def _aside(self, index: int, text: str) -> str:
        segment, asides = self.segments[index], grammar()["asides"]
        if self.rng.random() > ASIDE or re.search("while|stand|spot|place", text):
            return ""
        if segment.count or self.form == "while":
            return ""
        posture = [s.action for s in self.segments[:index] if s.action in ("sit_down", "stand_up")]
        if posture[-1:] == ["sit_down"] and segment.action in UPRIGHT:
            return " " + self._expand(asides["seated"])
        if len(self.segments) == 1 and segment.action in UPRIGHT and self.rng.random() < 0.5:
            return " " + self._expand(asides["standing"])
        once = segment.action in CORE and segment.action not in ("sit_down", "stand_up")
        return " " + self._expand(asides["once"]) if once else ""

    def _name_parts(self, text: str, segment: Segment, first: bool) -> str:
        """Fills in sides, whose limbs they are, and senses of turning."""
        possessive, reflexive = PRONOUNS[self.pronoun]
        whose = possessive if not first or self.name in PRONOUNS else f"{self.name}'s"
        if self.the and text.startswith("{whose}"):
            whose = "the"
        side = segment.turn or segment.side or segment.direction
        parts = {"side": side, "who": self.name, "his": possessive, "self": reflexive, "whose": whose}
        parts["poss"] = "the" if self.the else possessive
        if self.terse:
            parts["poss"] = ""
        if side in CLOCK:
            parts["clock"] = self._expand(CLOCK[side])
        return re.sub(r"\{(\w+)\}", lambda m: parts[m[1]], text)
