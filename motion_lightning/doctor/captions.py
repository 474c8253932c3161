"""Checks of captions: empty, odd, all alike, or unlike what a mirrored copy should say."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from motion_lightning.data.vocabulary import GRAMMAR, verb, words
from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.finding import ERROR, NOTE, WARNING, Case, Finding, worst

LONG = 60  # words; text encoders cut what is much longer
OFTEN, LEAST = 0.05, 20  # share of the recordings, and their number, from which on a caption is too common
LINK = re.compile(r"https?:|www\.|\b[\w-]+\.(com|org|net|de|io)\b", re.IGNORECASE)
MARKUP = re.compile(r"[<>{}\[\]|\\^~#@*_=]|\d+#")
TWICE = re.compile(r"\b(\w+)\s+\1\b", re.IGNORECASE)
SIDE = re.compile(r"\b(left|right|anti-?clockwise|counter-?clockwise|clockwise)\b", re.IGNORECASE)
OTHER = {"left": "right", "right": "left", "clockwise": "counterclockwise"}


def oddities(text: str, pos: str = "") -> list[str]:
    """What is odd about a caption; ``pos`` is its part-of-speech line where the corpus has one."""
    own, odd = words(text), []
    letters = [c for c in text if c.isalpha()]
    if LINK.search(text):
        odd.append("a link")
    if not own:
        odd.append("no words")
    elif len(own) == 1:
        odd.append("a single word")
    elif not _has_verb(own, pos):
        odd.append("no verb")
    if len(own) > LONG:
        odd.append(f"{len(own)} words")
    if not text.isascii():
        odd.append("not ASCII: " + "".join(sorted({c for c in text if not c.isascii()}))[:8])
    if any(not c.isprintable() for c in text) or MARKUP.search(text):
        odd.append("marks that are not prose")
    if len(letters) > 8 and sum(c.isupper() for c in letters) > 0.6 * len(letters):
        odd.append("shouting")
    if twice := [match[1] for match in TWICE.finditer(text) if match[1].lower() not in ("that", "had", "cha")]:
        odd.append(f"“{twice[0]} {twice[0]}”")
    return odd


def _has_verb(own: list[str], pos: str) -> bool:
    if pos:
        return "/VERB" in pos or "/AUX" in pos
    # unknown verbs: "a person vaults", "somebody is fencing"
    return any(verb(w) or w.endswith("ing") for w in own) or any(
        w.endswith(("s", "ed")) and w not in GRAMMAR and not w.endswith("ss") for w in own[1:]
    )


def check_captions(clips: Clips) -> Iterator[Finding]:
    """Findings about the texts, each with an example of a clip that has it."""
    store = clips.store
    texts = [store.whole_texts[i] for i in range(len(store.whole_texts))]
    users = defaultdict(list)  # text → clips
    for row in range(len(clips)):
        for text in clips.texts(row):
            users[text].append(row)
    n = len(texts)

    bare = [Case(f"{clips.ids[i]}: no caption", i, None, 1.0) for i in range(len(clips)) if not _said(clips, texts, i)]
    yield Finding("empty captions", ERROR, "write one, or leave the clip out", len(clips), cases=bare)

    kinds: dict[str, list[Case]] = defaultdict(list)
    for i, text in enumerate(texts):
        row = users[i][0] if users[i] else None
        for kind in oddities(text, store.whole_texts.pos(i)):
            kinds[re.split(r"[:“\d]", kind)[0].strip() or ("a word twice" if "“" in kind else "too long")].append(
                Case(f"{kind}: “{_short(text)}”" + (f" ({clips.ids[row]})" if row is not None else ""), row, None, 1.0)
            )
    odd = [case for kind in sorted(kinds, key=lambda k: len(kinds[k])) for case in kinds[kind]]
    counts = ", ".join(f"{kind} {len(found)}" for kind, found in sorted(kinds.items(), key=lambda k: -len(k[1])))
    advice = f"{counts}; read them, and repair or drop them" if odd else ""
    yield Finding("odd captions", NOTE, advice, n, "captions", cases=odd)

    recordings = clips.recordings
    spread = {text: len({recordings[row] for row in rows}) for text, rows in users.items()}
    most = max(LEAST, OFTEN * len(set(recordings)))
    common = [
        Case(f"“{_short(texts[t])}” for {count} recordings", users[t][0], None, float(count))
        for t, count in spread.items()
        if count > most
    ]
    yield Finding(
        "captions for many clips", WARNING, "a model cannot tell these clips apart by their text", n, "captions",
        cases=worst(common),
    )  # fmt: skip

    again = Counter()
    for row in range(len(clips)):
        plain = Counter(" ".join(words(texts[t])) for t in clips.texts(row))
        if repeated := [text for text, count in plain.items() if count > 1 and text]:
            again[row, repeated[0]] = plain[repeated[0]]
    yield Finding(
        "captions twice in a clip", NOTE, "they count twice when a caption is drawn", len(clips),
        cases=worst([
            Case(f"{clips.ids[row]}: {count} times “{_short(text)}”", row, None, float(count))
            for (row, text), count in again.items()
        ]),
    )  # fmt: skip
    yield _check_mirrored(clips, texts)


def _check_mirrored(clips: Clips, texts: list[str]) -> Finding:
    """Whether the captions of mirrored copies have left and right swapped."""
    finding = Finding(
        "mirrored captions", ERROR, "swap left and right in the captions of mirrored copies", 0, "mirrored copies"
    )
    originals = {}
    for row, tags in enumerate(clips.tags):
        if "mirrored" in tags and not tags["mirrored"]:
            originals[clips.recordings[row], tags.get("start"), tags.get("end")] = row
    for row, tags in enumerate(clips.tags):
        original = originals.get((clips.recordings[row], tags.get("start"), tags.get("end")))
        if not tags.get("mirrored") or original is None:
            continue
        finding.of += 1
        before = {sides(texts[t]): texts[t] for t in clips.texts(original)}
        for t in clips.texts(row):
            same = sides(texts[t])
            if not any(same[1]) or same not in before:
                continue  # nothing to swap, or it was swapped
            if (same[0], swapped(same[1])) not in before:  # both ways round may be captions of the original
                case = Case(
                    f"{clips.ids[row]} says “{_short(texts[t])}”, as {clips.ids[original]} does", row, None, 1.0
                )
                finding.cases.append(case)
                break
    if not finding.of:
        finding.skipped = "no mirrored copies beside their originals"
    return finding


def sides(text: str) -> tuple[str, tuple[str, ...]]:
    """A caption without its words for sides, and these in order."""
    found = tuple(re.sub(r"anti-?|counter-?", "counter", match[0].lower()) for match in SIDE.finditer(text))
    return " ".join(words(SIDE.sub(" ", text))), found


def swapped(found: tuple[str, ...]) -> tuple[str, ...]:
    """Words for sides as a mirror has them."""
    return tuple(OTHER.get(word, "clockwise") for word in found)


def _said(clips: Clips, texts: list[str], row: int) -> bool:
    return any(texts[t].strip() for t in clips.texts(row))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else text[:88] + " …"
