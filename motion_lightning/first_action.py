"""``python -m motion_lightning.first_action``: captions of a corpus before and after the cut to their first action."""

import csv
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from motion_lightning.config import main
from motion_lightning.errors import UserError
from motion_lightning.prepare import ensure_store
from motion_lightning.text.first_action import MODES, cut, words


@main("first_action")
def first_action(cfg) -> None:
    if cfg.mode not in MODES:
        raise UserError(f"mode={cfg.mode}: there is no such way to cut captions; take one of {', '.join(MODES)}")
    if cfg.output and not (Path(cfg.output).suffix in (".csv", ".jsonl") and Path(cfg.output).parent.is_dir()):
        raise UserError(f"output={cfg.output}: name a file that ends in .csv or .jsonl, in a folder that exists")

    from motion_lightning.data.store import Store
    from motion_lightning.text.tagging import tag

    if cfg.texts:
        pairs = dict(read_captions(Path(cfg.texts).expanduser()))
    else:
        store = Store.open(ensure_store(cfg)).whole_texts
        pairs = {text: store.pos(i) for i, text in enumerate(store)}
    if not pairs:
        raise UserError(f"{cfg.texts}: there is no caption in it")
    texts = list(pairs)
    tags = tag(texts, list(pairs.values()), progress=True)
    cuts = {mode: [cut(text, t, mode) for text, t in zip(texts, tags, strict=True)] for mode in MODES}
    report(texts, cuts, cfg.mode, cfg.show, cfg.seed)
    if cfg.output:
        write_pairs(Path(cfg.output), texts, cuts)


def read_captions(path: Path) -> Iterator[tuple[str, str]]:
    """Captions, with their own parts of speech, of a file of lines, a folder of such files, or a JSON file."""
    from motion_lightning.data.tagged_texts import read_tagged_texts

    if path.suffix == ".json" and path.is_file():
        try:
            yield from ((text, "") for text in _texts_in(json.loads(path.read_text(encoding="utf-8-sig"))))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path} is not JSON: {error}") from None
        return
    for file in sorted(path.glob("*.txt")) if path.is_dir() else [path]:
        try:
            texts, wrong = read_tagged_texts(file)
            if wrong:
                raise UserError("line {}: {}".format(*wrong[0]))
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        yield from ((text.caption.strip(), text.pos) for text in texts)


def _texts_in(node: Any) -> Iterator[str]:
    if isinstance(node, dict) and isinstance(node.get("text"), str) and node["text"].strip():
        yield node["text"].strip()
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _texts_in(child)


def report(texts: Sequence[str], cuts: dict[str, list[str]], mode: str, show: int, seed: int) -> None:
    """Counts of every mode; words that ``mode`` cuts most often; some captions that it changes."""
    lengths = {name: sum(len(words(text)) for text in kept) / len(texts) for name, kept in cuts.items()}
    changed = {name: [i for i, text in enumerate(texts) if kept[i] != text] for name, kept in cuts.items()}
    print(f"{len(texts):,} different captions, {len(changed['first_action']):,} of more than one action\n")
    print(f"{'mode':15} {'changed':>8} {'share':>7} {'words a caption':>16}")
    for name in MODES:
        share = len(changed[name]) / len(texts)
        print(f"{name:15} {len(changed[name]):8,} {share:7.1%} {lengths['none']:8.1f} → {lengths[name]:.1f}")
    tails = [texts[i][len(cuts[mode][i]) :] for i in changed[mode]]
    lost = Counter(tail[a:b].lower() for tail in tails for a, b in words(tail))
    print(f"\ncut most often by {mode}: " + ", ".join(f"{word} {count}" for word, count in lost.most_common(15)))
    for i in random.Random(seed).sample(changed[mode], min(show, len(changed[mode]))):
        print(f"  {texts[i]}\n  → {cuts[mode][i]}\n")


def write_pairs(path: Path, texts: Sequence[str], cuts: dict[str, list[str]]) -> None:
    rows = [{"caption": text} | {name: cuts[name][i] for name in MODES[1:]} for i, text in enumerate(texts)]
    with (part := path.with_name(path.name + ".part")).open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    part.replace(path)
    print(f"all pairs: {path}")


if __name__ == "__main__":
    first_action()
