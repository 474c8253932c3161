"""Pose → video: the pose is heard, stays when the text is dropped, and with a branch adds nothing at the start."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from motion_lightning.data.signs.skeleton_maps import PairCond
from motion_lightning.errors import UserError
from motion_lightning.models.pose2video import Pose2Video
from motion_lightning.text.condition import TextCond

B, T, C, SIZE, L, E = 2, 4, 3, 16, 5, 8
NONE = torch.zeros(B, dtype=torch.bool)
MASK = torch.ones(B, T, dtype=torch.bool)


@pytest.fixture
def cond() -> PairCond:
    torch.manual_seed(1)
    text = TextCond(torch.randn(B, L, E), torch.arange(L) < torch.tensor([[5], [3]]), torch.randn(B, E))
    return PairCond(text, torch.rand(B, T, 3, SIZE, SIZE) * 2 - 1)


@pytest.fixture
def noisy() -> tuple:
    torch.manual_seed(2)
    return torch.randn(B, T, C, SIZE, SIZE), torch.tensor([3.0, 97.0])


def make(branch: int = 1, **options) -> Pose2Video:
    torch.manual_seed(0)
    return Pose2Video(C, SIZE, T, E, branch=branch, **{"width": 32, "pairs": 1, "heads": 2, "readers": 1, **options})


@pytest.mark.parametrize("branch", [0, 1])
def test_another_pose_makes_another_video(cond, noisy, randomise, branch):
    """And not another outline, which stays that of the text."""
    model = randomise(make(branch)).eval()
    one, other = (model.encode(cond._replace(pose=pose), MASK, NONE) for pose in (cond.pose, cond.pose.flip(-1)))
    a, b = (model(*noisy, ctx, MASK) for ctx in (one, other))
    assert a.shape == (B, T, C, SIZE, SIZE)
    assert (a - b).abs().mean() > 0.01 * a.abs().mean()
    assert one.outline.any() and torch.equal(one.outline, other.outline)


@pytest.mark.parametrize("branch", [0, 1])
def test_the_null_knows_neither_text_nor_pose(cond, noisy, randomise, branch):
    model = randomise(make(branch)).eval()

    def output(one: PairCond, drop=~NONE) -> torch.Tensor:
        return model(*noisy, model.encode(one, MASK, drop), MASK)

    other = cond._replace(text=cond.text._replace(tokens=-cond.text.tokens, pooled=-cond.text.pooled))
    for changed in (other, cond._replace(pose=-cond.pose)):
        torch.testing.assert_close(output(changed), output(cond))
        assert not torch.allclose(output(changed, NONE), output(cond, NONE), rtol=0.01)
    assert not torch.allclose(output(cond), output(cond, NONE), rtol=0.01)
    assert set(model.drops) == set(cond._fields)


def test_without_a_branch_it_is_the_first_layer_on_concatenated_channels(cond, noisy, randomise):
    """The part of the pose is computed once, in ``encode``, since it does not depend on x_t."""
    model, (x, _) = randomise(make(0)), noisy
    inp = model.video.features.inp
    whole = nn.Conv3d(C + 3, 32, inp.kernel_size, inp.stride)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([inp.weight, model.pose.weight], 1))
        whole.bias.copy_(inp.bias + model.pose.bias)
        expected = whole(torch.cat([x, cond.pose], 2).transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)
        with_pose, alone = model.encode(cond, MASK, NONE), model.video.encode(cond.text, MASK, NONE)
        torch.testing.assert_close(model.video.features.embed(x) + with_pose.plan - alone.plan, expected)


def test_a_branch_adds_nothing_at_the_start_and_then_learns(cond, noisy):
    model = make(1)
    ctx, alone = model.encode(cond, MASK, NONE), model.video.encode(cond.text, MASK, NONE)
    torch.testing.assert_close(ctx.plan, alone.plan)
    nn.init.normal_(model.video.features.out.weight)  # else nothing comes out yet
    model(*noisy, model.encode(cond, MASK, NONE), MASK).square().mean().backward()
    assert model.join.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("branch", [0, 2])
def test_every_parameter_is_in_every_graph(cond, noisy, branch):
    for drop in (NONE, ~NONE, torch.tensor([True, False])):
        model = make(branch)
        ctx = model.encode(cond, MASK, drop)
        (model(*noisy, ctx, MASK).square().mean() + ctx.outline.square().mean()).backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]


@pytest.mark.parametrize("branch", [0, 1])
def test_padding_changes_nothing(cond, noisy, randomise, branch):
    model, (x, t) = randomise(make(branch)).eval(), noisy
    longer = 4
    mask = F.pad(MASK, (0, longer))
    rest = (0, 0) * 3
    expected = model(x, t, model.encode(cond, MASK, NONE), MASK)
    padded = F.pad(x, (*rest, 0, longer), value=9.0)
    for pose in (cond.pose, F.pad(cond.pose, (*rest, 0, longer), value=-1.0)):
        output = model(padded, t, model.encode(cond._replace(pose=pose), mask, NONE), mask)
        torch.testing.assert_close(output[:, :T], expected, atol=1e-4, rtol=1e-4)


def test_contexts_concatenate_for_guidance(cond, noisy, randomise):
    model, (x, t) = randomise(make()).eval(), noisy
    right, null = (model.encode(cond, MASK, drop) for drop in (NONE, ~NONE))
    both = type(right)(*(torch.cat(parts) for parts in zip(right, null, strict=True)))
    doubled = model(torch.cat([x, x]), torch.cat([t, t]), both, torch.cat([MASK, MASK]))
    torch.testing.assert_close(doubled[:B], model(x, t, right, MASK), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(doubled[B:], model(x, t, null, MASK), atol=1e-5, rtol=1e-4)


def test_pictures_that_cannot_be_cut_into_squares_are_refused():
    with pytest.raises(UserError, match="no multiple"):
        Pose2Video(C, SIZE + 3, T, E, width=32, heads=2)
