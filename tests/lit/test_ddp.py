"""Two processes follow one process with the same global batch."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("ddp_run.py")


@pytest.fixture(scope="module")
def runs(tiny_store, tmp_path_factory) -> dict[str, list[dict]]:
    """What the ranks of a run on one and on two processes left, side by side."""
    out = {name: tmp_path_factory.mktemp(name) for name in ("1", "2")}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "LOCAL_RANK", "WORLD_SIZE"))}
    jobs = {
        name: subprocess.Popen(
            [sys.executable, SCRIPT, tiny_store.path, folder, name],
            env=clean | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, folder in out.items()
    }
    for name, job in jobs.items():
        try:
            said, _ = job.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            job.kill()
            said = f"{job.communicate()[0]}\nit hangs"
        assert job.returncode == 0, f"{name}: {said}"
    return {
        name: [torch.load(folder / f"rank{rank}.pt") for rank in range(int(name))]
        for name, folder in out.items()
    }


def test_ranks_draw_their_parts_of_the_global_batch(runs):
    (whole,), ranks = runs["1"], runs["2"]
    assert len(whole["steps"]) == 8
    for step, parts in zip(whole["steps"], zip(*(rank["steps"] for rank in ranks), strict=True), strict=True):
        assert not torch.equal(parts[0]["eps"], parts[1]["eps"])
        for name in ("clip", "t", "eps", "drop"):
            assert torch.equal(torch.cat([part[name] for part in parts]), step[name])


def test_losses_are_finite_and_those_of_one_process(runs):
    (whole,), ranks = runs["1"], runs["2"]
    for step, parts in zip(whole["steps"], zip(*(rank["steps"] for rank in ranks), strict=True), strict=True):
        losses = torch.cat([part["per_sample"] for part in parts])
        assert losses.isfinite().all()
        torch.testing.assert_close(losses, step["per_sample"], atol=1e-4, rtol=1e-4)


def test_weights_are_those_of_one_process(runs):
    (whole,), (first, second) = runs["1"], runs["2"]
    assert not [k for k in first["weights"] if not torch.equal(first["weights"][k], second["weights"][k])]
    for name, weight in first["weights"].items():
        torch.testing.assert_close(weight, whole["weights"][name], atol=1e-4, rtol=1e-4)
    assert first["weights"]["model.denoiser.patches.out.weight"].abs().max() > 1e-3  # it did learn


def test_validation_is_that_of_one_process(runs):
    """With five clips in batches of two, one rank has more batches than the other."""
    (whole,), ranks = runs["1"], runs["2"]
    for rank in ranks:
        for name, value in whole["metrics"].items():
            if name.startswith("val/loss") or "right" in name or "null" in name or "skill" in name:
                got = rank["metrics"][name]
                assert got == pytest.approx(value, rel=1e-3) or (math.isnan(got) and math.isnan(value)), name
