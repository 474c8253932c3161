"""All checks of a store, in the order in which they are told."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from motion_lightning.data.store import Store
from motion_lightning.doctor.captions import check_captions
from motion_lightning.doctor.clips import Clips
from motion_lightning.doctor.files import check_files, check_statistics
from motion_lightning.doctor.finding import Finding
from motion_lightning.doctor.leaks import check_balance, check_leaks
from motion_lightning.doctor.motions import check_lengths, check_motions, check_numbers, check_speed, measure


def examine(store: Store, corpus: Any = None, progress: Callable = iter) -> tuple[list[Finding], dict[str, np.ndarray]]:
    """Findings, and the figures of every motion ((clips,) each; empty for what is no motion).

    Args:
        corpus: what the store was made of, for checks of its source files.
        progress: wraps the loop over clips, as tqdm does.
    """
    clips = Clips(store)
    measured = measure(clips, progress) if clips.manifest["representation"] == "motion" and clips.skeleton else {}
    return list(_all(clips, corpus, measured)), measured


def _all(clips: Clips, corpus: Any, measured: dict[str, np.ndarray]) -> Iterator[Finding]:
    yield from check_files(clips, corpus)
    yield from check_statistics(clips)
    yield from check_numbers(clips)
    if measured:
        yield from check_motions(clips, measured)
        yield from check_speed(clips, measured)
    yield from check_lengths(clips)
    yield from check_captions(clips)
    yield from check_leaks(clips)
    yield from check_balance(clips)
