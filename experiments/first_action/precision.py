"""How often the cuts are what a reader marked, and how well a corpus' own tags fit spaCy's. Prints the README's tables.

python experiments/first_action/precision.py annotations.json     # of KIT-ML
"""

import json
import sys
from collections import Counter
from pathlib import Path

import spacy

from motion_lightning.text.first_action import MODES, cut
from motion_lightning.text.tagging import MODEL, align, tag

LABELS = Path(__file__).parents[2] / "tests" / "text" / "first_action_labels.jsonl"


def main(annotations: str) -> None:
    clips = json.loads(Path(annotations).read_text(encoding="utf-8"))
    texts = {s["seg_id"]: s["text"] for clip in clips.values() for s in clip["annotations"] if s["text"].strip()}
    tags = dict(zip(texts, tag(list(texts.values()), progress=True), strict=True))
    precision(texts, tags)
    twice(texts, tags)
    agreement(texts, tags)


def precision(texts: dict[str, str], tags: dict[str, list[str]]) -> None:
    """Exact matches with the labels, by part of the list and mode."""
    total, right, wrong = Counter(), Counter(), []
    for label in map(json.loads, LABELS.read_text().splitlines()[1:]):
        name, part = label["id"], (label["set"], label["kind"])
        total[part] += 1
        for mode in MODES:
            exact = cut(texts[name], tags[name], mode) == texts[name][label["start"] : label["end"]]
            right[part, mode] += exact
            if mode == "first_action" and not exact:
                wrong.append(name)
    print("| sentences | n |", " | ".join(MODES), "|\n|---|---|" + "---|" * len(MODES))
    for part, n in total.items():
        print("|", ", ".join(part), "|", n, "|", " | ".join(f"{right[part, m] / n:.1%}" for m in MODES), "|")
    n = sum(total.values())
    shares = (sum(count for (_, m), count in right.items() if m == mode) / n for mode in MODES)
    print("| all |", n, "|", " | ".join(f"{share:.1%}" for share in shares), "|")
    print("\nfirst_action is wrong on", ", ".join(wrong))


def twice(texts: dict[str, str], tags: dict[str, list[str]]) -> None:
    """Captions that change when what is left is tagged and cut again."""
    for mode in MODES[1:]:
        once = {name: cut(text, tags[name], mode) for name, text in texts.items()}
        again = zip(once.values(), tag(list(once.values())), strict=True)
        print(f"{mode}: {sum(cut(text, found, mode) != text for text, found in again)} of {len(once)} cut further")


def agreement(texts: dict[str, str], tags: dict[str, list[str]]) -> None:
    """Lines made as HumanML3D's were, of the same pipeline: how many fit their text, and what then differs."""
    pipeline = spacy.load(MODEL, exclude=["ner", "parser", "senter"])
    names = list({text.strip(): name for name, text in texts.items()}.values())
    docs = pipeline.pipe((texts[name].replace("-", "").lower() for name in names), batch_size=256)
    fitting = same = words = cuts = 0
    for name, doc in zip(names, docs, strict=True):
        pairs = [(t.lemma_ if t.pos_ in ("NOUN", "VERB") and t.text != "left" else t.text, t.pos_) for t in doc]
        told = align(texts[name], " ".join(f"{word}/{pos}" for word, pos in pairs if word.isalpha()))
        if told is not None:
            fitting += 1
            words += len(told)
            same += sum(a == b for a, b in zip(told, tags[name], strict=True))
            cuts += cut(texts[name], told, "first_action") != cut(texts[name], tags[name], "first_action")
    print(f"{fitting} of {len(names)} lines fit; {same / words:.2%} of {words} words tagged alike; {cuts} other cuts")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
