"""Run by a test in two processes: metrics of embeddings that are dealt out unevenly, some twice; rank 0 writes them."""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from motion_lightning.metrics.clip_mean import ClipMean
from motion_lightning.metrics.diversity import Diversity, MultiModality
from motion_lightning.metrics.frechet import FrechetDistance
from motion_lightning.metrics.matching import Matching


def embeddings(count: int = 200, width: int = 24) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    texts = torch.randn(count, width, generator=generator)
    motions = texts + torch.randn(count, width, generator=generator)
    real = 0.8 * torch.randn(count, width, generator=generator) + 0.1
    several = torch.randn(20, 30, width, generator=generator)
    return texts, motions, real, several


def measure(index: torch.Tensor) -> dict[str, float]:
    """All metrics, of which this process sees the clips ``index``."""
    texts, motions, real, several = embeddings()
    fid, matching, diversity, modes = FrechetDistance(), Matching(), Diversity(100), MultiModality()
    mean = ClipMean(lambda clip: float(clip.norm()))
    for part in index.split(16):
        fid.update(motions[part], part, real=False)
        fid.update(real[part], part, real=True)
        matching.update(texts[part], motions[part], part)
        diversity.update(motions[part], part)
        if len(few := part[part % 10 == 0] // 10):
            modes.update(several[few], few)
    for clip in index.unique():  # a repeated one would count twice: this metric sees no index
        mean.update(motions[clip])
    return {
        "FID": float(fid.compute()),
        "Diversity": float(diversity.compute()),
        "MultiModality": float(modes.compute()),
        "mean": float(mean.compute()),
        **matching.compute(),
    }


if __name__ == "__main__":
    rank, folder = int(os.environ["RANK"]), Path(sys.argv[1])
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    mine = torch.arange(200)[:70] if rank == 0 else torch.cat([torch.arange(70, 200), torch.arange(70, 90)])
    found = measure(mine)
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found))
    dist.destroy_process_group()
