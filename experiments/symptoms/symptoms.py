"""What was seen of systems of this kind when they did not work, again, out of the presets that repeat their mistakes.

python experiments/symptoms/symptoms.py     # prints the README's table; nothing is trained or prepared
"""

import itertools

import numpy as np
import torch
from torch import nn

from motion_lightning.assemble import build_denoiser
from motion_lightning.config import compose, instantiate
from motion_lightning.data.quotas import Quotas, plan_quotas
from motion_lightning.diffusion.weights import loss_weights
from motion_lightning.errors import UserError
from motion_lightning.metrics.pose import bone_variation
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.text.condition import TextCond

TEXT = 16  # width of made-up texts
# Ten clusters of 23,384 poses and how many of each a pass was told to hold. Known are the shares of clusters 0, 7, 1
# and 9 before and after, and the one cluster of 299 of which 300 were asked; the rest is filled in to fit.
CLUSTERS = [9066, 954, 3000, 2600, 299, 2300, 1827, 1424, 1500, 414]
ASKED = [8500, 500, 2800, 2400, 300, 2000, 1300, 100, 1100, 0]


def words(batch: int, tokens: int = 7) -> TextCond:
    """Made-up texts."""
    drawn = torch.randn(batch, tokens, TEXT)
    return TextCond(drawn, torch.ones(batch, tokens, dtype=torch.bool), drawn.mean(1))


def identity() -> list[tuple]:
    """A dead trunk under a raw skip says eps_hat = x_t."""
    cfg = compose("train", ["experiment=vivit_faithful", "skip=raw", "model.output_scale=none"])
    process, codec = instantiate(cfg.diffusion.process), instantiate(cfg.codec)
    model = build_denoiser(cfg.model, codec.sizes, TEXT).eval()
    for parameter in model.features.projection[-1].parameters():
        nn.init.zeros_(parameter)
    rows, batch = [], 16
    mask = torch.ones(batch, codec.sizes["frames"], dtype=torch.bool)
    ctx = model.encode(words(batch), mask, torch.zeros(batch, dtype=torch.bool))
    for step, published in ((0, "1.92"), (48, "0.001")):
        t = torch.full((batch,), step)
        x0, eps = torch.randn(2, batch, mask.shape[1], *codec.shape)  # data of unit variance
        x_t = process.noise(x0, t, eps)
        measured = (model(x_t, t, ctx, mask) - eps).square().mean().item()
        closed = float(process.alpha_bar_at(step) + (1 - process.s(step)) ** 2)
        rows.append((f"identity predictor, t = {step}", f"{measured:.4g}", f"{closed:.4g}, closed form", published))
    return rows


def bones() -> list[tuple]:
    """The first 66 of 263 features are no 22 joints."""
    rows = []
    for preset, wanted in (("experiment=unet_faithful", "> 5 %"), ("model=unet", "< 0.01 %")):
        cfg = compose("train", [preset, *(f"data.motions.corpus.{n}" for n in ("train=200", "val=1", "test=1"))])
        corpus, codec = instantiate(cfg.data.corpus), instantiate(cfg.codec)
        codec.take(poses := torch.from_numpy(np.stack([clip.features for clip in corpus.clips()])))
        x = (codec.numbers(poses) - codec.mean) / codec.std
        variation = bone_variation(codec.joints(x)[:, 0], load_skeleton(corpus.skeleton))
        rows.append((f"variation of a bone's length, {preset}", f"{variation.mean():.2%}", wanted, ""))
    return rows


def quotas() -> list[tuple]:
    """Quotas that are there to lower the largest share, and raise it."""
    labels = np.repeat(np.arange(10), CLUSTERS)
    asked = Quotas(labels, np.array(ASKED))
    known = plan_quotas(labels, "sqrt")
    try:
        plan_quotas(labels, dict(enumerate(ASKED)))
        answer = "taken"
    except UserError:
        answer = "refused"

    def shares(plan: Quotas) -> str:
        return f"{100 * plan.before.max():.1f} → {100 * plan.after.max():.1f} %"

    return [
        ("share of the largest cluster, those quotas", shares(asked), f"{answer} by loader.quotas", "38.8 → 49.6 %"),
        ("share of the largest cluster, quotas=sqrt", shares(known), "falls", ""),
    ]


def attention() -> list[tuple]:
    """A softmax over one key is 1 whatever the query."""
    rows = []
    for preset, wanted in (("experiment=unet_faithful", "0, but for rounding"), ("model=unet", "> 0")):
        cfg = compose("train", [preset])
        codec, batch = instantiate(cfg.codec), 32
        model = build_denoiser(cfg.model, codec.sizes, TEXT)
        for parameter in model.parameters():  # what starts at zero would hide the gradient
            nn.init.normal_(parameter, std=0.2)
        mask = torch.ones(batch, 1, dtype=torch.bool)
        ctx = model.encode(words(batch), mask, torch.zeros(batch, dtype=torch.bool))
        model(torch.randn(batch, 1, *codec.shape), torch.arange(batch), ctx, mask).square().mean().backward()
        gradients = itertools.chain.from_iterable(
            (block.text.q.weight.grad, block.kv.weight.grad.chunk(2)[0]) for block in model.blocks
        )
        largest = max(float(gradient.abs().max()) for gradient in gradients)
        rows.append((f"largest gradient of a query or key, {preset}", f"{largest:.1e}", wanted, ""))
    return rows


def weights() -> list[tuple]:
    """1 / SNR weighs most where there is most noise."""
    cfg = compose("train", ["experiment=vivit_faithful"])
    process = instantiate(cfg.diffusion.process)
    ends = loss_weights(process, cfg.diffusion.precondition.target, cfg.training.weight)[[0, -1]].tolist()
    return [("loss weight at t = 0 and at the last t", f"{ends[0]:.3g} and {ends[1]:.3g}", "0.1 and 10", "0.1 and 10")]


def noise() -> list[tuple]:
    """alpha_t in the place of its product up to t."""
    rows = []
    for preset in ("experiment=ddpm_digit_faithful", "experiment=ddpm_digit"):
        process = instantiate(compose("train", [preset]).diffusion.process)
        rows.append(
            (f"noise in x_t at the last t, {preset}", f"{float(process.s(process.steps - 1)) ** 2:.1%}", "", "")
        )
    return rows


if __name__ == "__main__":
    torch.manual_seed(0)
    print("| what | here | expected | published |\n|---|---|---|---|")
    with torch.no_grad():
        table = [*identity(), *bones(), *quotas(), *weights(), *noise()]
    for line in (*table[:4], *attention(), *table[4:]):
        print(f"| {' | '.join(line)} |")
