"""MLD (Chen et al., CVPR 2023), VAE and denoiser of latents: github.com/ChenFengYe/motion-latent-diffusion."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from motion_lightning.assemble import build_model
from motion_lightning.codecs.latent import Autoencoder
from motion_lightning.config import instantiate
from motion_lightning.errors import UserError
from motion_lightning.zoo.checkpoint import fit, read, tensors
from motion_lightning.zoo.run import (
    FEATURES,
    check_dataset,
    check_free,
    check_store,
    configuration,
    heads_of,
    provenance,
    statistics,
    write_run,
)

NAMES = {
    r"^vae\.": "",
    r"^denoiser\.": "",
    r"^skel_embedding\.": "inp.",
    r"^final_layer\.": "out.",
    r"^global_motion_token$": "summary",
    r"^query_pos_(encoder|decoder)\.pe$": r"\1_positions",
    r"^query_pos\.pe$": "positions",
    r"^time_embedding\.linear_1": "time.0",
    r"^time_embedding\.linear_2": "time.2",
    r"^emb_proj": "text",
    r"\.input_blocks\.": ".down.",
    r"\.middle_block\.": ".middle.",
    r"\.output_blocks\.": ".up.",
    r"\.linear_blocks\.": ".merge.",
    r"self_attn\.in_proj_": "attention.qkv.",
    r"self_attn\.out_proj": "attention.out",
    r"multihead_attn\.out_proj": "reading.out",
    r"\.linear1\.": ".mlp.0.",
    r"\.linear2\.": ".mlp.3.",
}
UNUSED = {
    r"text_encoder\.": "the text encoder, which is loaded as published by its authors",
    r"t2m_(text|move|motion)encoder\.": "an evaluator",
    r"(TM2TMetrics|TemosMetric|MMMetrics|UncondMetrics|_?losses|losses_\w+)\b": "metrics and losses",
    r"denoiser\.mem_pos\.pe$": "positions of a memory, which this denoiser does not read",
}


def convert(
    source: Path,
    out: Path,
    *,
    dataset: str = "humanml3d",
    stats: str | None = None,
    store: str | None = None,
    clip: str | None = None,
    heads: str = "4",
    stage: str = "diffusion",
) -> Path:
    """A checkpoint of stage diffusion or vae → a run that samples 50 steps of DDIM, guided by 7.5; or the run of a VAE.

    The architecture of the published checkpoints: MldVae as encoder_decoder, MldDenoiser as trans_enc with long skips,
    both with learned positions; sizes are those of the tensors. No text is CLIP's vector of an empty text, so the
    encoder has to be on this machine.

    dataset=NAME    humanml3d (263 features) or kit (251)
    stats=FOLDER    Mean.npy and Std.npy of the data set, which the checkpoint does not hold
    store=FOLDER    prepared store of the data set, for `evaluate`; its statistics serve where stats is not given
    clip=FOLDER     CLIP ViT-L/14, where it is not in the cache of the Hugging Face hub
    heads=4         of attention, which no tensor shows
    stage=vae       the VAE alone, as the first stage of a model of latents (codec.run=)
    """
    check_free(out)
    check_dataset(dataset)
    if stage not in ("diffusion", "vae"):
        raise UserError(f"stage={stage}: choose diffusion or vae")
    mean, std = statistics(stats, store, FEATURES[dataset])
    whole = read(source)
    if not isinstance(whole, dict) or "state_dict" not in whole:
        raise UserError(f"{source} holds no state_dict: give a checkpoint of Lightning, as MLD publishes")
    parts = parted(tensors(whole["state_dict"], source))
    vae = {
        "_target_": "motion_lightning.models.mld.MotionVAE",
        "features": FEATURES[dataset],
        "tokens": rows(parts["vae"], source),
        **size(parts["vae"], "vae", heads, source),
    }
    config = configuration(dataset, [f"name={out.name}", *overrides(clip)])
    left_out = fit(parts["other"], {}, NAMES, UNUSED, source).left_out
    if stage == "vae":
        for name in ("diffusion", "sampler", "text_encoder"):
            del config[name]
        config |= {"assembly": "motion_lightning.first_stage", "model": vae, "trainer": {"max_epochs": 1}}
        config |= {"text_dim": 0, "store": check_store(store, config, None)}
        model = Autoencoder(instantiate(vae), instantiate(config["codec"]))
        left_out |= {"the denoiser (stage=vae)": [*parts["denoiser"]]}
        used = load(model.vae, parts["vae"], source)
        codec = model.codec
    else:
        encoder = instantiate(config["text_encoder"])
        config |= {"text_dim": encoder.dim, "store": check_store(store, config, encoder.fingerprint())}
        latents = "motion_lightning.codecs.motion_latent.MotionLatents"
        config["codec"] = {"_target_": latents, "run": str(out), "vae": vae, "codec": config["codec"]}
        sizes = size(parts["denoiser"], "denoiser", heads, source)
        config["model"] = {"_target_": "motion_lightning.models.mld.MLD", **sizes}
        model = build_model(config, encoder.dim)
        codec = model.codec.codec
        used = load(model.codec.vae, parts["vae"], source)
        used += load(model.denoiser, parts["denoiser"], source, left_out, null=encoder.encode_nothing())
    codec.take(mean, std, mean[None])
    step = int(whole.get("global_step", 0))
    about = {"dataset": dataset, "stage": stage}
    if stage == "diffusion":
        about["next"] = [f'python -m motion_lightning.sample run={out} prompt="a person walks in a circle"']
    record = provenance("mld", source, left_out, used, **about)
    return write_run(out, model, config, record, step)


def load(
    module: nn.Module, state: dict[str, Tensor], source: Path, left_out: dict | None = None, **known: Tensor
) -> int:
    """Put published tensors, and ``known`` ones, into a module; what is not used goes to ``left_out``. How many."""
    expected = {name: value for name, value in module.state_dict().items() if name not in known}
    fitted = fit(state, expected, NAMES, UNUSED, source)
    module.load_state_dict(fitted.weights | known)
    if left_out is not None:
        left_out |= fitted.left_out
    return len(fitted.weights)


def overrides(clip: str | None) -> list[str]:
    """The published diffusion: eps, scaled_linear, 1000 timesteps; 50 steps of DDIM, guided by 7.5."""
    where = f"'{Path(clip).resolve()}'" if clip else "null"
    return [
        "diffusion=eps",
        "diffusion.process.schedule=scaled_linear",
        "diffusion.process.steps=1000",
        "sampler=ddim",
        "sampler.steps=50",
        "sampler.spacing=offset",
        "sampler.guidance=7.5",
        "text_encoder=clip",
        "text_encoder.model=openai/clip-vit-large-patch14",
        f"text_encoder.folder={where}",
    ]


def parted(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The state dict in three: vae, denoiser, other.

    Queries stand apart from keys and values where these come from a memory, and positions have lost the axis of the
    batch.
    """
    parts: dict[str, dict[str, Tensor]] = {"vae": {}, "denoiser": {}, "other": {}}
    for key, value in state.items():
        part = parts.get(key.partition(".")[0], parts["other"])
        if match := re.fullmatch(r"(.*)multihead_attn\.in_proj_(weight|bias)", key):
            width = len(value) // 3
            part[f"{match[1]}reading.q.{match[2]}"] = value[:width]
            part[f"{match[1]}memory.{match[2]}"] = value[width:]
        else:
            part[key] = value.squeeze(1) if key.endswith(".pe") and value.ndim == 3 else value
    return parts


def size(state: dict[str, Tensor], part: str, heads: str, source: Path) -> dict[str, Any]:
    """Sizes of a transformer with long skips, read off its tensors."""
    encoder = f"{part}.encoder."
    try:
        ff, width = state[f"{encoder}middle_block.linear1.weight"].shape
        places = state[next(key for key in state if re.search(r"\.query_pos(_encoder)?\.pe$", key))].shape[0]
    except (KeyError, StopIteration, ValueError):
        raise UserError(f"{source} holds no transformer with long skips and learned positions as {encoder}*") from None
    merges = sum(key.startswith(f"{encoder}linear_blocks.") and key.endswith("weight") for key in state)
    depth = 2 * merges + 1
    return {"width": width, "depth": depth, "heads": heads_of(width, heads), "ff": ff, "places": places}


def rows(state: dict[str, Tensor], source: Path) -> int:
    """Latent tokens: half of the learned tokens, which read mean and log variance."""
    token = state.get("vae.global_motion_token")
    if token is None or token.ndim != 2 or len(token) % 2:
        shape = None if token is None else tuple(token.shape)
        raise UserError(f"{source}: vae.global_motion_token is {shape}, expected an even number of rows of one width")
    return len(token) // 2
