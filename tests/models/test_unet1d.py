"""The UNet over time: any length, and nothing that padding could change."""

import pytest
import torch
import torch.nn.functional as F

from motion_lightning.errors import UserError
from motion_lightning.models.unet1d import Conv, FrameNorm, Grow, UNet1d
from motion_lightning.text.condition import TextCond

B, T, D, L, E = 3, 16, 6, 5, 8
NONE = torch.zeros(B, dtype=torch.bool)


def frames_mask(*lengths: int, total: int = T) -> torch.Tensor:
    return torch.arange(total) < torch.tensor(lengths)[:, None]


@pytest.fixture
def cond() -> TextCond:
    torch.manual_seed(1)
    return TextCond(torch.randn(B, L, E), frames_mask(5, 3, 1, total=L), torch.randn(B, E))


@pytest.fixture
def batch() -> tuple:
    torch.manual_seed(2)
    return torch.randn(B, T, D), torch.tensor([3, 50, 97]), frames_mask(16, 9, 6)


def make(**options) -> UNet1d:
    torch.manual_seed(0)
    return UNet1d(D, E, **{"width": 16, "multiples": (1, 2), "cond_width": 32, "heads": 2, **options})


def test_starts_at_zero_with_convolutions_that_add_nothing(cond, batch):
    model, (x, t, mask) = make(), batch
    with torch.no_grad():
        assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))
        ctx = model.encode(cond, mask, NONE)
        assert torch.equal(model(x, t, ctx, mask), torch.zeros(B, T, D))
        block, h = model.down[0][0], torch.randn(B, T, 16)
        text = block.text(block.text_norm(h), ctx.kv[0], ctx.mask)
        torch.testing.assert_close(block(h, torch.randn(B, 32), ctx.kv[0], ctx.mask, mask), h + text)


@pytest.mark.parametrize("blocks", [1, 2])
def test_every_parameter_gets_a_gradient_in_a_mixed_batch(cond, batch, randomise, blocks):
    drop, (x, t, mask) = torch.tensor([True, False, False]), batch
    fresh, model = make(blocks=blocks), randomise(make(blocks=blocks))
    for one, dropped in [(fresh, drop), (fresh, ~NONE), (fresh, NONE), (model, drop)]:
        one.zero_grad()
        one(x, t, one.encode(cond, mask, dropped), mask).square().sum().backward()
        assert not [name for name, p in one.named_parameters() if p.grad is None]
    assert not [name for name, p in model.named_parameters() if not p.grad.any()]


def test_keys_and_values_come_in_the_order_of_their_use(cond, batch, randomise):
    """A context whose keys are swapped among blocks of one width would pass unseen: here each block has its own."""
    model, (x, t, mask) = randomise(make(multiples=(1, 1), blocks=2)), batch
    used = []
    for i, block in enumerate(model.blocks()):
        block.register_forward_hook(lambda *_, i=i: used.append(i))
    with torch.no_grad():
        model(x, t, model.encode(cond, mask, NONE), mask)
    assert used == list(range(len(used))) and len(used) == 10


