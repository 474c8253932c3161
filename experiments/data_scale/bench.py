"""How prepare, opening and loading do at HumanML3D's size, on a folder of noise laid out like it.

    python experiments/data_scale/bench.py                       # all 29,228 motions: 10 GB of disk
    python experiments/data_scale/bench.py --share 0.05          # a twentieth
    MOTION_LIGHTNING_TEST_DATA=FOLDER python experiments/data_scale/bench.py    # ids and lengths as published

Motions hold noise, three captions each, drawn from ``--texts`` different ones: embedding is timed on those, and the
time for all different captions is a multiple of it. Everything lies in a temporary folder below ``--folder``.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from torch.utils.data import DataLoader, Dataset

from motion_lightning.assemble import build_model, fit_statistics
from motion_lightning.config import instantiate
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.data.loader import Loader
from motion_lightning.data.sampler import Draw
from motion_lightning.data.store import Store
from motion_lightning.lit.diffusion import DiffusionModule
from motion_lightning.paths import conf_dir

SPLITS = {"train": 23384, "val": 1460, "test": 4384}  # motions of the published lists
SHORTEST, LONGEST, WIDTH, CAPTIONS = 40, 199, 263, 3
BATCH, WORKERS, WARM_UP = 64, 2, 20
AHEAD = {"store": "threads", "files": "processes"}  # that make batches
TAGGED = [
    ("a/DET the/DET", 1), ("person/NOUN man/NOUN woman/NOUN figure/NOUN someone/PRON", 1),
    ("walk/VERB run/VERB jump/VERB kick/VERB turn/VERB throw/VERB wave/VERB crouch/VERB", 1),
    ("slowly/ADV quickly/ADV forward/ADV backward/ADV sideways/ADV left/ADV right/ADV", 2), ("and/CCONJ then/ADV", 1),
    ("sit/VERB stand/VERB stop/VERB bow/VERB dance/VERB step/VERB lean/VERB reach/VERB", 1),
    ("with/ADP", 1), ("both/DET one/NUM his/DET her/DET", 1), ("arm/NOUN hand/NOUN leg/NOUN foot/NOUN knee/NOUN", 1),
]  # fmt: skip
NOISE = np.random.default_rng(0).standard_normal((20_000, WIDTH)).astype(np.float32)


# ------------------------------------------------------------------------------------------------ a folder


def published(folder: Path) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Ids of each split, and the frames of a motion from the index, where that says when it ends."""
    lists = {split: (folder / "splits" / f"{split}.txt").read_text().split() for split in SPLITS}
    with (folder / "index.csv").open() as file:
        rows = [(row["new_name"][:-4], int(row["start_frame"]), int(row["end_frame"])) for row in csv.DictReader(file)]
    return lists, {name: end - start - 1 for name, start, end in rows if end > 0}


