"""The motion DiT and its layers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from motion_lightning.errors import UserError
from motion_lightning.models.dit import DiT
from motion_lightning.models.layers import CrossAttention, Patches, attend, heads, sinusoid
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


def make(**options) -> DiT:
    torch.manual_seed(0)
    return DiT(D, E, **{"width": 32, "depth": 2, "heads": 2, **options})


def test_starts_as_identity_blocks_and_zero_output(cond, batch):
    model, (x, t, mask) = make(), batch
    with torch.no_grad():
        for bias in (p for name, p in model.named_parameters() if name.endswith("bias")):
            assert not bias.any()
        ctx = model.encode(cond, mask, NONE)
        h, c = torch.randn(B, T, 32), torch.randn(B, 32)
        for block in model.blocks:
            assert torch.equal(block(h, c, mask), h)
        assert torch.equal(model(x, t, ctx, mask), torch.zeros(B, T, D))
        assert torch.equal(ctx.outline, torch.zeros(B, T, D))


def test_every_parameter_gets_a_gradient_in_a_mixed_batch(cond, batch, randomise):
    """Of a fresh model too there is a gradient for each, if zero: DDP waits for all of them."""
    drop = torch.tensor([True, False, False])
    for model, dropped in [(make(), drop), (make(), ~NONE), (make(), NONE), (randomise(make()), drop)]:
        x, t, mask = batch
        ctx = model.encode(cond, mask, dropped)
        (model(x, t, ctx, mask).square().sum() + ctx.outline.square().sum()).backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]
    assert not [name for name, p in model.named_parameters() if not p.grad.any()]  # of the last, random one


def test_nulls_are_learned_where_the_text_is_dropped(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    nulls = {"words.null_token", "null_pooled"}
    assert nulls <= dict(model.named_parameters()).keys()
    for dropped, learns in [(NONE, False), (torch.tensor([False, True, False]), True)]:
        model.zero_grad()
        model(x, t, model.encode(cond, mask, dropped), mask).square().sum().backward()
        for name in nulls:
            assert bool(model.get_parameter(name).grad.any()) == learns


def test_null_forgets_the_text_of_its_own_sample_only(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    other = TextCond(cond.tokens + 1, cond.mask.roll(1, 0), cond.pooled - 1)  # of another length, too
    assert not torch.equal(other.mask[1], cond.mask[1])
    drop = torch.tensor([False, True, False])
    with torch.no_grad():
        one, two = (model(x, t, model.encode(c, mask, drop), mask) for c in (cond, other))
        kept = model(x, t, model.encode(cond, mask, NONE), mask)
    torch.testing.assert_close(one[1], two[1])
    for i in (0, 2):
        torch.testing.assert_close(one[i], kept[i])
        assert (one[i] - two[i]).abs().max() > 1e-3


def test_null_has_the_scale_of_normalised_tokens(cond):
    """In front of a LayerNorm a small null would get an amplified gradient; here it comes after it."""
    torch.manual_seed(0)
    model = DiT(D, E, width=256, depth=1, heads=2)
    tokens = model.words.norm(model.words.inp(cond.tokens))
    assert (model.words.null_token.std() / tokens.std()).item() == pytest.approx(1, abs=0.15)


def test_text_padding_changes_nothing(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    junk = torch.full((B, 4, E), 7.0)
    padded = TextCond(torch.cat([cond.tokens, junk], 1), F.pad(cond.mask, (0, 4)), cond.pooled)
    garbled = TextCond(torch.where(cond.mask[..., None], cond.tokens, 9.0), cond.mask, cond.pooled)
    with torch.no_grad():
        want = model(x, t, model.encode(cond, mask, NONE), mask)
        for other in (padded, garbled):
            torch.testing.assert_close(model(x, t, model.encode(other, mask, NONE), mask), want)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize(("length", "patch"), [(8, 4), (9, 4), (6, 3), (5, 1)])
def test_frame_padding_changes_nothing(cond, randomise, overlap, length, patch):
    model = randomise(make(patch=patch, overlap=overlap))
    torch.manual_seed(3)
    x, t = torch.randn(B, length, D), torch.tensor([3, 50, 97])
    with torch.no_grad():
        mask = torch.ones(B, length, dtype=torch.bool)
        ctx = model.encode(cond, mask, NONE)
        want = model(x, t, ctx, mask)
        assert want.shape == x.shape
        for more in (1, 3, 11):
            padded, wider = torch.cat([x, torch.full((B, more, D), 5.0)], 1), F.pad(mask, (0, more))
            longer = model.encode(cond, wider, NONE)
            torch.testing.assert_close(model(padded, t, longer, wider)[:, :length], want)
            torch.testing.assert_close(longer.outline, F.pad(ctx.outline, (0, 0, 0, more)))


def test_neighbours_in_the_batch_change_nothing(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    with torch.no_grad():
        together = model(x, t, model.encode(cond, mask, NONE), mask)
        for i, n in enumerate(mask.sum(1).tolist()):
            part = TextCond(*(value[i : i + 1] for value in cond))
            ctx = model.encode(part, mask[i : i + 1, :n], NONE[:1])
            alone = model(x[i : i + 1, :n], t[i : i + 1], ctx, mask[i : i + 1, :n])
            torch.testing.assert_close(alone[0], together[i, :n])


def test_order_of_frames_matters(cond, batch, randomise):
    """Not only which frames there are: without positions the tokens' permutation would carry over."""
    model, (x, t, _) = randomise(make(patch=1, overlap=False)), batch
    mask, order = torch.ones(B, T, dtype=torch.bool), torch.randperm(T)
    with torch.no_grad():
        ctx = model.encode(cond, mask, NONE)
        permuted, straight = model(x[:, order], t, ctx, mask), model(x, t, ctx, mask)
    assert (permuted - straight[:, order]).abs().max() > 1e-2


