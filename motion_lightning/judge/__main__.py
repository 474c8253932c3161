"""``python -m motion_lightning.judge``: pages for people who judge clips, and the report of what they answered."""

import logging
from pathlib import Path

from omegaconf import DictConfig

from motion_lightning.config import main
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("judge")
def judge(cfg: DictConfig) -> None:
    """Make the pages of some runs, or read the answers to them."""
    if (cfg.runs is None) == (cfg.answers is None):
        raise UserError(
            "give runs=[runs/A,runs/B] for pages to judge by, or answers=[FILE.json] to read what came back"
        )
    if cfg.answers is not None:
        report(listed(cfg.answers), Path(cfg.out))
    else:
        pages(cfg, listed(cfg.runs), listed(cfg.prompts))


def pages(cfg: DictConfig, runs: list[str], prompts: list[str]) -> None:
    """Write pairs.html where there are two to compare, and choose.html."""
    if not 1 <= len(set(runs)) == len(runs) <= 2:
        raise UserError(f"runs={runs}: name two different ones for pairs, or a single one; each may be real")
    if cfg.clips < 1 or not 0.5 <= cfg.seconds <= 10:
        raise UserError(f"clips={cfg.clips} seconds={cfg.seconds}: clips is at least 1, seconds from 0.5 to 10")

    from motion_lightning.judge.choices import choice_items
    from motion_lightning.judge.pages import check_keys, write_judged
    from motion_lightning.judge.pairs import pair_items
    from motion_lightning.judge.sources import open_sources, own_prompts, shared_prompts

    out = Path(cfg.out)
    sources = open_sources(runs, cfg.checkpoint, real=not prompts)
    every = own_prompts(sources, prompts, cfg.seconds) if prompts else shared_prompts(sources, cfg.seed)
    asked = [source for source in sources if source.asked]
    made = [
        ("pairs", asked, pair_items(asked, every, cfg.clips, cfg.seed)),
        ("choose", sources, choice_items(sources, every, cfg.clips, cfg.seed, skip=0 if prompts else cfg.clips)),
    ]
    made = [(kind, shown, items) for kind, shown, items in made if items]
    if not made:
        raise UserError("there is nothing to judge: name two runs for pairs, and give more prompts to choose from")
    check_keys(out, {kind: items for kind, _, items in made})
    for kind, shown, items in made:
        facts = {"seed": cfg.seed, "sources": {source.name: source.facts for source in shown}}
        log.info("%s", write_judged(out, kind, items, facts))


def report(files: list[str], out: Path) -> None:
    """Write judging.json, judging.md and judging.html beside the pages' keys."""
    from motion_lightning.judge.answers import read_answers, read_keys
    from motion_lightning.judge.report import summary, write_judging
    from motion_lightning.judge.verdicts import verdicts

    keys = read_keys(out)
    sheets, notes = read_answers([Path(file) for file in files], keys, out)
    for note in notes:
        log.warning("%s", note)
    if not sheets:
        raise UserError(f"none of the {len(files)} files of answers={files} can be counted; the lines above say why")
    found = verdicts(keys, sheets, notes)
    log.info("%s\nlook:  %s", summary(found), write_judging(out, found))


def listed(value) -> list[str]:
    """One text or several."""
    return [] if value is None else [value] if isinstance(value, str) else [str(one) for one in value]


if __name__ == "__main__":
    judge()
