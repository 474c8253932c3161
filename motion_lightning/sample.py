"""``python -m motion_lightning.sample``: motions of one sentence, from a trained run."""

import logging
import re
from pathlib import Path

from omegaconf import DictConfig

from motion_lightning.config import instantiate, main
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("sample")
def sample(cfg: DictConfig) -> None:
    """Sample, draw, and keep the joints."""
    if not str(cfg.prompt).strip():
        raise UserError('prompt is empty: write what the person does, prompt="a person waves"')
    if cfg.n < 1 or not 0.5 <= cfg.seconds <= 10:
        raise UserError(f"n={cfg.n} seconds={cfg.seconds}: n is at least 1, seconds from 0.5 to 10")

    import numpy as np
    from tqdm import tqdm

    from motion_lightning.assemble import load_run
    from motion_lightning.view.page import ClipView, write_viewer
    from motion_lightning.view.video import write_mp4

    run = load_run(cfg.run, cfg.checkpoint)
    sampling = instantiate(run.config["sampler"])
    sampling = sampling._replace(**{key: cfg[key] for key in ("steps", "guidance") if cfg[key] is not None})
    encoder = instantiate(run.config["text_encoder"])
    skeleton = run.model.codec.skeleton
    one = encoder.encode([str(cfg.prompt)])
    cond = type(one)(*(part.repeat_interleave(cfg.n, 0) for part in one))
    lengths = [round(cfg.seconds * skeleton.fps)] * cfg.n
    samples = run.model.sample(cond, lengths, sampling, seed=cfg.seed, progress=lambda steps: tqdm(steps, "sampling"))
    joints = [run.model.codec.reconciled(x).cpu().numpy() for x in samples]

    words = re.sub(r"\W+", "-", str(cfg.prompt).lower()).strip("-")[:60]
    folder = Path(cfg.out or run.folder / "samples")
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{words}-seed{cfg.seed}"
    clips = [
        ClipView(j, caption=str(cfg.prompt), title=f"sample {i + 1}", fps=skeleton.fps) for i, j in enumerate(joints)
    ]
    setting = f"step {run.step:,} of {run.folder.name}; {sampling.steps} steps, guidance {sampling.guidance:g}"
    write_viewer(f"{stem}.html", clips, title=str(cfg.prompt), skeleton=skeleton, intro_html=f"<p>{setting}</p>")
    write_mp4(f"{stem}.mp4", clips)
    np.savez_compressed(f"{stem}.npz", joints=np.stack(joints), fps=skeleton.fps, prompt=str(cfg.prompt))
    log.info("%s: %s.html (look), %s.mp4, %s.npz (joints in metres)", setting, stem, stem, stem)


if __name__ == "__main__":
    sample()
