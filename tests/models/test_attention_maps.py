"""Attention to the text: recorded on demand, of the conditional half only."""

import pytest
import torch

from motion_lightning.diffusion.guidance import classifier_free
from motion_lightning.models.attention_maps import recorded_attention
from motion_lightning.models.unet import PoseUNet
from motion_lightning.text.condition import TextCond

E, B, L = 8, 3, 6
MASK = torch.ones(B, 1, dtype=torch.bool)
X, T = torch.randn(B, 1, 63, generator=torch.Generator().manual_seed(0)), torch.full((B,), 5.0)


@pytest.fixture
def model(randomise) -> PoseUNet:
    return randomise(PoseUNet(63, 22, E, width=16, cond_width=32))


@pytest.fixture
def cond() -> TextCond:
    mask = torch.arange(L) < torch.tensor([L, 4, 2])[:, None]
    return TextCond(torch.randn(B, L, E) * mask[..., None], mask, torch.randn(B, E))


def contexts(model, cond):
    return tuple(model.encode(cond, MASK, torch.full((B,), drop)) for drop in (False, True))


def test_of_a_guided_step_the_conditional_half_is_kept(model, cond):
    """As if there were no null half, in whatever order the halves come."""
    right, null = contexts(model, cond)
    with recorded_attention(model) as alone:
        model(X, T, right, MASK)

    def predict(x, t, ctx):
        return model(x, t, ctx, torch.cat([MASK, MASK]))

    for first, second in [(right, null), (null, right)]:
        with recorded_attention(model) as guided:
            classifier_free(predict, first, second, 2.0)(X, T)
        assert len(guided) == 1 and guided[0].shape == (B, len(model.blocks), 22, L)
        torch.testing.assert_close(guided[0], alone[0])


def test_a_null_pass_leaves_nothing(model, cond):
    with recorded_attention(model) as maps:
        model(X, T, contexts(model, cond)[1], MASK)
    assert maps == []


def test_each_joint_shares_its_attention_among_the_words(model, cond):
    with recorded_attention(model) as maps:
        model(X, T, contexts(model, cond)[0], MASK)
        model(X, T, contexts(model, cond)[0], MASK)
    assert len(maps) == 2
    torch.testing.assert_close(maps[0].sum(-1), torch.ones(B, len(model.blocks), 22))
    assert not maps[0].movedim(0, -2)[..., ~cond.mask].any() and maps[0].std(-2)[0].max() > 1e-4


def test_one_key_gives_constant_maps(randomise, cond):
    model = randomise(PoseUNet(63, 22, E, width=16, cond_width=32, text="pooled"))
    with recorded_attention(model) as maps:
        model(X, T, contexts(model, cond)[0], MASK)
    assert torch.equal(maps[0], torch.ones(B, len(model.blocks), 22, 1))


def test_nothing_is_stored_and_nothing_hooked_when_off(model, cond):
    right, _ = contexts(model, cond)
    before = model(X, T, right, MASK)
    with recorded_attention(model):
        watched = model(X, T, right, MASK)
    assert torch.equal(before, watched)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    with pytest.raises(ZeroDivisionError), recorded_attention(model):
        1 / 0  # noqa: B018
    assert not any(module._forward_hooks for module in model.modules())
