"""Guidance: how often, on what and in which order the denoiser is called, and what comes out."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from motion_lightning.diffusion.guidance import classifier_free, concat
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim, spaced


class Layer(NamedTuple):
    keys: Tensor
    values: Tensor


class Context(NamedTuple):
    pooled: Tensor
    layers: tuple[Layer, ...]
    extra: Tensor | None = None


def context(value, batch=3):
    full = torch.full((batch, 5), value)
    return Context(full, (Layer(full + 1, full + 2), Layer(full + 3, full + 4)))


COND, NULL = context(1.0), context(-1.0)


class Spy:
    """A prediction that depends on x, t and the context, and remembers its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, t, ctx):
        self.calls.append((x, t, ctx))
        return torch.tanh(x + ctx.pooled * t[:, None] / 100 + ctx.layers[1].values)


def test_contexts_join_along_the_batch_through_all_levels():
    both = concat(COND, NULL)
    assert type(both) is Context
    assert type(both.layers[0]) is Layer
    assert both.extra is None
    assert torch.equal(both.pooled[:, 0], torch.tensor([1.0, 1, 1, -1, -1, -1]))
    assert torch.equal(both.layers[1].values[:, 0], torch.tensor([5.0, 5, 5, 3, 3, 3]))


def test_context_and_mask_may_travel_as_a_plain_tuple():
    mask = torch.tensor([[True, False]])
    ctx, masks = concat((context(1.0, 1), mask), (context(-1.0, 1), mask))
    assert ctx.pooled.shape == (2, 5)
    assert masks.tolist() == [[True, False]] * 2


def test_one_doubled_call_a_step_condition_first():
    spy, x = Spy(), torch.randn(3, 5)
    ddim(classifier_free(spy, COND, NULL, 2.5), x, Process("cosine"), spaced(1000, 7))
    assert len(spy.calls) == 7
    for x_t, t, ctx in spy.calls:
        assert len(x_t) == len(t) == len(ctx.pooled) == 6
        assert torch.equal(x_t[:3], x_t[3:])
        assert (ctx.pooled[:3] == 1).all(), "the condition comes first"
        assert (ctx.pooled[3:] == -1).all()
        assert ctx is spy.calls[0][2], "joined once, not once a step"


@pytest.mark.parametrize("scale", [-0.5, 0.5, 2.5, 7.0])
def test_doubled_call_is_two_calls(scale):
    spy, x, t = Spy(), torch.randn(3, 5), torch.tensor([3, 500, 999])
    cond, null = spy(x, t, COND), spy(x, t, NULL)
    guided = classifier_free(spy, COND, NULL, scale)(x, t)
    torch.testing.assert_close(guided, null + scale * (cond - null), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("scale", "ctx"), [(1.0, COND), (0, NULL)])
def test_scales_one_and_zero_make_one_undoubled_call(scale, ctx):
    spy, x, t = Spy(), torch.randn(3, 5), torch.tensor([3, 500, 999])
    out = classifier_free(spy, COND, NULL, scale)(x, t)
    assert len(spy.calls) == 1
    assert len(spy.calls[0][0]) == 3
    assert spy.calls[0][2] is ctx
    assert torch.equal(out, Spy()(x, t, ctx))


@pytest.mark.parametrize("target", ["eps", "v"])
def test_guidance_of_x0_is_guidance_of_eps_and_v(target):
    process, t, scale = Process("linear"), torch.tensor([0, 400, 999]), 2.5
    x, cond, null = torch.randn(3, 3, 5, dtype=torch.float64)
    guided = classifier_free(lambda x, t, ctx: torch.cat([cond, null]), COND, NULL, scale)(x, t)
    as_target = [process.convert(value, "x0", target, x, t) for value in (cond, null)]
    expected = as_target[1] + scale * (as_target[0] - as_target[1])
    torch.testing.assert_close(process.convert(guided, "x0", target, x, t), expected, rtol=1e-9, atol=1e-9)
