"""Motion textual inversion: one word for what a few motions have in common, everything else frozen.

The method is textual inversion (Gal et al. 2023), which LEAD brings to motions (Andreou et al., arXiv 2410.14508).
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from motion_lightning.assemble import Run, open_data
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.config import instantiate
from motion_lightning.data.batch import Batch, Info
from motion_lightning.data.clip import SPLITS
from motion_lightning.data.motion_files import SUFFIXES, read_features
from motion_lightning.errors import UserError
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.text.condition import TextCond, rows
from motion_lightning.text.encoders import FrozenEncoder
from motion_lightning.text.pseudo_words import LearnedWord, PseudoWords, first_vectors

MODES = ("realigned", "vae", "diffusion")
JUDGED = 64  # rows of the batch that the loss before and after is measured on
Objective = Callable[[Tensor, TextCond, torch.Generator], Tensor]  # clips (B,), their texts → loss ()


class Exemplars(NamedTuple):
    """Motions in metric features, and what they are called; the batch has no condition yet."""

    batch: Batch
    names: list[str]


def find_exemplars(
    run: Run, wanted: Sequence[str | int], shortest: int, longest: int, rig: str | None = None
) -> Exemplars:
    """Clips of the run's data by id, and files (see ``data.motion_files``).

    Args:
        shortest, longest: frames that an exemplar may have.
        rig: of BVH files; None takes the known one that fits.

    Raises:
        UserError: it names the first exemplar that cannot be taken.
    """
    codec = run.model.sample_codec
    if not isinstance(codec, FeatureCodec) or run.config["loader"].get("condition"):
        raise UserError(f"run={run.folder} makes no motions of texts alone, which a word could be learned for")
    clips = []
    for name in map(str, wanted):
        try:
            path = Path(name).expanduser()
            features = read_features(path, codec.skeleton, rig) if path.suffix in SUFFIXES else of_store(run, name)
            if not shortest <= len(features) <= longest:
                needed = f"{shortest} to {longest} at {codec.fps:g} a second"
                raise UserError(f"expected {needed}, found {len(features)} frames")
        except UserError as error:
            raise UserError(f"exemplars: {name}: {error}") from None
        clips.append(torch.from_numpy(np.array(features, np.float32)))
    if not clips:
        raise UserError("exemplars is empty: give clips of the run's data by id, or .bvh, .npy or .npz files")
    lengths = torch.tensor([len(clip) for clip in clips])
    x = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)  # (N, T, F)
    x = F.pad(x, (0, 0, 0, -x.shape[1] % 4))
    info = Info(torch.arange(len(clips)), torch.zeros(len(clips), dtype=torch.long))
    return Exemplars(Batch(x, torch.arange(x.shape[1]) < lengths[:, None], None, info), [str(name) for name in wanted])


def of_store(run: Run, name: str) -> np.ndarray:
    """Features (T, F) of a clip of any split."""
    store = open_data(run.config, run.config["store"])
    for part in map(store.split, SPLITS):
        if name in part.ids:
            return part.features(part.ids.index(name))
    raise UserError(f"no clip of this run's data, and no {', '.join(SUFFIXES)} file")


def realigned(run: Run, exemplars: Exemplars) -> Objective:
    """1 - cos between a text and the exemplar that it tells of, both in the realigned space."""
    with torch.no_grad():
        z, _ = run.model.codec.encode(exemplars.batch)
        target = run.model.codec.projector.encode(z)  # (N, E)
    return lambda clips, cond, generator: (1 - F.cosine_similarity(cond.pooled, target[clips], dim=-1)).mean()


def own_loss(run: Run, exemplars: Exemplars) -> Objective:
    """The loss that the run's diffusion was trained with; published models have theirs on the target, unweighted."""
    training = run.config.get("training") or {"space": "target"}
    module, codec = DiffusionModule(run.model, optimizer=None, **instantiate(training)), run.model.codec
    steps, frames = run.model.process.steps, codec.length(exemplars.batch.mask.shape[1])

    def loss(clips: Tensor, cond: TextCond, generator: torch.Generator) -> Tensor:
        count = len(clips)
        strata = torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)
        t = (strata * steps / count).long().clamp(max=steps - 1)
        eps = torch.randn(count, frames, *codec.shape, generator=generator)
        batch = rows(exemplars.batch, clips.tolist())._replace(cond=cond)
        return module.compute_loss(batch, t, eps, torch.zeros(count, dtype=torch.bool)).total

    return loss


def objective(run: Run, exemplars: Exemplars, mode: str | None) -> tuple[str, Objective]:
    """Mode and loss; None takes the realigned space where the run has one, else the diffusion's own loss."""
    codec = run.model.codec
    own = "diffusion" if codec is run.model.sample_codec else "vae"
    fitting = ["realigned", own] if hasattr(codec, "projector") else [own]
    mode = mode or fitting[0]
    if mode not in fitting:
        known = " or ".join(fitting) if mode in MODES else f"one of {', '.join(MODES)}"
        raise UserError(f"mode={mode} does not go with run={run.folder}: expected {known}")
    return mode, realigned(run, exemplars) if mode == "realigned" else own_loss(run, exemplars)


def learn(
    run: Run,
    encoder: FrozenEncoder,
    exemplars: Exemplars,
    name: str,
    templates: Sequence[str],
    mode: str | None = None,
    init: str | None = None,
    vectors: int = 1,
    steps: int = 200,
    batch_size: int = 16,
    rate: float = 0.5,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> LearnedWord:
    """Learn the vectors of a word by Adam, whose rate falls to zero; nothing else changes.

    Args:
        encoder: of the run's texts.
        templates: texts with * where the word is.
        mode: of ``MODES``; None takes the first that goes with the run.
        init: word to start from; None starts from the mean of all tokens.
        vectors: tokens that the word is.
        rate: of Adam, in standard deviations of the table of tokens.

    Returns:
        The word; ``about["loss"]`` is the loss before and after, on one fixed draw of clips, timesteps and noise.
    """
    if not templates or not all("*" in text for text in templates):
        raise UserError("templates: give at least one text, each with * where the word is")
    mode, loss_of = objective(run, exemplars, mode)
    learned = nn.Parameter(first_vectors(encoder, vectors, init))
    words = PseudoWords(encoder, {name: learned})
    texts = [text.replace("*", f"<{name}>") for text in templates]

    def loss(count: int, generator: torch.Generator) -> Tensor:
        clips = torch.arange(count) % len(exemplars.names)
        said = torch.randint(len(texts), (count,), generator=generator)
        different, place = said.unique(return_inverse=True)
        return loss_of(clips, rows(words.encode([texts[i] for i in different]), place), generator)

    def judge() -> float:
        with torch.no_grad():
            return float(loss(JUDGED, torch.Generator().manual_seed(0)))

    before, generator = judge(), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam([learned], lr=rate * float(words.table.weight.std()))
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for _ in progress(range(steps)):
        optimizer.zero_grad()
        loss(batch_size, generator).backward()
        optimizer.step()
        schedule.step()
    about = {
        "encoder": encoder.fingerprint(),
        "mode": mode,
        "exemplars": exemplars.names,
        "run": f"{run.folder.name}, step {run.step}",
        "loss": [before, judge()],
        "steps": steps,
        "seed": seed,
    }
    return LearnedWord(name, learned.detach(), about)
