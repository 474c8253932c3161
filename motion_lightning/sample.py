"""``python -m motion_lightning.sample``: what a trained run makes of a sentence."""

import logging
import re
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from motion_lightning.config import instantiate, main
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("sample")
def sample(cfg: DictConfig) -> None:
    """Sample, draw, and keep the numbers."""
    if cfg.prompt is not None and not str(cfg.prompt).strip():
        raise UserError('prompt is empty: write what is done, prompt="a person waves"')
    if cfg.n < 1 or (cfg.seconds is not None and not 0.5 <= cfg.seconds <= 10):
        raise UserError(f"n={cfg.n} seconds={cfg.seconds}: n is at least 1, seconds from 0.5 to 10")
    if cfg.source is not None and not cfg.edit:
        raise UserError(
            f"source={cfg.source} is what an edit starts from: say which, edit=inbetween or edit=upper_body"
        )

    from tqdm import tqdm

    from motion_lightning.assemble import load_run
    from motion_lightning.diffusion.editing import inpaint
    from motion_lightning.editing import edited
    from motion_lightning.tasks.task import Shown
    from motion_lightning.text.condition import rows
    from motion_lightning.view.fragment import write_page

    run = load_run(cfg.run, cfg.checkpoint)
    model, task = run.model, instantiate(run.config["task"])
    sampling = instantiate(run.config["sampler"]).but(cfg)
    one, caption, length, shown = edited(cfg, run, task) if cfg.edit else condition(cfg, run, task)
    edit, keep = None, None
    if cfg.edit:
        keep = shown[0].keep
        edit = partial(inpaint, known=shown[0].x, where=keep[None])
    cond = rows(one, [0] * cfg.n)
    samples = model.sample(
        cond, [length] * cfg.n, sampling, seed=cfg.seed, progress=lambda steps: tqdm(steps, "sampling"),
        edit=edit, weak=load_run(cfg.weak).model if cfg.weak else None,
    )  # fmt: skip
    title = "edit" if cfg.edit else "sample"
    shown = [Shown(x, caption, f"{title} {i + 1}", one, keep=keep) for i, x in enumerate(samples)] + shown

    words = re.sub(r"\W+", "-", caption.lower()).strip("-")[:60]
    folder = Path(cfg.out or run.folder / "samples")
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{words}{f'-{cfg.edit}' if cfg.edit else ''}-seed{cfg.seed}"
    setting = f"step {run.step:,} of {run.folder.name}; {sampling.steps} steps, guidance {sampling.guidance:g}"
    page = write_page(f"{stem}.html", caption, task.look(model, shown), f"<p>{setting}</p>")
    files = task.save(model, shown, stem)
    log.info("%s: %s (look), %s", setting, page, ", ".join(map(str, files)))


def condition(cfg: DictConfig, run, task) -> tuple:
    """Condition (one row), caption, length in frames of x, and what to show beside the samples.

    A run whose condition is more than text takes the rest of it from a clip of its own data.
    """
    from motion_lightning.assemble import encoded, open_data
    from motion_lightning.tasks.task import Shown
    from motion_lightning.text.condition import with_text

    if not run.config["loader"].get("condition") and cfg.clip is None:
        if cfg.prompt is None:
            raise UserError('prompt is not set: write what is done, prompt="a person waves"')
        text = encode(cfg, run)
        seconds = expected_seconds(run, text) if cfg.seconds is None else cfg.seconds
        return text, str(cfg.prompt), task.frames(run.model, seconds), []
    part = open_data(run.config, run.config["store"]).split("test")
    index = part.find(cfg.clip)
    caption, (real,) = part.captions(index)[0], encoded(run.model.sample_codec, part, [index])
    cond = part.collate([index]).cond
    if cfg.prompt is not None:
        caption = str(cfg.prompt)
        cond = with_text(cond, encode(cfg, run))
    return cond, caption, len(real), [Shown(real, caption, f"real, {part.ids[index]}", cond, real=True)]


def encode(cfg: DictConfig, run):
    """The prompt, whose <words> are those of cfg.tokens."""
    from motion_lightning.text.pseudo_words import with_words

    prompt = str(cfg.prompt)
    return with_words(instantiate(run.config["text_encoder"]), cfg.tokens or [], prompt).encode([prompt])


def expected_seconds(run, text) -> float:
    """How long clips of such a sentence are in the data of the run; 4 s where these are not at hand."""
    from motion_lightning.assemble import open_data
    from motion_lightning.lengths import open_lengths

    usual, path = 4.0, run.config.get("store")
    if not path:
        log.info(
            "%g s, since the run has no data that say how long such sentences last; seconds= says otherwise", usual
        )
        return usual
    try:
        store = open_data(run.config, path)
        if len(set(store.split("train").lengths.tolist())) == 1:
            return usual  # there is but one length
        seconds = max(int(open_lengths(store).median(text.pooled)[0]) / run.model.codec.fps, 0.5)
    except (UserError, OSError) as error:
        log.info("%g s: how long such sentences last is not known (%s); seconds= says otherwise", usual, error)
        return usual
    log.info("%.1f s, as such sentences last in the data; seconds= says otherwise", seconds)
    return seconds


if __name__ == "__main__":
    sample()
