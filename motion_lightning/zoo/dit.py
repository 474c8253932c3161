"""DiT (Peebles & Xie, ICCV 2023), its blocks, for a model of motion to start from: github.com/facebookresearch/DiT."""

import json
import re
from pathlib import Path

import torch

from motion_lightning.errors import UserError
from motion_lightning.models.dit import DiT
from motion_lightning.zoo.checkpoint import fit, read, tensors
from motion_lightning.zoo.run import check_free, heads_of, provenance, written

NAMES = {
    r"^t_embedder\.": "time.",
    r"^final_layer\.adaLN_modulation\.": "modulation.",
    r"\.attn\.qkv\.": ".attention.qkv.",
    r"\.attn\.proj\.": ".attention.out.",
    r"\.mlp\.fc1\.": ".mlp.0.",
    r"\.mlp\.fc2\.": ".mlp.3.",
    r"\.adaLN_modulation\.": ".modulation.",
}
UNUSED = {
    r"x_embedder\.": "patches of pictures: a model of motion has frames",
    r"pos_embed$": "places in a picture",
    r"y_embedder\.": "classes of ImageNet: a model of motion reads text",
    r"final_layer\.linear\.": "patches of pictures: a model of motion has frames",
}
HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}  # published, by width


def convert(source: Path, out: Path, *, heads: str | None = None) -> Path:
    """DiT-XL-2-256x256.pt, or another → start.pt, which training starts from: blocks, time embedding, last modulation.

    heads=N   of attention, where the width is none of the published ones (384, 768, 1024, 1152)
    """
    check_free(out)
    state = read(source)
    state = tensors(state.get("ema", state) if isinstance(state, dict) else state, source)
    if "blocks.0.attn.qkv.weight" not in state:
        raise UserError(f"{source} lacks blocks.0.attn.qkv.weight: this is no DiT")
    width = state["blocks.0.attn.qkv.weight"].shape[1]
    depth = len({m[1] for key in state if (m := re.match(r"blocks\.(\d+)\.", key))})
    if heads is None and width not in HEADS:
        raise UserError(f"{source} is {width} wide, and the published ones {', '.join(map(str, HEADS))}: give heads=N")
    sizes = {"width": width, "depth": depth, "heads": heads_of(width, heads or str(HEADS[width]))}
    with torch.device("meta"):
        model = DiT(features=1, text_dim=1, **sizes, original=True)
    expected = {k: v for k, v in model.state_dict().items() if k.startswith(("blocks.", "time.", "modulation."))}
    fitted = fit(state, expected, NAMES, UNUSED, source)
    settings = " ".join(f"model.{name}={value}" for name, value in sizes.items())
    record = provenance("dit", source, fitted.left_out, len(fitted.weights), **sizes)
    record["next"] = [f"python -m motion_lightning.train model=dit {settings} model.original=true start={out}"]
    with written(out) as part:
        torch.save(fitted.weights, part / "start.pt")
        (part / "provenance.json").write_text(json.dumps(record, indent=1) + "\n")
    return out
