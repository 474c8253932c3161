"""A few damaged files of every kind; ``make fuzz`` takes a hundred thousand."""

import queue
import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).with_name("fuzz.py")))


@pytest.mark.parametrize("kind", FUZZ["READERS"])
def test_damaged_files_are_refused_by_name_or_read(kind, tmp_path):
    results = queue.SimpleQueue()
    FUZZ["run"](kind, 40, 1, tmp_path, results)
    outcomes, failures, count = results.get()
    assert not count, failures
    assert sum(outcomes.values()) == 40
