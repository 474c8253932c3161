"""Is a corrupted statistic caught? And how well does an evaluator tell real motions apart?

python experiments/protocol/self_test.py EVALUATOR     a run of train model=evaluator, with its store at hand

Every corruption is scored as any data would be, and what the ground-truth test says of it is printed: by the figures of
real motions alone, since that the store has another hash would give all but the first away.
"""

import sys

import numpy as np
import torch
import yaml

from motion_lightning.data.store import Split, Store
from motion_lightning.evaluator import load_evaluator
from motion_lightning.paths import conf_dir
from motion_lightning.protocol import Protocol, self_test, summarise
from motion_lightning.replications import Replications


class Corrupted(Split):
    """A split whose captions or motions are not what they were."""

    def __init__(self, store: Store, name: str, order: np.ndarray | None = None, speed: float = 1.0):
        super().__init__(store, name)
        self.order, self.speed = np.arange(len(self)) if order is None else order, speed

    def text_ids(self, i: int) -> list[int]:
        return super().text_ids(int(self.order[i]))

    def features(self, i: int) -> np.ndarray:
        """What is told by the frame is larger, as if frames were further apart."""
        if self.speed == 1 or self.store.manifest["representation"] != "motion":
            return super().features(i)
        x = super().features(i).copy()
        x[:, [0, 1, 2]] *= self.speed
        x[:, 193:259] *= self.speed  # velocities of 22 joints
        return x


def shuffled(count: int, share: float) -> np.ndarray:
    """Clips in order, but for a share that have each other's captions."""
    order = np.arange(count)
    wrong = np.random.default_rng(0).permutation(count)[: max(2, round(share * count))]
    order[wrong] = np.roll(order[wrong], 1)
    return order


def main(run: str) -> None:
    protocol = Protocol.of(yaml.safe_load((conf_dir() / "protocol" / "programs.yaml").read_text()))
    judge = load_evaluator(run)
    store = Store.open(judge.config["store"])
    count = len(store.split("test"))

    def figures(split: Split) -> dict:
        return summarise(Replications(protocol, split, judge).of_real())

    sound = figures(Corrupted(store, "test"))
    expected = {name: [row["mean"], row["interval"]] for name, row in sound.items()}
    print(
        "real motions:", ", ".join(f"{name} {row['mean']:.3f} ± {row['interval']:.3f}" for name, row in sound.items())
    )
    mixed = figures(Corrupted(store, "test", np.random.default_rng(1).permutation(count)))
    print(f"with each other's captions: R-precision 3 {mixed['R-precision 3']['mean']:.3f} (chance {3 / 32:.3f})")
    cases = {
        "other seed, sound": lambda: summarise(
            Replications(protocol, Corrupted(store, "test"), judge, seed=1).of_real()
        ),
        "1 % of captions shuffled": lambda: figures(Corrupted(store, "test", shuffled(count, 0.01))),
        "5 % of captions shuffled": lambda: figures(Corrupted(store, "test", shuffled(count, 0.05))),
        "12.5 frames a second taken for 20": lambda: figures(Corrupted(store, "test", speed=1.6)),
    }
    for name, measure in cases.items():
        print(f"{name}: {'; '.join(self_test(measure(), expected)) or 'passes'}")
    std = judge.model.codec.std.clone()
    judge.model.codec.std.copy_(std.roll(1))
    found = self_test(figures(Corrupted(store, "test")), expected)
    print(f"std of the neighbouring feature: {'; '.join(found) or 'passes'}")


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1])
