"""Who makes the clips that are judged, and of which sentences."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from motion_lightning.assemble import Run, encoded, load_run, open_data
from motion_lightning.config import instantiate
from motion_lightning.data.kinds import kind
from motion_lightning.data.store import Split
from motion_lightning.errors import UserError
from motion_lightning.evaluation import sample_conditions
from motion_lightning.pipeline import Sampling
from motion_lightning.tasks.task import Shown, Task
from motion_lightning.text.condition import rows

REAL = "real"
BATCH = 32  # samples that are drawn together


class Source(NamedTuple):
    """A model, or the held-out clips themselves, which are seen as the model beside them sees clips."""

    name: str
    run: Run
    task: Task
    sampling: Sampling
    part: Split | None  # test clips; None where the run's data are not asked for
    real: bool = False
    asked: bool = True  # False: stands in choose.html alone

    @property
    def facts(self) -> dict[str, Any]:
        """Where its clips come from."""
        store = {} if self.part is None else {"store": self.part.store.digest[:16]}
        if self.real:
            return store
        return store | {
            "run": str(self.run.folder),
            "checkpoint": self.run.checkpoint.name,
            "step": self.run.step,
            "steps": self.sampling.steps,
            "guidance": self.sampling.guidance,
        }


class Prompt(NamedTuple):
    """A sentence, and the clip that it was said of, where there is one."""

    text: str
    frames: int
    meaning: str  # the same for sentences of one meaning
    known: bool  # whether ``meaning`` is known, or but the sentence itself
    vector: np.ndarray  # (E,) embedding, length 1
    clip: str = ""  # its id


def open_sources(runs: Sequence[str], checkpoint: str, real: bool) -> list[Source]:
    """The named ones in their order; behind them real clips where ``real`` and they are not named.

    Raises:
        UserError: clips of one could be told from those of another by more than how they move.
    """
    folders = [run for run in runs if run != REAL]
    if not folders:
        raise UserError("runs=[real]: name the run that is judged beside real clips, runs=[runs/A,real]")
    if not real and REAL in runs:
        raise UserError("there are no real clips of sentences of one's own: leave out prompts= or real")
    loaded = [load_run(folder, checkpoint) for folder in folders]
    names = [run.folder.resolve().name for run in loaded]
    models = {
        folder: Source(name if names.count(name) == 1 and name != REAL else folder, run, *parts(run, real))
        for name, folder, run in zip(names, folders, loaded, strict=True)
    }
    check_alike([*models.values()])
    recorded = models[folders[0]]._replace(name=REAL, real=True, asked=REAL in runs)
    behind = [REAL] if real and REAL not in runs else []
    return [recorded if run == REAL else models[run] for run in (*runs, *behind)]


def parts(run: Run, data: bool) -> tuple[Task, Sampling, Split | None]:
    """Task and sampling of a run, and its held-out clips where they are asked for."""
    if run.model.codec.representation == "image":
        raise UserError(f"{run.folder} makes pictures, which a classifier reads: evaluate run={run.folder}")
    if not data and run.config["loader"].get("condition"):
        raise UserError(f"the condition of {run.folder} is more than text: leave out prompts=")
    if data and not run.config.get("store"):
        raise UserError(f"{run.folder} has no data of its own: give prompts=[…]")
    part = open_data(run.config, run.config["store"]).split("test") if data else None
    return instantiate(run.config["task"]), instantiate(run.config["sampler"]), part


def check_alike(models: Sequence[Source]) -> None:
    """UserError where one makes things that look otherwise than those of another, whatever they do."""
    looks = {model.name: appearance(model.run.model.codec) for model in models}
    if len(set(looks.values())) > 1:
        said = ", ".join(f"{name} makes {look}" for name, look in looks.items())
        raise UserError(f"{said}: viewers could tell them apart; take runs that make the same")


def appearance(codec) -> str:
    """As in "motion of humanml22 at 20 fps"."""
    body = f" of {codec.skeleton.name}" if hasattr(codec, "skeleton") else ""
    size = f" of {codec.sizes['size']} pixels" if codec.representation == "video" and "size" in codec.sizes else ""
    return f"{codec.representation}{body}{size} at {codec.fps:g} fps"


def shared_prompts(sources: Sequence[Source], seed: int) -> list[Prompt]:
    """First captions of the test clips that all sources have, each once, in an order drawn by ``seed``."""
    tables = [dict(zip(s.part.ids, range(len(s.part)), strict=True)) for s in sources]
    first, prompts = sources[0].part, {}
    for i in np.random.default_rng([seed, 0]).permutation(len(first)).tolist():
        clip, text = first.ids[i], first.captions(i)[0]
        same = all(
            clip in table
            and s.part.captions(table[clip])[0] == text
            and s.part.lengths[table[clip]] == first.lengths[i]
            for s, table in zip(sources, tables, strict=True)
        )
        if same:
            known, vector = kind(first.tags(i)), first.store.texts.pooled(first.text_ids(i)[0]).astype(np.float32)
            meaning, unit = known or plain(text), vector / max(np.linalg.norm(vector), 1e-6)
            prompts.setdefault(plain(text), Prompt(text, int(first.lengths[i]), meaning, known is not None, unit, clip))
    if not prompts:
        raise UserError("the runs share no test clip with the same caption and length: give prompts=[…]")
    return [*prompts.values()]


def own_prompts(sources: Sequence[Source], texts: Sequence[str], seconds: float) -> list[Prompt]:
    """Sentences as they are given, each once."""
    texts = [*{plain(text): text.strip() for text in texts if text.strip()}.values()]
    if not texts:
        raise UserError('prompts is empty: write what is done, prompts=["a person waves"]')
    run = sources[0].run
    frames = sources[0].task.frames(run.model, seconds)
    vectors = torch.nn.functional.normalize(instantiate(run.config["text_encoder"]).encode(texts).pooled, dim=-1)
    return [
        Prompt(text, frames, plain(text), False, vector) for text, vector in zip(texts, vectors.numpy(), strict=True)
    ]


def plain(text: str) -> str:
    """A sentence without what does not change it."""
    return " ".join(text.casefold().split()).rstrip(".")


def clips_of(source: Source, prompts: Sequence[Prompt], seed: int) -> list[Shown]:
    """What a source makes of each prompt, or has; without a caption or title, so that nothing is told."""
    model, part = source.run.model, source.part
    if part is None:
        cond = instantiate(source.run.config["text_encoder"]).encode([prompt.text for prompt in prompts])
        index: list[int] = []
    else:
        where = dict(zip(part.ids, range(len(part)), strict=True))
        index = [where[prompt.clip] for prompt in prompts]
        cond = part.collate(index).cond
    if source.real:
        clips = encoded(model.sample_codec, part, index)
    else:
        clips = sample_conditions(model, source.sampling, BATCH, cond, [prompt.frames for prompt in prompts], seed)
    return [Shown(x, "", cond=rows(cond, [i]), real=source.real, codec=model.codec) for i, x in enumerate(clips)]
