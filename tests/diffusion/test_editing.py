"""Edits: what is known stays known, lengths are respected, and the rest moves towards the conditional distribution."""

import pytest
import torch

from motion_lightning.diffusion.editing import inpaint, keyframes, outside
from motion_lightning.diffusion.guidance import classifier_free
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim, ddpm, dpmpp, euler, heun, spaced
from motion_lightning.errors import UserError

MASK = torch.tensor([[True] * 12, [True] * 8 + [False] * 4])
T = 12


@pytest.mark.parametrize("sampler", [ddpm, ddim, euler, heun, dpmpp])
@pytest.mark.parametrize("schedule", ["linear", "flow"])
def test_what_is_known_comes_out_exactly_and_the_rest_is_sampled(sampler, schedule):
    process, known = Process(schedule), torch.randn(2, T, 3)
    where = outside(MASK)
    denoise = inpaint(lambda x, t: torch.tanh(x), known, where)
    x = sampler(denoise, torch.randn(2, T, 3), process, spaced(process, 10), noise=torch.randn_like)
    assert torch.equal(x[where], known[where])
    assert (x[~where] != known[~where]).all()


def test_known_x_t_is_a_noised_known_on_the_way():
    """No second replacement is needed: under DDIM, x_t of what is known is a known + s eps, with one eps."""
    process, known, seen = Process("linear"), torch.randn(1, T, 2).double(), []
    denoise = inpaint(lambda x, t: seen.append((x, t[0])) or 0 * x, known, torch.ones(1, T, dtype=torch.bool))
    x_T = torch.randn(1, T, 2).double()
    ddim(denoise, x_T, process, spaced(process, 10))
    eps = process.convert(known, "x0", "eps", x_T, 999)
    for x, t in seen:
        torch.testing.assert_close(x, process.noise(known, t, eps), rtol=0, atol=1e-10)


def test_body_parts_are_columns_and_guidance_does_not_bend_what_is_known():
    known, upper = torch.randn(2, T, 4), torch.tensor([False, True, False, True])
    ctx = torch.ones(2, 1, 1), MASK
    guided = classifier_free(lambda x, t, ctx: x * ctx[0], ctx, (-ctx[0], MASK), 3.0)
    x = torch.randn(2, T, 4)
    x0 = inpaint(guided, known, MASK[..., None] & upper)(x, torch.zeros(2).long())
    assert torch.equal(x0[..., upper][MASK], known[..., upper][MASK])
    assert torch.equal(x0[..., ~upper], guided(x, torch.zeros(2).long())[..., ~upper])
    assert torch.equal(x0[1, 8:], guided(x, torch.zeros(2).long())[1, 8:])


def test_a_mask_of_frames_edits_pictures():
    known, frames = torch.zeros(2, T, 3, 4, 4), keyframes(MASK, [0])
    x0 = inpaint(lambda x, t: x, known, frames)(torch.ones(2, T, 3, 4, 4), torch.zeros(2).long())
    assert (x0[:, 0] == 0).all() and (x0[:, 1:] == 1).all()


def test_masks_respect_the_length_of_each_clip():
    frames = keyframes(MASK, [0, 3, -1])
    assert [row.nonzero().flatten().tolist() for row in frames] == [[0, 3, 11], [0, 3, 7]]
    between = outside(MASK, 0.25, 0.75)
    assert [row.nonzero().flatten().tolist() for row in between] == [[0, 1, 2, 9, 10, 11], [0, 1, 6, 7]]
    future = outside(MASK, 0.5, 1)
    assert [row.sum().item() for row in future] == [6, 4]
    assert not (outside(MASK, 0, 1).any() or (outside(MASK, 0.5, 0.5) != MASK).any())


def test_bad_masks_are_explained():
    for frames in ([8], [-9], [0, 20]):
        with pytest.raises(UserError, match="8 to 12 frames"):
            keyframes(MASK, frames)
    for shares in ((0.6, 0.5), (-0.1, 0.5), (0.5, 1.1)):
        with pytest.raises(UserError, match="rising shares"):
            outside(MASK, *shares)


def test_repeated_steps_bring_the_rest_to_the_conditional_mean():
    """Of a Gaussian, in closed form: without repeats a third of the way is missing, however many steps there are."""
    torch.manual_seed(0)
    process, draws = Process("linear"), 4000
    covariance = 0.95 ** (torch.arange(T)[:, None] - torch.arange(T)).abs().double()
    known = torch.zeros(T, dtype=torch.bool).index_fill(0, torch.tensor([0, 1, 10, 11]), True)
    truth = torch.linalg.cholesky(covariance) @ torch.randn(T, dtype=torch.float64)
    gain = covariance[~known][:, known] @ torch.linalg.inv(covariance[known][:, known])
    mean = gain @ truth[known]
    spread = (covariance[~known][:, ~known] - gain @ covariance[known][:, ~known]).trace()

    def ideal(x, t):
        a, s = process.a(t[0]), process.s(t[0])
        return x @ (a * covariance @ torch.linalg.inv(a**2 * covariance + s**2 * torch.eye(T)))

    def distance(n, repeats):
        denoise = inpaint(ideal, truth.expand(draws, T), known.expand(draws, T))
        x = torch.randn(draws, T, dtype=torch.float64)
        x = ddpm(denoise, x, process, spaced(process, n), torch.randn_like, repeats=repeats)[:, ~known]
        return (x.mean(0) - mean).square().mean().sqrt().item(), (x.var(0).sum() / spread).item()

    once, many, again = distance(50, 1), distance(250, 1), distance(50, 5)
    assert once[0] > 0.2 and once[1] > 1.8
    assert many[0] > 0.2 and many[1] > 1.8
    assert again[0] < 0.07 and 0.8 < again[1] < 1.1
