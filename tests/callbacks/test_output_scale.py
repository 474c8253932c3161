"""The alarm of a learned output scale."""

import logging
from types import SimpleNamespace

import pytest
import torch

from motion_lightning.callbacks.output_scale import WatchOutputScale


@pytest.fixture
def watch():
    """Runs the callback's hook at the given values of the scale; returns what was logged and the last value."""

    def watch(callback: WatchOutputScale, *values: float) -> tuple[list[float], float]:
        scale, logged = torch.nn.Parameter(torch.tensor(0.5)), []
        module = SimpleNamespace(
            model=SimpleNamespace(denoiser=SimpleNamespace(output_scale=scale)),
            log=lambda name, value: logged.append(float(value)),
        )
        for step, value in enumerate(values):
            scale.data.fill_(value)
            callback.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, step)
        return logged, scale.item()

    return watch


def test_alarm_where_the_scale_leaves_its_bounds_once_each_time(watch, caplog):
    with caplog.at_level(logging.WARNING):
        logged, last = watch(WatchOutputScale(), 0.5, 0.09, 0.05, 0.2, 11.0, -3.0, 1.0)
    assert logged == pytest.approx([0.5, 0.09, 0.05, 0.2, 11.0, -3.0, 1.0]) and last == 1.0
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in said] == ["step 1", "step 4"]
    assert "suppressed" in said[0] and "explodes" in said[1]


def test_no_alarm_within_bounds(watch, caplog):
    watch(WatchOutputScale(), 0.1, 0.5, 2.0, 10.0)
    assert not caplog.records


def test_clamp_puts_it_back(watch):
    assert watch(WatchOutputScale(clamp=True), 0.01)[1] == pytest.approx(0.1)
    assert watch(WatchOutputScale(clamp=True), 55.0)[1] == pytest.approx(10.0)


def test_a_denoiser_without_one_is_left_alone():
    for denoiser in (torch.nn.Identity(), SimpleNamespace(output_scale=torch.nn.Linear(2, 1))):
        module = SimpleNamespace(model=SimpleNamespace(denoiser=denoiser))
        WatchOutputScale().on_train_batch_end(SimpleNamespace(global_step=0), module, None, None, 0)
