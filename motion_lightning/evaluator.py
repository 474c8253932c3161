"""How an evaluator is put together (what ``assembly`` of its configuration names), trained on demand, and used."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from motion_lightning.assemble import read_checkpoint, restored
from motion_lightning.config import compose, instantiate, to_plain
from motion_lightning.data.store import Split, Store, file_sha256
from motion_lightning.embedder import Embedder
from motion_lightning.errors import UserError
from motion_lightning.first_stage import is_complete, train_alone
from motion_lightning.paths import home

BATCH = 128


def build_model(cfg: Mapping[str, Any], text_dim: int) -> Embedder:
    """TMR and codec with unfitted statistics."""
    codec = instantiate(cfg["codec"])
    return Embedder(instantiate(cfg["model"], features=math.prod(codec.shape), text_dim=text_dim), codec)


def build_module(cfg: Mapping[str, Any], model: Embedder, store: Store, config: dict):
    """The LightningModule that trains them; ``config`` goes into its checkpoints, with the data that it was made of."""
    from motion_lightning.lit.evaluator import EvaluatorModule

    model.codec.fit(store)
    config["store_digest"] = store.digest
    names = ("weights", "temperature", "alike", "warmup", "final_lr", "seed")
    training = instantiate(cfg["training"])
    settings = {name: training[name] for name in names}
    return EvaluatorModule(model, instantiate(cfg["optimizer"]), config=config, **settings)


class TrainedEvaluator:
    """An evaluator of the framework, as ``motion_lightning.protocol`` asks for one.

    Args:
        folder: of its run.
    """

    def __init__(self, model: Embedder, folder: Path, digest: str, config: Mapping[str, Any]):
        self.model, self.folder, self.digest, self.config = model, folder, digest, config
        self.name = f"TMR trained on {config['data']['corpus'].get('name', folder.name)}"

    @torch.no_grad()
    def texts(self, split: Split, texts: Sequence[int]) -> Tensor:
        """Indices of texts → unit vectors (N, W)."""
        self.check(split.store)
        known = split.store.texts
        if self.reads(split.store):
            return torch.cat([self.model.texts(known.cond(part)) for part in parts(texts)])
        return torch.cat([self.of_sentences([known[i] for i in part]) for part in parts(texts)])

    @torch.no_grad()
    def of_sentences(self, sentences: Sequence[str]) -> Tensor:
        """Sentences → unit vectors (N, W)."""
        return self.model.texts(self.encoder.encode(list(sentences)))

    @cached_property
    def encoder(self):
        """The text encoder whose tokens the evaluator was trained on."""
        return instantiate(self.config["text_encoder"])

    def reads(self, store: Store) -> bool:
        """Whether the store's embeddings are of the evaluator's own text encoder."""
        return json.loads(json.dumps(self.encoder.fingerprint())) == store.manifest["encoder"]

    @torch.no_grad()
    def clips(self, split: Split, clips: Sequence[int], starts: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """Real clips, cut → unit vectors (N, W)."""
        self.check(split.store)
        order = sorted(range(len(clips)), key=lengths.__getitem__)
        out = torch.empty(len(clips), self.model.net.width)
        for part in parts(order):
            batch = split.collate(
                [clips[i] for i in part], starts=[starts[i] for i in part], max_frames=max(lengths[i] for i in part)
            )
            kept = torch.tensor([lengths[i] for i in part])
            x, mask = self.model.codec.encode(
                batch._replace(mask=batch.mask & (torch.arange(batch.mask.shape[1]) < kept[:, None]))
            )
            out[part] = self.model.motions(x, mask)
        return out

    def samples(self, codec: nn.Module, samples: Sequence[Tensor]) -> Tensor:
        """x (T, *shape) of a model's codec → unit vectors (N, W)."""
        return self.model.of_samples(samples, codec, BATCH)

    def check(self, store: Store) -> None:
        """UserError where a store holds something else than what this evaluator reads."""
        if (kind := store.manifest["representation"]) != self.model.codec.representation:
            raise UserError(
                f"{self.folder} is an evaluator of {self.model.codec.representation}, {store.path} holds {kind}"
            )

    def reasons(self, store: Store) -> list[str]:
        """What speaks against comparing figures on this store with others of this evaluator."""
        if store.digest == self.config.get("store_digest"):
            return []
        return [f"the store {store.digest[:16]} is not the one that the evaluator was trained on"]


def parts(order: Sequence) -> Iterator[Sequence]:
    return (order[k : k + BATCH] for k in range(0, len(order), BATCH))


def load_evaluator(run: str | Path) -> TrainedEvaluator:
    """The evaluator of a run of ``train model=evaluator``; UserError for anything else."""
    folder = Path(run)
    file = folder if folder.is_file() else folder / "checkpoints" / "last.ckpt"
    if not file.is_file():
        raise UserError(f"evaluator={run}: no checkpoints/last.ckpt in there; give a run of train model=evaluator")
    state = read_checkpoint(file)
    config = state["config"]
    if config.get("assembly") != __name__:
        raise UserError(f"evaluator={run} is a run of another kind; give one of train model=evaluator")
    model = restored(build_model(config, config["text_dim"]), state, file)
    folder = file.parent.parent if file.parent.name == "checkpoints" else file.parent
    return TrainedEvaluator(model, folder, file_sha256(file), config)


def ensure_evaluator(store: Store, data: Mapping[str, Any]) -> TrainedEvaluator:
    """An evaluator of the store's corpus, trained once and kept beside the stores under the hash of what it is made of.

    Args:
        data: configuration of the corpus, that of a run on the store.

    Raises:
        UserError: it could not be trained.
    """
    corpus = store.manifest["corpus"]
    given = ["model=evaluator", f"data={corpus}", *overrides(corpus, data)]
    made_of = to_plain(compose("train", given))
    content = {name: made_of[name] for name in ("model", "codec", "training", "loader", "optimizer", "trainer", "seed")}
    digest = hashlib.sha256(json.dumps([content, store.digest], sort_keys=True).encode()).hexdigest()[:8]
    folder = home() / "evaluators" / f"{corpus}-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.wait")):  # other processes that want it wait
        if not is_complete(folder):
            print(f"{folder}: training an evaluator first, once", flush=True)
            if not train_alone(folder, [*given, "logger=csv"]):
                raise UserError("no evaluator was trained: what stopped it is said above; give one by evaluator=RUN")
    evaluator = load_evaluator(folder)
    if reasons := evaluator.reasons(store):
        raise UserError(f"{folder}: {reasons[0]}; prepare data={corpus} again, or give evaluator=RUN")
    return evaluator


def overrides(corpus: str, data: Mapping[str, Any]) -> list[str]:
    """What makes of ``data=corpus`` the configuration that a run has."""
    usual = to_plain(compose("train", [f"data={corpus}", *_source(data)]))["data"]
    return [*_source(data), *_differences("data", usual, data)]


def _source(data: Mapping[str, Any]) -> list[str]:
    return [f"data.source={_value(data['source'])}"] if "source" in data else []


def _differences(key: str, usual: Any, wanted: Any) -> Iterator[str]:
    if isinstance(usual, Mapping) and isinstance(wanted, Mapping):
        for name, value in wanted.items():
            if name in usual:
                yield from _differences(f"{key}.{name}", usual[name], value)
            else:
                yield f"+{key}.{name}={_value(value)}"
    elif usual != wanted:
        yield f"{key}={_value(wanted)}"


def _value(value: Any) -> str:
    """As Hydra's grammar reads it."""
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_value(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value, value)) + "]"
    return json.dumps(value)
