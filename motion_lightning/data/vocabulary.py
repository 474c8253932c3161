"""The words of captions, counted without a tagger: tens of thousands of captions in a second."""

import re
from collections import Counter
from collections.abc import Iterable

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# Words that join actions. "and" also joins things, so its share is an upper bound.
CONNECTIVES = ("then", "and", "before", "after", "while", "when", "until", "as", "followed by")
COMPOUND = re.compile(r"\b(" + "|".join(CONNECTIVES) + r")\b", re.IGNORECASE)
GRAMMAR = frozenset(
    WORD.findall(
        "a an the of to in on at with from for by into onto up down out off over under as is are was be been "
        "being it its his her their they them he she him and or but then while before after when until who which "
        "that this these there has have had does do did not no so if than very"
    )
)
# Verbs of what bodies do, in captions of HumanML3D's and KIT-ML's kind.
VERBS = WORD.findall(
    "balance beat bend bounce bow box bring call carry cartwheel catch check chop clap clean climb close cough "
    "crawl cross crouch cut dance dip do dodge draw dribble drink drive drop duck eat exercise extend fall fight "
    "flap flex flip fold follow gesticulate gesture get go grab greet hang hit hold hop hug imitate jab jog jump "
    "keep kick kneel knock lean leap lie lift limp look lower lunge make march mimic mix move nod open pace paddle "
    "pass perform pick place play point pose pour pretend pull punch push put raise reach rest return ride rise "
    "roll rotate row rub run salute scoot scratch shake shield shift shrug shuffle sidestep sit skate skip slap "
    "slide slip smoke snap sneak spin spread sprint squat stagger stamp stand start stay step stir stomp stop "
    "straighten stretch strike stroke stroll strum stumble sway sweep swim swing switch take tap throw tie tilt "
    "tiptoe touch trip try turn twist use wait walk waltz warm wash wave wiggle wipe wobble write yawn zigzag"
)
IRREGULAR = {
    "bend": "bent", "bring": "brought", "catch": "caught", "drink": "drank drunk", "drive": "drove driven driving",
    "eat": "ate eaten", "fall": "fell fallen", "fight": "fought", "get": "got", "go": "went gone", "hang": "hung",
    "hold": "held", "keep": "kept", "kneel": "knelt", "leap": "leapt", "lie": "lay lain lying", "make": "made",
    "ride": "rode ridden", "rise": "rose risen", "run": "ran", "shake": "shook shaken", "sit": "sat",
    "slide": "slid", "spin": "spun", "stand": "stood", "strike": "struck", "swim": "swam swum", "swing": "swung",
    "take": "took taken", "throw": "threw thrown", "tie": "tying", "write": "wrote written",
}  # fmt: skip


def words(text: str) -> list[str]:
    """Words of a caption, lower case, without numbers and marks."""
    return WORD.findall(text.lower())


def connectives(text: str) -> set[str]:
    """Those of ``CONNECTIVES`` that a caption holds."""
    return {match.lower() for match in COMPOUND.findall(text)}


def verb(word: str) -> str | None:
    """The verb of ``VERBS`` that a lower-case word is a form of."""
    return FORMS.get(word)


def count_verbs(texts: Iterable[tuple[str, str, int]]) -> Counter[str]:
    """How often each verb is used in (caption, part-of-speech line or "", uses).

    The corpus' own line decides where there is one, ``VERBS`` otherwise.
    """
    counts: Counter[str] = Counter()
    for text, line, uses in texts:
        if line:
            pairs = (token.rpartition("/") for token in line.split())
            found = [word.lower() for word, _, pos in pairs if pos == "VERB"]
        else:
            found = [base for word in words(text) if (base := verb(word))]
        for base in found:
            counts[FORMS.get(base, base)] += uses
    return counts


def _forms(base: str) -> list[str]:
    """A verb's forms by the rules of spelling."""
    if re.search(r"(s|x|z|ch|sh|o)$", base):
        third = base + "es"
    else:
        third = re.sub(r"([^aeiou])y$", r"\1ie", base) + "s"
    stem = base.removesuffix("e") if not base.endswith(("ee", "oe", "ie")) else base
    double = base + base[-1] if re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", base) else stem  # hop, not walk
    past = re.sub(r"([^aeiou])y$", r"\1i", double) + ("d" if stem == base and base.endswith("e") else "ed")
    return [base, third, past, (base if double == stem and base.endswith(("ee", "oe")) else double) + "ing"]


FORMS = {
    form: base
    for base in VERBS
    for form in (*_forms(base), *IRREGULAR.get(base, "").split())
}  # fmt: skip
