"""TMR (Petrovich et al., ICCV 2023), motions and texts in one space: github.com/Mathux/TMR."""

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from motion_lightning.config import instantiate
from motion_lightning.data.store import file_sha256
from motion_lightning.errors import UserError
from motion_lightning.evaluator import build_model
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

PARTS = ("motion_encoder", "text_encoder", "motion_decoder")
NAMES = {
    r"\.projection\.": ".inp.",
    r"\.seqTrans(En|De)coder\.": ".layers.",
    r"\.final_layer\.": ".out.",
}
UNUSED = {r".*sequence_pos_encoding\.pe$": "a table of sines, which is calculated here"}


def convert(
    source: Path,
    out: Path,
    *,
    text_encoder: str | None = None,
    dataset: str = "humanml3d",
    stats: str | None = None,
    store: str | None = None,
    heads: str = "4",
) -> Path:
    """The folder last_weights (motion_encoder.pt, text_encoder.pt, motion_decoder.pt), or last.ckpt → an evaluator.

    Sizes are those of the tensors. The decoder is taken along where it is there.

    text_encoder=FOLDER  DistilBERT (distilbert-base-uncased), whose tokens TMR reads
    dataset=NAME         humanml3d (263 features) or kit (251)
    stats=FOLDER         mean.pt and std.pt that the motions were normalised with (stats/humanml3d/guoh3dfeats)
    store=FOLDER         prepared store of the data set; its statistics serve where stats is not given
    heads=4              of attention, which no tensor shows
    """
    check_free(out)
    check_dataset(dataset)
    if text_encoder is None:
        raise UserError("TMR reads the tokens of DistilBERT: give text_encoder=FOLDER, of distilbert-base-uncased")
    mean, std = statistics(stats, store, FEATURES[dataset])
    state, file = weights(source)
    config = configuration(dataset, [f"name={out.name}"])
    del config["diffusion"], config["sampler"]
    config["text_encoder"] = {
        "_target_": "motion_lightning.text.encoders.MiniLM",
        "folder": str(Path(text_encoder).expanduser().resolve()),
    }
    encoder = instantiate(config["text_encoder"])
    config |= {
        "assembly": "motion_lightning.evaluator",
        "text_dim": encoder.dim,
        "store": check_store(store, config, None),
        "model": {
            "_target_": "motion_lightning.models.tmr.TMR",
            **size(state, heads, source),
            "patch": 1,
            "decoder": any(key.startswith("motion_decoder.") for key in state),
        },
    }
    model = build_model(config, encoder.dim)
    fitted = fit(state, model.net.state_dict(), NAMES, UNUSED, source)
    model.net.load_state_dict(fitted.weights)
    model.codec.take(mean, std, mean[None])
    record = provenance("tmr", file, fitted.left_out, len(fitted.weights), dataset=dataset)
    if source.is_dir():
        record["files"] = {
            f"{part}.pt": file_sha256(source / f"{part}.pt") for part in PARTS if (source / f"{part}.pt").is_file()
        }
    return write_run(out, model, config, record)


def weights(source: Path) -> tuple[dict[str, Tensor], Path]:
    """The state dict of all parts, and the file, or the first of them, that it is from."""
    if source.is_dir():
        files = [source / f"{part}.pt" for part in PARTS]
        if missing := [file.name for file in files[:2] if not file.is_file()]:
            raise UserError(f"{source} lacks {' and '.join(missing)}: give the folder last_weights of a TMR run")
        state = {}
        for file in files:
            if file.is_file():
                state |= {f"{file.stem}.{key}": value for key, value in tensors(read(file), file).items()}
        return state, files[0]
    whole = read(source)
    if not isinstance(whole, dict) or "state_dict" not in whole:
        raise UserError(f"{source} holds no state_dict: give last.ckpt, or the folder last_weights")
    return tensors(whole["state_dict"], source), source


def size(state: dict[str, Tensor], heads: str, source: Path) -> dict[str, Any]:
    """Sizes of the transformers, read off the motion encoder; that the others are alike shows when they are fitted."""
    try:
        width = state["motion_encoder.projection.weight"].shape[0]
        ff = state["motion_encoder.seqTransEncoder.layers.0.linear1.weight"].shape[0]
    except KeyError as error:
        raise UserError(f"{source} lacks {error.args[0]}: this is no TMR") from None
    layers = {m[1] for key in state if (m := re.match(r"motion_encoder\.seqTransEncoder\.layers\.(\d+)\.", key))}
    return {"width": width, "depth": len(layers), "heads": heads_of(width, heads), "ff": ff}