def test_time_and_text_matter(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    with torch.no_grad():
        ctx = model.encode(cond, mask, NONE)
        base = model(x, t, ctx, mask)
        assert (model(x, t + 1, ctx, mask) - base).abs().max() > 1e-4
        only_tokens = cond._replace(tokens=cond.tokens.flip(0))
        only_pooled = cond._replace(pooled=cond.pooled.flip(0))
        for other in (only_tokens, only_pooled):
            assert (model(x, t, model.encode(other, mask, NONE), mask) - base).abs().max() > 1e-3


def test_context_made_once_serves_every_step(cond, batch, randomise):
    model, (x, _, mask) = randomise(make()), batch
    with torch.no_grad():
        once = model.encode(cond, mask, NONE)
        for step in (0, 10, 99):
            t = torch.full((B,), step)
            assert torch.equal(model(x, t, once, mask), model(x, t, model.encode(cond, mask, NONE), mask))


def test_the_outline_knows_text_and_length_alone(cond, batch, randomise):
    """It is there before any x_t; other words, another length or the null give another one."""
    model, (_, _, mask) = randomise(make()), batch
    shorter, null = frames_mask(12, 9, 6), torch.tensor([False, True, False])
    with torch.no_grad():
        outline = model.encode(cond, mask, NONE).outline
        assert outline.shape == (B, T, D) and not outline[~mask].any()
        turned = model.encode(cond._replace(tokens=cond.tokens.flip(0), mask=cond.mask.flip(0)), mask, NONE).outline
        assert (turned - outline)[0].abs().max() > 1e-3
        cut = model.encode(cond, shorter, NONE).outline
        assert (cut - outline)[0, :8].abs().max() > 1e-3
        torch.testing.assert_close(cut[1:], outline[1:])
        dropped = model.encode(cond, mask, null).outline
        assert (dropped - outline)[1].abs().max() > 1e-3
        torch.testing.assert_close(dropped[[0, 2]], outline[[0, 2]])


def test_order_of_words_matters(cond, batch, randomise):
    """The encoder's tokens carry little of their place: "a, then b" must not read as "b, then a"."""
    model, (_, _, mask) = randomise(make()), batch
    turned = cond._replace(tokens=cond.tokens.clone())
    turned.tokens[0] = cond.tokens[0].flip(0)
    with torch.no_grad():
        assert (model.encode(turned, mask, NONE).plan - model.encode(cond, mask, NONE).plan)[0].abs().max() > 1e-3


def test_a_model_without_readers_is_refused():
    with pytest.raises(UserError, match="readers=0"):
        make(readers=0)


@pytest.mark.parametrize("overlap", [True, False])
def test_patches_have_a_token_for_every_patch(overlap):
    patches = Patches(D, 32, patch=4, overlap=overlap)
    tokens = patches.embed(torch.randn(B, T, D))
    assert tokens.shape == (B, T // 4, 32)
    assert patches.unembed(tokens, torch.ones(B, T // 4, dtype=torch.bool)).shape == (B, T, D)


@pytest.mark.parametrize("patch", [1, 3, 4])
@pytest.mark.parametrize("overlap", [True, False])
def test_patches_write_where_they_read(patch, overlap):
    """With the identity for weights every frame comes back, as often as tokens cover it."""
    count = 5
    patches = Patches(D, 2 * patch * D if overlap else patch * D, patch, overlap)
    for layer in (patches.inp, patches.out):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    x = torch.randn(B, count * patch, D)
    valid = torch.ones(B, count, dtype=torch.bool)
    before, after = patches.margin
    cover = torch.full((count * patch,), 2.0 if overlap else 1.0)
    if overlap:  # the first frames have no token before them, nor the last ones one after them
        cover[: patch - before] = 1
        cover[len(cover) - (patch - after) :] = 1
    with torch.no_grad():
        tokens = patches.embed(x)
        torch.testing.assert_close(patches.unembed(tokens, valid), x * cover[:, None])
        span = patches.unembed(tokens, F.one_hot(torch.tensor([2] * B), count).bool())
    written = torch.zeros(count * patch)
    written[2 * patch - before : 2 * patch - before + patches.span] = 1
    torch.testing.assert_close(span, x * written[:, None])


def test_attention_equals_torch():
    torch.manual_seed(0)
    q, k, v = torch.randn(B, 2, 7, 8), torch.randn(B, 2, L, 8), torch.randn(B, 2, L, 8)
    mask = frames_mask(5, 3, 1, total=L)
    torch.testing.assert_close(
        attend(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
    )
    halves = [part.bfloat16() for part in (q, k, v)]  # on a CPU by another way
    torch.testing.assert_close(attend(*halves, mask).float(), attend(q, k, v, mask), atol=0.03, rtol=0.03)


def test_text_mask_hides_keys_and_values():
    torch.manual_seed(0)
    cross, x, kv = CrossAttention(16, 2), torch.randn(B, 7, 16), torch.randn(B, L, 32)
    mask = frames_mask(5, 3, 1, total=L)
    with torch.no_grad():
        got = cross(x, kv, mask)
        for i, n in enumerate((5, 3, 1)):
            short = cross(x[i : i + 1], kv[i : i + 1, :n], mask[i : i + 1, :n])
            torch.testing.assert_close(got[i : i + 1], short)
        single = cross.out(kv[2:, :1, 16:])  # a softmax over one key is 1
        torch.testing.assert_close(got[2:], single.expand(1, 7, 16))


def test_heads_and_sinusoids():
    x = torch.randn(B, 7, 16)
    torch.testing.assert_close(heads(x, 2)[:, 1], x[..., 8:])
    zero, five = sinusoid(torch.tensor([0.0, 5.0]), 8)
    torch.testing.assert_close(zero, torch.tensor([1.0] * 4 + [0.0] * 4))
    assert five[[0, 4]].tolist() == pytest.approx([math.cos(5), math.sin(5)])
    assert len(torch.unique(sinusoid(torch.arange(1000), 64), dim=0)) == 1000
