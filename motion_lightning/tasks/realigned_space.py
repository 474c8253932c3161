"""What a projector makes of a space of latents: figures, a picture and clips beside their nearest."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motion_lightning.codecs.realigned import Realignment
from motion_lightning.data.kinds import action, kind_numbers, strangers
from motion_lightning.data.store import Split, Store
from motion_lightning.metrics.neighbours import bootstrap, chance, purity
from motion_lightning.metrics.retrieval import retrieval
from motion_lightning.tasks.task import Shown, Task
from motion_lightning.view.fragment import write_page
from motion_lightning.view.scatter import write_scatter
from motion_lightning.view.tables import number, table

NEIGHBOURS = 10
SHOWN = 6  # clips beside their nearest


@torch.no_grad()
def write_space(
    folder: Path, model: Realignment, store: Store, tables: Mapping[str, Tensor], task: Task | None
) -> dict[str, Any]:
    """Write space.json, space.png and, where there is a task, samples/space.html into a run's folder.

    Args:
        tables: latents (N, L, C) of all clips of the held-out splits "val" and "test". The structure of the space is
            judged on both, all else on "test".

    Returns:
        The figures, as ``space_figures``.
    """
    z = torch.cat([tables["val"], tables["test"]])
    spaces = {"VAE": z.flatten(1), "realigned": model.motions(z)}
    labels = [action(split.tags(i)) for split in map(store.split, ("val", "test")) for i in range(len(split))]
    test = store.split("test")
    figures = space_figures(model, test, tables["test"]) | structure(spaces, labels)
    part = folder / "space.part"
    part.write_text(json.dumps(figures, indent=1))
    part.replace(folder / "space.json")
    picture = write_scatter(folder / "space.png", {name: x.numpy() for name, x in spaces.items()}, labels)
    if task is not None:
        image = base64.b64encode(picture.read_bytes()).decode()
        intro = f'<p><img style="max-width:100%" alt="" src="data:image/png;base64,{image}"></p>{as_table(figures)}'
        page = task.look(model, beside_nearest(model, test, tables["test"]))
        write_page(folder / "samples" / "space.html", "Latents before and after realignment", page, intro)
    return figures


def space_figures(model: Realignment, split: Split, z: Tensor) -> dict[str, Any]:
    """How well the projector does on clips of latents z (N, L, C) and their first captions.

    ``cosine`` to the own caption, and to that of a clip of another kind; ``reconstruction``, the squared error as a
    share of the variance of z; ``variance``, that of z_hat over that of z; ``retrieval`` of clips by captions and of
    captions by clips, where all of one kind count as found.
    """
    kinds, text = kind_numbers(split), model.texts(first_captions(split))
    p = model.motions(z)
    z_hat, variance = model.net.decode(p), z.var(0, correction=0).mean()
    return {
        "cosine": {
            "its own": float((p * text).sum(1).mean()),
            "a stranger's": float((p * text[strangers(kinds)]).sum(1).mean()),
        },
        "reconstruction": float((z_hat - z).square().mean() / variance),
        "variance": float(z_hat.var(0, correction=0).mean() / variance),
        "retrieval": retrieval(text, p, torch.tensor(kinds)),
    }


def structure(spaces: Mapping[str, Tensor], labels: list[str | None]) -> dict[str, Any]:
    """How pure the neighbourhoods of each space (N, E) are, and by how much they differ; {} where labels are few."""
    known = [i for i, label in enumerate(labels) if label is not None]
    names = [labels[i] for i in known]
    if not np.isfinite(lot := chance(names, NEIGHBOURS)):
        return {}
    shares = {name: purity(points[known], names, NEIGHBOURS) for name, points in spaces.items()}
    shares = {name: share[np.isfinite(share)] for name, share in shares.items()}
    before, after = shares.values()
    rows = {name: bootstrap(share) for name, share in shares.items()} | {"difference": bootstrap(after - before)}
    return {"purity": {"neighbours": NEIGHBOURS, "chance": lot, **rows}}


def first_captions(split: Split):
    """The condition of the first caption of every clip."""
    return split.store.texts.cond([split.text_ids(i)[0] for i in range(len(split))])


def beside_nearest(model: Realignment, split: Split, z: Tensor) -> list[Shown]:
    """Some clips, the caption that is nearest to each, and the nearest other clips in both spaces."""
    p, text, flat = model.motions(z), model.texts(first_captions(split)), z.flatten(1)
    nearest = {
        "nearest, VAE": torch.cdist(flat, flat).fill_diagonal_(torch.inf).argmin(1),
        "nearest, realigned": (p @ p.T).fill_diagonal_(-torch.inf).argmax(1),
    }
    caption, shown = (p @ text.T).argmax(1), []
    for i in range(min(SHOWN, len(split))):
        said = f"{split.captions(i)[0]} (nearest caption: {split.captions(int(caption[i]))[0]})"
        for title, j in {"clip": i, **{name: int(of[i]) for name, of in nearest.items()}}.items():
            x, _ = model.codec.codec.encode(split.collate([j], multiple_of=1))
            shown.append(Shown(x[0], said, title, real=True))
    return shown


def as_table(figures: Mapping[str, Any]) -> str:
    """The figures as HTML."""
    rows = [[f"cosine to {whose} caption", number(value)] for whose, value in figures["cosine"].items()]
    rows += [
        ["squared error of z, share of its variance", number(figures["reconstruction"])],
        ["variance of z_hat, × that of z", number(figures["variance"])],
    ]
    rows += [[f"{way}, {name}", number(row[name])] for way, row in figures["retrieval"].items() for name in row]
    if pure := figures.get("purity"):
        rows.append([f"purity of {pure['neighbours']} neighbours by action, by lot", number(pure["chance"])])
        for name in ("VAE", "realigned", "difference"):
            low, high = map(number, pure[name]["interval"])
            rows.append([f"purity, {name}", f"{number(pure[name]['mean'])} ({low} to {high})"])
    return table(["", ""], rows)
