"""What displacements are divided by: numbers for each axis, not for each point, so that points stay alike."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from motion_lightning.data.tracks.episodes import Hands
from motion_lightning.errors import UserError

if TYPE_CHECKING:  # which would load torch in every process that draws scenes
    from motion_lightning.data.store import Store

FILE = "normalization_stats.yaml"


@dataclass(frozen=True)
class TrackStatistics:
    """Mean and deviation over the training windows, slots from 1 on (slot 0 is zero by definition).

    The names are those of ``normalization_stats.yaml``. Hands that are not there do not count; without any hand
    the numbers of the hands are 0 and 1.
    """

    displacement_mean: list[float]  # (D,)
    displacement_std: list[float]
    hand_uvd_disp_mean: list[float]  # (3,)
    hand_uvd_disp_std: list[float]
    hand_rot_disp_mean: list[float]  # (6,)
    hand_rot_disp_std: list[float]

    def save(self, path: str | Path) -> None:
        """Writes YAML to a temporary name and renames it."""
        path = Path(path)
        part = path.with_name(path.name + ".part")
        part.write_text(yaml.safe_dump({"track_dim": len(self.displacement_mean), **asdict(self)}, sort_keys=False))
        part.replace(path)

    @classmethod
    def load(cls, path: str | Path) -> "TrackStatistics":
        """UserError for a file that is none, or holds NaN or deviations of zero. Hands may be missing."""
        path = Path(path)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise UserError(f"{path}: not YAML that can be read ({' '.join(str(error).split())[:120]})") from None
        if not isinstance(content, dict):
            raise UserError(f"{path}: should be a mapping with displacement_mean and displacement_std")
        numbers = {}
        for key in cls.__dataclass_fields__:
            size = (2, 3) if key.startswith("displacement") else (3,) if "uvd" in key else (6,)
            default = None if key.startswith("displacement") else [float(key.endswith("std"))] * size[0]
            value = content.get(key, default)
            good = isinstance(value, list) and len(value) in size and all(type(x) in (int, float) for x in value)
            if not good or not np.isfinite(value).all() or (key.endswith("std") and min(value) <= 0):
                raise UserError(f"{path}: {key} should be {' or '.join(map(str, size))} finite numbers, got {value}")
            numbers[key] = [float(x) for x in value]
        if len(numbers["displacement_mean"]) != len(numbers["displacement_std"]):
            raise UserError(f"{path}: displacement_mean and displacement_std differ in length")
        return cls(**numbers)


def track_statistics(windows: Iterable[tuple[np.ndarray, Hands]]) -> TrackStatistics:
    """Statistics of displacements (T, N, D) with their hands, in one pass and float64."""
    sums: dict[str, _Sums] = {"displacement": _Sums(), "hand_uvd_disp": _Sums(), "hand_rot_disp": _Sums()}
    for moved, hands in windows:
        sums["displacement"].add(moved[1:])
        sums["hand_uvd_disp"].add(hands.position_displacements[1:, hands.present])
        sums["hand_rot_disp"].add(hands.rotation_displacements[1:, hands.present])
    if not sums["displacement"].count:
        raise UserError("no training windows, so there is nothing to normalise by")
    numbers = {}
    for (name, part), width in zip(sums.items(), (None, 3, 6), strict=True):
        mean, std = part.result() if part.count else (np.zeros(width), np.ones(width))
        numbers |= {f"{name}_mean": mean.tolist(), f"{name}_std": std.tolist()}
    return TrackStatistics(**numbers)


def store_statistics(store: "Store") -> TrackStatistics:
    """Statistics of a store's training clips, kept in ``derived/normalization_stats.yaml`` once computed."""
    path = store.path / "derived" / FILE
    if path.is_file():
        return TrackStatistics.load(path)
    split = store.split("train")

    def windows() -> Iterable[tuple[np.ndarray, Hands]]:
        for i in range(len(split)):
            extras = split.extras(i)
            yield split.features(i), Hands(**{name: extras[f"hand_{name}"] for name in Hands.__dataclass_fields__})

    statistics = track_statistics(windows())
    path.parent.mkdir(exist_ok=True)
    statistics.save(path)
    return statistics


class _Sums:
    """Count, sum and sum of squares along the last axis."""

    def __init__(self):
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        self.count += len(rows)
        self.total = self.total + rows.sum(0)
        self.squares = self.squares + (rows**2).sum(0)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, which is 1 where nothing ever changes."""
        mean = self.total / self.count
        std = np.sqrt((self.squares / self.count - mean**2).clip(0))
        return mean, np.where(std > 1e-8, std, 1.0)
