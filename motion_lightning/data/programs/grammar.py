"""The words of captions: the grammar files, and verbs in the forms that their subjects ask for."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import yaml

FILES = ("grammar.yaml", "harder.yaml")


@cache
def grammar() -> dict:
    """``grammar.yaml`` with the words, frames and counted actions of ``harder.yaml``; lines with their weights."""
    plain, more = (yaml.safe_load(files(__package__).joinpath(name).read_text("utf-8")) for name in FILES)
    words = {k: v.replace(" |", "|") for k, v in (plain["words"] | more["words"]).items()}
    grammar = plain | {"words": words, "counted": more["counted"], "frames": plain["frames"] | more["frames"]}
    for kinds in (*grammar["actions"].values(), *grammar["counted"].values()):
        kinds.update({kind: _weighted(lines) for kind, lines in kinds.items() if kind != "manner"})
    grammar["frames"] = {k: _weighted(v) for k, v in grammar["frames"].items()}
    grammar["subjects"] = _weighted(grammar["subjects"])
    return grammar


def _weighted(lines: str) -> tuple[list[str], np.ndarray]:
    """Lines such as ``3* [walk]~`` as texts and cumulative weights."""
    pairs = [re.fullmatch(r"(?:(\d+)\* )?(.*)", line).groups("1") for line in lines.splitlines()]
    return [text for _, text in pairs], np.cumsum([float(weight) for weight, _ in pairs])


@dataclass(frozen=True)
class Form:
    """A verb form, with the auxiliary that a progressive wants before its first verb."""

    name: str  # s, base, ing or past
    aux: str = ""


def inflect(verb: str, form: str) -> str:
    """``verb``, or the first word of one such as "go on", as third person "s", "ing", "past" or "base"."""
    verb, *rest = verb.split(" ", 1)
    irregular, doubled = grammar()["verbs"]["past"], grammar()["verbs"]["doubled"]
    stem = verb + verb[-1] if verb in doubled else verb
    if form == "s":
        if verb == "have":
            verb = "has"
        elif re.search(r"[^aeiou]y$", verb):
            verb = verb[:-1] + "ies"
        else:
            verb += "es" if re.search(r"(s|x|z|ch|sh|[^aeiou]o)$", verb) else "s"
    elif form == "ing":
        verb = re.sub(r"(?<=[^e])e$", "", stem) + "ing"
    elif form == "past":
        verb = irregular.get(verb) or re.sub(r"(?<=[^aeiou])y$", "i", stem.removesuffix("e")) + "ed"
    return " ".join([verb, *rest])


def inflect_all(text: str, form: str, aux: str = "") -> str:
    """Inflects ``[walk]`` for one doer and ``<go>`` for several limbs, ``aux`` ahead of all (adverb: *)."""
    if aux:
        aux = {"is": "are", "was": "were"}[aux] if "<" in text else aux
        text = re.sub(r"(?=[*\[<])", f"{aux} ", text, count=1)
    text = text.replace("*", "")
    text = re.sub(r"\[([^\]]+)\]", lambda m: inflect(m[1], form), text)
    return re.sub(r"<([^>]+)>", lambda m: inflect(m[1], "base" if form == "s" else form), text)
