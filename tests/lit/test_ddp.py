"""Two processes follow one process with the same global batch."""

import math
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("ddp_run.py")


@pytest.fixture(scope="module")
def runs(tiny_store, tmp_path_factory) -> dict[str, list[dict]]:
    """What the ranks of a run on one and on two processes left, side by side."""
    out = {name: tmp_path_factory.mktemp(name) for name in ("one", "two")}
    job = subprocess.Popen(
        [sys.executable, SCRIPT, tiny_store.path, out["two"], "2"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        runpy.run_path(str(SCRIPT))["run"](tiny_store.path, out["one"], 1)
        said, _ = job.communicate(timeout=150)
    finally:
        job.kill()
    assert job.returncode == 0, said
    return {
        "one": [torch.load(out["one"] / "rank0.pt")],
        "two": [torch.load(out["two"] / f"rank{rank}.pt") for rank in range(2)],
    }


def test_ranks_draw_their_parts_of_the_global_batch(runs):
    (whole,), ranks = runs["one"], runs["two"]
    assert len(whole["steps"]) == 8
    for step, parts in zip(whole["steps"], zip(*(rank["steps"] for rank in ranks), strict=True), strict=True):
        assert not torch.equal(parts[0]["eps"], parts[1]["eps"])
        for name in ("clip", "t", "eps", "drop"):
            assert torch.equal(torch.cat([part[name] for part in parts]), step[name])


def test_losses_are_finite_and_those_of_one_process(runs):
    (whole,), ranks = runs["one"], runs["two"]
    for step, parts in zip(whole["steps"], zip(*(rank["steps"] for rank in ranks), strict=True), strict=True):
        losses = torch.cat([part["per_sample"] for part in parts])
        assert losses.isfinite().all()
        torch.testing.assert_close(losses, step["per_sample"], atol=1e-4, rtol=1e-4)


def test_weights_are_those_of_one_process(runs):
    (whole,), (first, second) = runs["one"], runs["two"]
    assert not [k for k in first["weights"] if not torch.equal(first["weights"][k], second["weights"][k])]
    for name, weight in first["weights"].items():
        torch.testing.assert_close(weight, whole["weights"][name], atol=1e-4, rtol=1e-4)
    assert first["weights"]["model.denoiser.patches.out.weight"].abs().max() > 1e-3  # it did learn


def test_validation_is_that_of_one_process(runs):
    """With five clips in batches of two, one rank has more batches than the other."""
    (whole,), ranks = runs["one"], runs["two"]
    for rank in ranks:
        for name, value in whole["metrics"].items():
            if name.startswith("val/loss") or "right" in name or "null" in name or "skill" in name:
                got = rank["metrics"][name]
                assert got == pytest.approx(value, rel=1e-3) or (math.isnan(got) and math.isnan(value)), name
