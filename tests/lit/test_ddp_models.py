"""Every model of the family on two processes, by the training command; experiments/ddp repeats it ten times."""

import runpy
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "experiments" / "ddp" / "check.py"
if not FILE.is_file():
    pytest.skip("experiments/ is not part of the source distribution", allow_module_level=True)
SCRIPT = runpy.run_path(str(FILE))


@pytest.mark.slow
@pytest.mark.parametrize("model", SCRIPT["MODELS"])
def test_two_processes_end_cleanly_and_follow_one(model, tmp_path):
    one, two = (SCRIPT["train"](model, processes, tmp_path) for processes in (1, 2))
    assert SCRIPT["clean"](model, one, tmp_path), one.said[-3000:]
    assert SCRIPT["clean"](model, two, tmp_path), two.said[-3000:]
    assert SCRIPT["difference"](one.curve, two.curve) < 1e-3
    assert SCRIPT["difference"](one.validation, two.validation) < 1e-3
