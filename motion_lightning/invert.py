"""``python -m motion_lightning.invert``: a word for what a few motions have in common."""

import logging
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from motion_lightning.config import instantiate, main
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("invert")
def invert(cfg: DictConfig) -> None:
    """Learn the word and keep it."""
    if min(cfg.steps, cfg.batch_size, cfg.vectors) < 1 or cfg.rate <= 0:
        raise UserError(
            f"steps={cfg.steps} batch_size={cfg.batch_size} vectors={cfg.vectors} rate={cfg.rate}: all are positive"
        )
    out = Path(cfg.out or f"{cfg.token}.safetensors")
    if out.suffix != ".safetensors":
        raise UserError(f"out={out}: a token file ends in .safetensors")

    from tqdm import tqdm

    from motion_lightning.assemble import load_run
    from motion_lightning.inversion import find_exemplars, learn
    from motion_lightning.text.pseudo_words import check_name, save_word

    check_name(str(cfg.token))
    run = load_run(cfg.run, cfg.checkpoint)
    wanted = cfg.exemplars if OmegaConf.is_list(cfg.exemplars) else [cfg.exemplars]
    exemplars = find_exemplars(run, wanted, cfg.shortest, cfg.longest, cfg.rig)
    word = learn(
        run, instantiate(run.config["text_encoder"]), exemplars, str(cfg.token), list(cfg.templates), mode=cfg.mode,
        init=cfg.init, vectors=cfg.vectors, steps=cfg.steps, batch_size=cfg.batch_size, rate=cfg.rate, seed=cfg.seed,
        progress=partial(tqdm, desc=f"<{cfg.token}>"),
    )  # fmt: skip
    save_word(out, word)
    before, after = word.about["loss"]
    log.info(
        "<%s> of %d motions, mode %s: loss %.4f → %.4f; %s, %.1f KB\n"
        'next: python -m motion_lightning.sample run=%s prompt="a person <%s>" tokens=[%s]',
        word.name, len(exemplars.names), word.about["mode"], before, after, out, out.stat().st_size / 1000,
        cfg.run, word.name, out,
    )  # fmt: skip


if __name__ == "__main__":
    invert()
