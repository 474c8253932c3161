"""MDM (Tevet et al., ICLR 2023), text to motion with the encoder: github.com/GuyTevet/motion-diffusion-model."""

import json
import re
from pathlib import Path
from typing import Any

from motion_lightning.assemble import build_model
from motion_lightning.config import instantiate
from motion_lightning.errors import UserError
from motion_lightning.zoo.checkpoint import fit, read, tensors
from motion_lightning.zoo.run import (
    FEATURES,
    check_free,
    check_store,
    configuration,
    provenance,
    statistics,
    write_run,
)

NAMES = {
    r"^input_process\.poseEmbedding": "inp",
    r"^output_process\.poseFinal": "out",
    r"^embed_timestep\.time_embed": "time",
    r"^embed_text": "text",
    r"^seqTransEncoder\.layers": "blocks",
    r"self_attn\.in_proj_": "attention.qkv.",
    r"self_attn\.out_proj": "attention.out",
    r"linear1": "mlp.0",
    r"linear2": "mlp.3",
}
UNUSED = {
    r"(embed_timestep\.)?sequence_pos_encoder\.pe$": "a table of sines, which is calculated here",
    r"clip_model\.": "the text encoder, which is loaded as published by its authors",
    r"rot2xyz\.": "a body model, which text to motion does not use",
}
DATA = {"humanml": "humanml3d", "kit": "kit"}
TEXT_DIM = 512  # of CLIP ViT-B/32
PADDED = 196  # frames of every training batch


def convert(
    source: Path,
    out: Path,
    *,
    stats: str | None = None,
    store: str | None = None,
    clip: str | None = None,
    average: str = "auto",
) -> Path:
    """model000….pt with its args.json beside it → a run that samples all its timesteps, guided by 2.5.

    50 or 1000 steps, HumanML3D (263 features) or KIT (251), architecture trans_enc: as args.json says.

    stats=FOLDER    Mean.npy and Std.npy of the data set, which the checkpoint does not hold
    store=FOLDER    prepared store of the data set, for `evaluate`; its statistics serve where stats is not given
    clip=FOLDER     CLIP ViT-B/32, where it is not in the cache of the Hugging Face hub
    average=yes|no  take the averaged weights; auto: as args.json says
    """
    check_free(out)
    args = settings(source)
    dataset = DATA[args["dataset"]]
    mean, std = statistics(stats, store, FEATURES[dataset])
    config = configuration(dataset, [f"name={out.name}", *overrides(args, clip)])
    encoder = instantiate(config["text_encoder"]) if clip else None
    config["text_dim"] = encoder.dim if encoder else TEXT_DIM
    config["store"] = check_store(store, config, encoder.fingerprint() if encoder else None)

    model = build_model(config, config["text_dim"])
    state, unaveraged = chosen(read(source), average, args, source)
    fitted = fit(state, model.denoiser.state_dict(), NAMES, UNUSED, source)
    model.denoiser.load_state_dict(fitted.weights)
    model.codec.take(mean, std, mean[None])
    left_out = fitted.left_out | unaveraged
    step = re.search(r"(\d+)", source.stem)
    follows = f'python -m motion_lightning.sample run={out} prompt="a person walks in a circle"'
    about = {"settings": args, "dataset": dataset, "next": [follows]}
    record = provenance("mdm", source, left_out, len(fitted.weights), **about)
    return write_run(out, model, config, record, int(step[1]) if step else 0)


def settings(source: Path) -> dict[str, Any]:
    """args.json; UserError for a model of another kind."""
    file = source.parent / "args.json"
    if not file.is_file():
        raise UserError(f"{file} is missing: it says how the model is built; put it beside the checkpoint")
    try:
        args = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    lacking = [
        name for name in ("dataset", "latent_dim", "layers", "diffusion_steps", "noise_schedule") if name not in args
    ]
    if lacking:
        raise UserError(f"{file} says nothing of {', '.join(lacking)}")
    wanted = {
        "dataset": (*DATA,),
        "arch": ("trans_enc",),
        "text_encoder_type": ("clip",),
        "emb_policy": ("add",),
        "noise_schedule": ("cosine", "linear"),
        "unconstrained": (False,),
        "multi_target_cond": (False,),
        "context_len": (0,),
        "cond_mode": ("text",),
    }
    for name, known in wanted.items():
        if name in args and args[name] not in known:
            raise UserError(f"{file}: {name}={args[name]}, expected {' or '.join(map(str, known))}")
    return args


def overrides(args: dict[str, Any], clip: str | None) -> list[str]:
    """What args.json means here."""
    masked = bool(args.get("mask_frames", False))
    return [
        "model=mdm_published",
        f"model.width={args['latent_dim']}",
        f"model.depth={args['layers']}",
        "model.null_text=zero",
        f"model.mask_frames={str(masked).lower()}",
        f"diffusion.process.schedule={args['noise_schedule']}",
        f"diffusion.process.steps={args['diffusion_steps']}",
        "sampler=ddpm",
        f"sampler.guidance={2.5 if args.get('cond_mask_prob', 0.1) else 1.0}",
        f"sampler.window={0 if masked else PADDED}",  # what sees padding has learned from clips that were padded so far
        "text_encoder=clip",
        f"text_encoder.folder={json.dumps(str(Path(clip).resolve())) if clip else 'null'}",
        "text_encoder.max_tokens=22",
    ]


def chosen(whole: Any, average: str, args: dict[str, Any], source: Path) -> tuple[dict, dict[str, list[str]]]:
    """The state dict to take of a checkpoint that may hold two, and the keys of the other."""
    if average not in ("auto", "yes", "no"):
        raise UserError(f"average={average}: choose yes, no or auto")
    if not isinstance(whole, dict) or "model" not in whole:
        if average == "yes":
            raise UserError(f"{source} holds no averaged weights: leave average=yes out")
        return tensors(whole, source), {}
    averaged = average == "yes" or (average == "auto" and bool(args.get("use_ema")))
    take, other = ("model_avg", "model") if averaged else ("model", "model_avg")
    if take not in whole:
        raise UserError(f"{source} holds {', '.join(whole)}, expected {take}: set average=no")
    rest = [key for key in whole if key not in (take, other)] + [f"{other}.{key}" for key in whole.get(other, {})]
    left_out = {"not the weights that are asked for (average=)": rest} if rest else {}
    return tensors(whole[take], source), left_out
