"""English verbs of captions and their inflected forms, from ``verbs.yaml``."""

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml


class Verbs(NamedTuple):
    """``forms``: a word's possible forms, of base, s, ing and past. ``bases``: the verb that it is a form of."""

    forms: dict[str, frozenset[str]]
    bases: dict[str, str]
    need_object: frozenset[str]
    with_nouns: frozenset[str]
    not_verbs: frozenset[str]
    people: frozenset[str]
    digest: str  # of the file


@cache
def verbs() -> Verbs:
    text = files(__package__).joinpath("verbs.yaml").read_text("utf-8")
    spec, digest = yaml.safe_load(text), hashlib.sha256(text.encode()).hexdigest()[:16]
    irregular = {base: pasts.split() for base, pasts in spec.pop("irregular").items()}
    regular, *lists = (frozenset(spec.pop(k).split()) for k in ("regular", *Verbs._fields[2:-1]))
    forms: dict[str, set[str]] = {}
    bases: dict[str, str] = {}
    for base in sorted(regular | irregular.keys()):
        inflected = {"base": [base], "s": [third_person(base)], "ing": [participle(base)]}
        inflected["past"] = irregular.get(base) or [past(base)]
        for kind, words in inflected.items():
            for word in words:
                forms.setdefault(word, set()).add(kind)
                bases.setdefault(word, base)
    return Verbs({word: frozenset(kinds) for word, kinds in forms.items()}, bases, *lists, digest)


def verb_forms(word: str, tag: str) -> frozenset[str]:
    """Forms that a word in lower case may have: of the list, else guessed where the tag says it is a verb."""
    if known := verbs().forms.get(word):
        return known
    if tag not in ("VERB", "AUX"):
        return frozenset()
    for ending, kind in (("ing", "ing"), ("ed", "past"), ("s", "s")):
        if word.endswith(ending):
            return frozenset({kind})
    return frozenset({"base"})


def third_person(base: str) -> str:
    if re.search(r"(s|x|z|ch|sh|o)$", base):
        return base + "es"
    return re.sub(r"(?<=[^aeiou])y$", "ie", base) + "s"


def participle(base: str) -> str:
    return re.sub(r"ie$", "y", re.sub(r"(?<=[^aeio])e$", "", _doubled(base))) + "ing"


def past(base: str) -> str:
    return re.sub(r"(?<=[^aeiou])y$", "i", re.sub(r"e$", "", _doubled(base))) + "ed"


def _doubled(base: str) -> str:
    """The last consonant twice after a single short vowel: "step", "stepp"; not "open"."""
    return base + base[-1] if re.fullmatch(r"([^aeiou]*|[^aeiou]*qu)[aeiou][^aeiouwxy]", base) else base