def invented() -> tuple[dict[str, list[str]], dict[str, int]]:
    """The same without the lists: 37 % of the motions are cut at ten seconds, the rest lie around 5.8."""
    names = [f"{mirrored}{i:06}" for i in range(sum(SPLITS.values()) // 2) for mirrored in ("", "M")]
    draw = np.random.default_rng(1)
    frames = np.where(draw.random(len(names)) < 0.37, LONGEST, draw.triangular(SHORTEST, 109, LONGEST, len(names)))
    ends = np.cumsum([0, *SPLITS.values()])
    lists = {split: names[a:b] for split, a, b in zip(SPLITS, ends[:-1], ends[1:], strict=True)}
    return lists, dict(zip(names, frames.astype(int).tolist(), strict=True))


def make_folder(folder: Path, share: float, different: int) -> np.ndarray:
    """Writes the folder; returns the frames of all motions."""
    data = os.environ.get("MOTION_LIGHTNING_TEST_DATA")
    lists, known = published(Path(data) / "humanml3d_reference") if data else invented()
    draw = np.random.default_rng(2)
    lines = sorted({caption(draw) for _ in range(different * 2)})
    lines = [lines[i] for i in draw.permutation(len(lines))[:different]]
    spread = list(known.values())
    for part in ("new_joint_vecs", "texts"):
        (folder / part).mkdir(parents=True)
    lengths = []
    for split, names in lists.items():
        names = names[: round(len(names) * share)]
        (folder / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            frames = known.get(name.removeprefix("M")) or spread[draw.integers(len(spread))]
            lengths.append(int(np.clip(frames, SHORTEST, LONGEST)))
            start = draw.integers(len(NOISE) - LONGEST)
            np.save(folder / "new_joint_vecs" / name, NOISE[start : start + lengths[-1]])
            chosen = [lines[i] for i in draw.integers(len(lines), size=CAPTIONS)]
            (folder / "texts" / f"{name}.txt").write_text("".join(chosen))
    return np.array(lengths)


def caption(draw: np.random.Generator) -> str:
    """A line of a text file; about the 12 words of an average caption."""
    tokens = [token for kinds, count in TAGGED for token in draw.permutation(kinds.split())[:count]]
    words = " ".join(token.split("/")[0] for token in tokens)
    return f"{words}.#{' '.join(tokens)}#0.0#0.0\n"


# ------------------------------------------------------------------------------------------------- stages


class Timed:
    """A text encoder that counts its texts and seconds."""

    def __init__(self, encoder):
        self.encoder, self.texts, self.seconds = encoder, 0, 0.0

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def encode(self, texts):
        began = time.perf_counter()
        try:
            return self.encoder.encode(texts)
        finally:
            self.texts, self.seconds = self.texts + len(texts), self.seconds + time.perf_counter() - began


def watch_memory(peak: dict[str, int]) -> None:
    """Keeps the largest memory that is this process' own; what is mapped from files can be dropped at any time."""
    while True:
        status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        peak["own"] = max(peak.get("own", 0), int(status["RssAnon"].split()[0]))
        time.sleep(0.02)


def prepare(folder: Path, store: Path) -> dict:
    """In a process of its own: seconds and memory of ``prepare_store``."""
    from motion_lightning.data.writer import prepare_store

    cfg, own = config(folder), {}
    threading.Thread(target=watch_memory, args=(own,), daemon=True).start()
    encoder = Timed(instantiate(cfg.text_encoder))
    encoder.encode(["a person walks"])  # loads the weights
    encoder.texts = encoder.seconds = 0
    began = time.perf_counter()
    report = prepare_store(instantiate(cfg.data.corpus), encoder, store)
    seconds = time.perf_counter() - began
    again = time.perf_counter()
    instantiate(cfg.data.corpus).fingerprint()
    peak = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "clips": report.clips,
        "rejected": len(report.rejected),
        "seconds": seconds - encoder.seconds,
        "texts": encoder.texts,
        "embedding": encoder.seconds,
        "fingerprint": time.perf_counter() - again,
        "resident_mb": max(peak) / 1024,
        "own_mb": own["own"] / 1024,
    }


def open_store(store: Path) -> dict:
    """In a process of its own, imports done: a store and its first batch."""
    began = time.perf_counter()
    loader = MotionDataModule(store, batch_size=BATCH).train_dataloader()
    opened = time.perf_counter()
    next(iter(loader))
    return {"open": opened - began, "first_batch": time.perf_counter() - opened}


class Files(Dataset):
    """The same batches from a file a motion and a file of captions, without embeddings."""

    def __init__(self, folder: Path, ids: list[str], max_frames: int):
        self.folder, self.ids, self.max_frames = folder, ids, max_frames

    def __getitems__(self, draws: list[Draw]) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        frames = -(-draws[0].frames // 4) * 4
        x, mask, captions = np.zeros((len(draws), frames, WIDTH), np.float32), np.zeros((len(draws), frames), bool), []
        for row, valid, draw in zip(x, mask, draws, strict=True):
            motion = np.load(self.folder / "new_joint_vecs" / f"{self.ids[draw.clip]}.npy")
            lines = (self.folder / "texts" / f"{self.ids[draw.clip]}.txt").read_text().splitlines()
            start = int(draw.crop * (max(0, len(motion) - self.max_frames) + 1))
            motion = motion[start : start + self.max_frames]
            row[: len(motion)], valid[: len(motion)] = motion, True
            captions.append(lines[int(draw.caption * len(lines))].split("#")[0])
        return torch.from_numpy(x), torch.from_numpy(mask), captions


def loaders(folder: Path, store: Store, steps: int, workers: int) -> dict[str, Loader | DataLoader]:
    """Both ways to the same batches."""
    data = MotionDataModule(store, batch_size=BATCH, threads=workers, steps_per_epoch=steps)
    ours, files = data.train_dataloader(), Files(folder, store.split("train").ids, data.max_frames)
    theirs = DataLoader(files, batch_sampler=ours.draws, collate_fn=_as_is, num_workers=workers)
    for (x, mask, captions), batch in islice(zip(theirs, ours, strict=True), 5):
        assert torch.equal(x, batch.x) and torch.equal(mask, batch.mask)
        assert captions == [store.texts[i] for i in batch.info.caption.tolist()]
    return {"store": ours, "files": theirs}


def _as_is(batch):
    return batch


def throughput(loader: Loader | DataLoader) -> float:
    """Samples a second, workers running."""
    batches = iter(loader)
    for _ in range(WARM_UP):
        next(batches)
    began = time.perf_counter()
    count = sum(1 for _ in batches)
    return count * BATCH / (time.perf_counter() - began)


def train(cfg, store: Store, loader: Loader, steps: int) -> tuple[float, float]:
    """Samples a second of training steps, without the time that they wait for the loader; and the share of that."""
    torch.manual_seed(0)
    model = build_model(cfg, store.texts.width)
    fit_statistics(model, store, clips=200)
    module = DiffusionModule(model, instantiate(cfg.optimizer), **instantiate(cfg.training))
    optimizer, waited, worked = module.make_optimizer(module.parameters()), 0.0, 0.0
    batches = iter(loader)
    for step in range(WARM_UP + steps):
        began = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        noise = torch.randn(*batch.mask.shape, model.codec.features)
        loss = module.compute_loss(batch, torch.randint(model.process.steps, (BATCH,)), noise, torch.rand(BATCH) < 0.1)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        if step >= WARM_UP:
            waited, worked = waited + got - began, worked + time.perf_counter() - got
    return steps * BATCH / worked, waited / (waited + worked)


def config(folder: Path):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("train", [f"data.source={folder}", "data=humanml3d", "model=dit_xs"])


# ------------------------------------------------------------------------------------------------- report


def in_own_process(stage: str, *paths: Path) -> dict:
    command = [sys.executable, __file__, "--stage", stage, *map(str, paths)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def main(folder: Path, share: float, different: int, batches: int, steps: int) -> None:
    began = time.perf_counter()
    lengths = make_folder(folder / "HumanML3D", share, different)
    print(f"{len(lengths)} motions of {lengths.mean():.1f} frames on average, written in "
          f"{time.perf_counter() - began:.0f} s", file=sys.stderr)  # fmt: skip
    source, path = folder / "HumanML3D", folder / "store"
    made = in_own_process("prepare", source, path)
    opened = [in_own_process("open", path) for _ in range(5)]
    store = Store.open(path)
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    for workers in (WORKERS, 0):
        both = loaders(source, store, WARM_UP + batches, workers)
        for kind in [*both] * 3:  # by turns
            rates[kind, workers].append(throughput(both[kind]))
    rate = {key: float(np.median(values)) for key, values in rates.items()}
    fed = MotionDataModule(store, batch_size=BATCH, threads=WORKERS, steps_per_epoch=WARM_UP + steps)
    trained, waiting = train(config(source), store, fed.train_dataloader(), steps)
    embed = made["texts"] / made["embedding"]
    rows = [
        ("clips; frames on average", f"{made['clips']:,}; {lengths.mean():.1f}"),
        ("prepare without embedding", f"{made['seconds']:.1f} s"),
        (f"embedding of {made['texts']:,} captions", f"{made['embedding']:.1f} s, {embed:.0f} a second"),
        (f"extrapolated to {len(lengths) * CAPTIONS:,}", f"{len(lengths) * CAPTIONS / embed / 60:.1f} min"),
        ("peak memory of prepare, own", f"{made['own_mb']:,.0f} MB"),
        ("the same with mapped files", f"{made['resident_mb']:,.0f} MB"),
        ("whether the folder has changed", f"{made['fingerprint']:.2f} s"),
        ("open, fresh process", f"{np.median([o['open'] for o in opened]) * 1000:.0f} ms"),
        ("first batch, no workers", f"{np.median([o['first_batch'] for o in opened]) * 1000:.0f} ms"),
        *((f"loader from {kind}, {n} {AHEAD[kind]}", f"{rate[kind, n]:,.0f} samples/s ({min(v):,.0f} to {max(v):,.0f})")
          for (kind, n), v in rates.items()),
        *((f"store / files, {n} workers", f"{rate['store', n] / rate['files', n]:.1f}") for n in (WORKERS, 0)),
        (f"training of dit_xs, {torch.get_num_threads()} threads", f"{trained:,.0f} samples/s"),
        ("loader / training", f"{rate['store', WORKERS] / trained:.0f}"),
        ("share of training spent waiting for data", f"{waiting:.2%}"),
    ]  # fmt: skip
    print("\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the motions")
    parser.add_argument("--texts", type=int, default=4000, help="different captions")
    parser.add_argument("--batches", type=int, default=300, help="of each measurement of a loader")
    parser.add_argument("--steps", type=int, default=60, help="of training")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--stage", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        stage, *paths = given.stage
        print(json.dumps({"prepare": prepare, "open": open_store}[stage](*map(Path, paths))))
    else:
        with tempfile.TemporaryDirectory(dir=given.folder) as place:
            main(Path(place), given.share, given.texts, given.batches, given.steps)
