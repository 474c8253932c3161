"""``python -m motion_lightning.retrieve``: clips of a corpus that match a sentence, or sentences that match a clip."""

import logging
import re
from pathlib import Path

from omegaconf import DictConfig

from motion_lightning.config import instantiate, main, to_plain
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("retrieve")
def retrieve(cfg: DictConfig) -> None:
    """Rank by an evaluator; the clips play on a page."""
    if (cfg.prompt is None) == (cfg.clip is None):
        raise UserError('give prompt="a person waves" to find clips, or clip=ID to find sentences')
    if cfg.n < 1:
        raise UserError(f"n={cfg.n}: how many are to be found is at least 1")

    from motion_lightning.assemble import encoded
    from motion_lightning.data.store import Store
    from motion_lightning.evaluator import ensure_evaluator
    from motion_lightning.prepare import ensure_store
    from motion_lightning.retrieval import Index, load_space
    from motion_lightning.tasks.task import Shown
    from motion_lightning.view.fragment import write_page

    evaluator = load_space(cfg.evaluator) if cfg.evaluator else None
    store = Store.open(ensure_store(cfg))
    if cfg.data.get("condition"):
        store = store.with_condition(instantiate(cfg.data.condition))
    evaluator = evaluator or ensure_evaluator(store, to_plain(cfg.data))
    split = store.split(cfg.split)
    index = Index(evaluator, split)
    if cfg.prompt is not None:
        found, title = index.clips_of(str(cfg.prompt), cfg.n), str(cfg.prompt)
        shown = [(i, split.captions(i)[0], f"{rank}. {score:.2f}") for rank, (i, score) in enumerate(found, 1)]
    else:
        clip = split.find(cfg.clip)
        found = index.texts_of(clip, cfg.n)
        title = f"clip {split.ids[clip]}: {split.captions(clip)[0]}"
        shown = [(clip, title, "the clip")]
        shown += [(i, text, f"{rank}. {score:.2f}") for rank, (i, text, score) in enumerate(found, 1)]
    for i, caption, said in shown:
        log.info("%-9s %-12s %s", said, split.ids[i], caption)
    codec = getattr(evaluator.model, "sample_codec", evaluator.model.codec)
    clips = encoded(codec, split, [i for i, *_ in shown])
    views = [
        Shown(x, caption, said, split.collate([i]).cond, real=True)
        for x, (i, caption, said) in zip(clips, shown, strict=True)
    ]
    task = instantiate(evaluator.config["task"])
    for way, row in index.scores().items():
        log.info("%s among all: %s", way, "  ".join(f"{name} {value:.3g}" for name, value in row.items()))
    name = re.sub(r"\W+", "-", title.lower()).strip("-")[:60]
    setting = f"<p>{len(split)} clips of {store.manifest['corpus']} {cfg.split}; cosines of {evaluator.name}</p>"
    page = write_page(Path(cfg.out) / f"{name}.html", title, task.look(evaluator.model, views), setting)
    log.info("look:  %s", page)


if __name__ == "__main__":
    retrieve()