def test_nulls_are_learned_where_the_text_is_dropped(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    for dropped, learns in [(NONE, False), (torch.tensor([False, True, False]), True)]:
        model.zero_grad()
        model(x, t, model.encode(cond, mask, dropped), mask).square().sum().backward()
        for name in ("null_token", "null_pooled"):
            assert bool(model.get_parameter(name).grad.any()) == learns


def test_the_null_forgets_the_text_of_its_own_sample_only(cond, batch, randomise):
    """Also how many words it had."""
    model, (x, t, mask) = randomise(make()), batch
    other = TextCond(cond.tokens + 1, cond.mask.flip(0), cond.pooled - 1)
    drop = torch.tensor([True, True, False])
    with torch.no_grad():
        one, two = (model(x, t, model.encode(c, mask, drop), mask) for c in (cond, other))
        kept = model(x, t, model.encode(cond, mask, NONE), mask)
    torch.testing.assert_close(one[:2], two[:2])
    torch.testing.assert_close(one[2], kept[2])
    assert (one[2] - two[2]).abs().max() > 1e-3


def test_the_null_has_the_scale_of_normalised_tokens(cond):
    torch.manual_seed(0)
    model = UNet1d(D, E, cond_width=256)
    words = model.words_norm(model.words(cond.tokens))
    assert (model.null_token.std() / words.std()).item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("length", [1, 2, 5, 7, 8, 13])
@pytest.mark.parametrize("kernel", [3, 5])
def test_frame_padding_changes_nothing_at_any_length(cond, randomise, length, kernel):
    model = randomise(make(kernel=kernel))
    torch.manual_seed(3)
    x, t = torch.randn(B, length, D), torch.tensor([3, 50, 97])
    mask = torch.ones(B, length, dtype=torch.bool)
    with torch.no_grad():
        want = model(x, t, model.encode(cond, mask, NONE), mask)
        assert want.shape == x.shape
        for more in (1, 3, 12):
            padded, wider = torch.cat([x, torch.full((B, more, D), 5.0)], 1), F.pad(mask, (0, more))
            got = model(padded, t, model.encode(cond, wider, NONE), wider)[:, :length]
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_text_padding_changes_nothing(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    junk = torch.full((B, 4, E), 7.0)
    padded = TextCond(torch.cat([cond.tokens, junk], 1), F.pad(cond.mask, (0, 4)), cond.pooled)
    garbled = TextCond(torch.where(cond.mask[..., None], cond.tokens, 9.0), cond.mask, cond.pooled)
    with torch.no_grad():
        want = model(x, t, model.encode(cond, mask, NONE), mask)
        for other in (padded, garbled):
            torch.testing.assert_close(model(x, t, model.encode(other, mask, NONE), mask), want)


def test_neighbours_in_the_batch_change_nothing(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    with torch.no_grad():
        together = model(x, t, model.encode(cond, mask, NONE), mask)
        for i, n in enumerate(mask.sum(1).tolist()):
            ctx = model.encode(TextCond(*(value[i : i + 1] for value in cond)), mask[i : i + 1, :n], NONE[:1])
            alone = model(x[i : i + 1, :n], t[i : i + 1], ctx, mask[i : i + 1, :n])
            torch.testing.assert_close(alone[0], together[i, :n], rtol=1e-4, atol=1e-5)


def test_time_words_their_order_and_the_whole_text_matter(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    turned = cond._replace(tokens=cond.tokens.clone())
    turned.tokens[0] = cond.tokens[0].flip(0)
    others = (turned, cond._replace(tokens=cond.tokens.flip(0)), cond._replace(pooled=cond.pooled.flip(0)))
    with torch.no_grad():
        ctx = model.encode(cond, mask, NONE)
        base = model(x, t, ctx, mask)
        assert (model(x, t + 1, ctx, mask) - base).abs().max() > 1e-4
        for other in others:
            assert (model(x, t, model.encode(other, mask, NONE), mask) - base)[0].abs().max() > 1e-3


def test_a_frame_knows_where_it_is(cond, randomise):
    """Of equal frames the middle ones look alike to convolutions."""
    model = randomise(make())
    x, mask, t = torch.ones(1, 64, D), torch.ones(1, 64, dtype=torch.bool), torch.tensor([5])
    with torch.no_grad():
        y = model(x, t, model.encode(TextCond(*(part[:1] for part in cond)), mask, NONE[:1]), mask)
    assert (y[:, 28] - y[:, 32]).abs().max() > 1e-3


def test_a_level_sees_all_of_the_finer_one(cond, randomise):
    """Every valid frame reaches every output through the skips and the coarse levels, and none from beyond the mask."""
    model = randomise(make(multiples=(1, 1, 1)))
    x, mask, t = torch.randn(1, 13, D), frames_mask(9, total=13), torch.tensor([5])
    x.requires_grad_()
    ctx = model.encode(TextCond(*(part[:1] for part in cond)), mask, NONE[:1])
    for frame in (0, 8):
        (grad,) = torch.autograd.grad(model(x, t, ctx, mask)[0, frame].sum(), x)
        assert grad[0, :9].abs().amax(-1).min() > 0 and not grad[0, 9:].any()


def test_convolutions_halve_and_double_the_frames():
    torch.manual_seed(0)
    shrink, grow, mask = Conv(D, 4, 3, stride=2, padding=1), Grow(4, D), frames_mask(16, 9, 6)
    h = shrink(torch.randn(B, T, D), mask)
    assert h.shape == (B, T // 2, 4) and grow(h, mask[:, ::2]).shape == (B, T, D)
    bare = h - shrink.bias
    assert not bare[2, 4:].any() and bare[2, 3].any()  # frame 3 of the coarse ones still sees frame 5


def test_norms_stay_within_a_frame():
    torch.manual_seed(0)
    h = torch.randn(B, T, 16)
    torch.testing.assert_close(FrameNorm(8, 16)(h)[:, 3:4], FrameNorm(8, 16)(h[:, 3:4]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 20}, "20 channels"),
        ({"multiples": (1, 1.3)}, "multiples"),
        ({"multiples": ()}, "hold a level"),
        ({"kernel": 4}, "kernel=4"),
        ({"blocks": 0}, "blocks=0"),
        ({"cond_width": 30}, "cond_width=30"),
    ],
)
def test_bad_sizes_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        make(**options)
