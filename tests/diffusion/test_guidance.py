"""Guidance: how often, on what and in which order the denoiser is called, and what comes out."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from motion_lightning.diffusion.guidance import autoguided, classifier_free, concat, halves, rescaled, within
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim, ddpm, dpmpp, euler, heun, spaced
from motion_lightning.errors import UserError


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


def test_joined_contexts_come_apart_again():
    """Through empty tuples and what is None, too: a denoiser without text has nothing to split."""
    for first, second in [(COND, NULL), ((COND, ()), (NULL, ())), ((None, COND.pooled), (None, NULL.pooled))]:
        one, two = halves(concat(first, second))
        for got, want in ((one, first), (two, second)):
            assert type(got) is type(want)
            assert str(got) == str(want)


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


@pytest.mark.parametrize(("sampler", "calls"), [(ddpm, 7), (dpmpp, 7), (euler, 7), (heun, 13)])
def test_every_sampler_makes_one_doubled_call_an_evaluation(sampler, calls):
    spy = Spy()
    denoise = classifier_free(spy, COND, NULL, 2.5, rescale=0.7)
    sampler(denoise, torch.randn(3, 5), Process("cosine"), spaced(1000, 7), noise=torch.randn_like)
    assert [len(x) for x, _, _ in spy.calls] == [6] * calls
    assert all((ctx.pooled[:3] == 1).all() and (ctx.pooled[3:] == -1).all() for _, _, ctx in spy.calls)


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


@pytest.mark.parametrize(
    ("target", "schedule"), [("eps", "linear"), ("v", "linear"), ("v", "flow"), ("velocity", "flow")]
)
def test_guidance_of_x0_is_guidance_of_every_target(target, schedule):
    process, t, scale = Process(schedule), torch.tensor([0, 400, 999]), 2.5
    x, cond, null = torch.randn(3, 3, 5, dtype=torch.float64)
    guided = classifier_free(lambda x, t, ctx: torch.cat([cond, null]), COND, NULL, scale)(x, t)
    as_target = [process.convert(value, "x0", target, x, t) for value in (cond, null)]
    expected = as_target[1] + scale * (as_target[0] - as_target[1])
    torch.testing.assert_close(process.convert(guided, "x0", target, x, t), expected, rtol=1e-9, atol=1e-9)


def test_guidance_in_an_interval_of_sigma_calls_the_condition_alone_outside():
    spy, process, x = Spy(), Process("linear"), torch.randn(3, 5)
    guided = classifier_free(spy, COND, NULL, 2.5)
    denoise = within((0.3, 5.0), process, guided, lambda x, t: spy(x, t, COND))
    ddim(denoise, x, process, spaced(process, 20))
    sizes = {t[0].item(): len(x) for x, t, _ in spy.calls}
    inside = {t for t in sizes if 0.3 <= process.sigma(t) <= 5}
    assert 0 < len(inside) < 20 == len(spy.calls)
    assert all(size == (6 if t in inside else 3) for t, size in sizes.items())


def test_an_interval_of_everything_is_guidance_and_one_of_nothing_is_none():
    process, x = Process("flow", 50), torch.randn(3, 5)
    plain = lambda x, t: Spy()(x, t, COND)  # noqa: E731
    guided = classifier_free(Spy(), COND, NULL, 2.5)
    for interval, expected in [((0, float("inf")), guided), ((1e5, 1e6), plain)]:
        t = torch.full((3,), 20)
        assert torch.equal(within(interval, process, guided, plain)(x, t), expected(x, t))
    t = torch.full((3,), 49)  # pure noise: sigma is infinite, and that end is included
    assert torch.equal(within((0, float("inf")), process, guided, plain)(x, t), guided(x, t))


def test_rescaled_guidance_has_the_deviation_of_the_conditional_prediction():
    spy, x, t = Spy(), torch.randn(3, 5), torch.tensor([3, 500, 999])
    cond, guided = spy(x, t, COND), classifier_free(spy, COND, NULL, 7.0)(x, t)
    full = classifier_free(spy, COND, NULL, 7.0, rescale=1.0)(x, t)
    torch.testing.assert_close(full.std(1), cond.std(1))
    some = classifier_free(spy, COND, NULL, 7.0, rescale=0.7)(x, t)
    torch.testing.assert_close(some, 0.7 * full + 0.3 * guided)
    assert torch.equal(classifier_free(spy, COND, NULL, 7.0, rescale=0.0)(x, t), guided)


def test_rescaling_does_not_count_padding():
    guided, cond = torch.randn(2, 2, 9, 4)
    mask = torch.tensor([[True] * 9, [True] * 6 + [False] * 3])
    short = rescaled(guided[1:, :6], cond[1:, :6], 0.7)
    padded = torch.where(mask[..., None], guided, 100.0), torch.where(mask[..., None], cond, -3.0)
    torch.testing.assert_close(rescaled(*padded, 0.7, mask)[1:, :6], short)
    assert rescaled(torch.zeros(2, 9, 4), cond, 0.7, mask).isfinite().all()


def test_autoguidance_moves_away_from_the_weaker_model():
    """Each network with its own context, one undoubled call of each a step; at scale 1 the weaker one rests."""
    spy, weak, x, t = Spy(), Spy(), torch.randn(3, 5), torch.tensor([3, 500, 999])
    other = context(0.3)
    out = autoguided(spy, weak, COND, other, 1.8)(x, t)
    good, bad = Spy()(x, t, COND), Spy()(x, t, other)
    torch.testing.assert_close(out, bad + 1.8 * (good - bad))
    assert len(spy.calls) == len(weak.calls) == 1
    assert len(spy.calls[0][0]) == 3 and spy.calls[0][2] is COND and weak.calls[0][2] is other
    assert torch.equal(autoguided(spy, weak, COND, other, 1)(x, t), good)
    assert len(weak.calls) == 1


def test_bad_input_is_explained():
    with pytest.raises(UserError, match="share of 0"):
        classifier_free(Spy(), COND, NULL, 2.0, rescale=1.5)
    for interval in [(2.0, 1.0), (-1.0, 1.0), (1.0, 1.0)]:
        with pytest.raises(UserError, match="two rising numbers"):
            within(interval, Process("cosine"), Spy(), Spy())
