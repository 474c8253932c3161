"""The UNet of pictures."""

import pytest
import torch
import torch.nn.functional as F

from motion_lightning.errors import UserError
from motion_lightning.models.layers import CrossAttention, SelfAttention
from motion_lightning.models.unet2d import Attention, Block, UNet2d
from motion_lightning.text.condition import TextCond

B, C, S, L, E = 3, 2, 8, 5, 6
NONE = torch.zeros(B, dtype=torch.bool)
SOME = torch.tensor([True, False, False])


@pytest.fixture
def cond() -> TextCond:
    torch.manual_seed(1)
    mask = torch.arange(L) < torch.tensor([5, 3, 1])[:, None]
    return TextCond(torch.randn(B, L, E) * mask[..., None], mask, torch.randn(B, E))


@pytest.fixture
def batch() -> tuple:
    torch.manual_seed(2)
    return torch.randn(B, 1, C, S, S), torch.tensor([3, 50, 97]), torch.ones(B, 1, dtype=torch.bool)


def make(**options) -> UNet2d:
    torch.manual_seed(0)
    return UNet2d(C, S, E, **{"width": 16, "heads": 2, **options})


SHAPES = [{}, {"blocks": 2}, {"multipliers": (1, 2, 2), "attend_to": 4}, {"multipliers": (1,)}, {"reads": False}]


@pytest.mark.parametrize("options", SHAPES)
def test_output_has_the_shape_of_the_input_and_starts_at_zero(cond, batch, options):
    model, (x, t, mask) = make(**options), batch
    assert torch.equal(model(x, t, model.encode(cond, mask, SOME), mask), torch.zeros_like(x))


@pytest.mark.parametrize("options", SHAPES)
def test_every_parameter_gets_a_gradient(cond, batch, randomise, options):
    """Of a fresh model too there is a gradient for each, whatever is dropped: DDP waits for all of them."""
    for model, drop in [(make(**options), NONE), (make(**options), ~NONE), (randomise(make(**options)), SOME)]:
        x, t, mask = batch
        model(x, t, model.encode(cond, mask, drop), mask).square().sum().backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]
    assert not [name for name, p in model.named_parameters() if not p.grad.any() and "pixels.qkv.bias" not in name]


def test_queries_come_from_the_picture_keys_and_values_from_the_text(cond, batch, randomise):
    """What each projection of cross-attention is given, caught by hooks, and when."""
    model, (x, t, mask) = randomise(make()), batch
    given = {}

    def catch(name: str):
        return lambda module, args, out: given.setdefault(name, []).append(args[0].shape)

    readers = [m for m in model.modules() if isinstance(m, Block) and m.reader is not None]
    for block in readers:
        block.attention.kv.register_forward_hook(catch("kv"))
        block.attention.words.q.register_forward_hook(catch("q"))
    ctx = model.encode(cond, mask, NONE)
    assert given == {"kv": [(B, L, 64)] * len(readers)}  # words, before there is a picture
    model(x, t, ctx, mask)
    model(x, t, ctx, mask)
    assert len(given["kv"]) == len(readers)  # once, not once a step
    pixels = {shape[1] for shape in given["q"]}
    assert pixels == {S * S, S * S // 4} and {shape[0] for shape in given["q"]} == {B}


def test_other_words_change_keys_and_values_and_other_pictures_queries(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    attention = next(m for m in model.modules() if isinstance(m, Attention))
    queries = []
    attention.words.q.register_forward_hook(lambda module, args, out: queries.append(out))
    other = cond._replace(tokens=cond.tokens + 1)
    ctx, ctx2 = (model.encode(c, mask, NONE) for c in (cond, other))
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(ctx.words, ctx2.words, strict=True))
    for picture, context in ((x, ctx), (x, ctx2), (x + 1, ctx)):
        model(picture, t, context, mask)
    torch.testing.assert_close(queries[0], queries[1])  # of the first reader, which has heard no text yet
    assert (queries[0] - queries[2]).abs().max() > 1e-3


def test_attention_stands_where_pixels_are_few():
    sides = {16: 1, 8: 2, 4: 3}  # attend_to → levels of 16, 8 and 4 pixels that attend
    for attend_to, levels in sides.items():
        model = UNet2d(1, 16, E, width=16, multipliers=(1, 1, 1), attend_to=attend_to, heads=2)
        down = [level[0].attention is not None for level in model.down]
        assert sum(down) == 4 - levels and down == sorted(down)
        assert any(isinstance(m, SelfAttention) for m in model.middle.modules())
        assert any(isinstance(m, CrossAttention) for m in model.middle.modules())


def test_the_null_forgets_the_text_of_its_own_sample_only(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    other = TextCond(cond.tokens + 1, cond.mask.flip(0), cond.pooled - 1)
    with torch.no_grad():
        one, two = (model(x, t, model.encode(c, mask, SOME), mask) for c in (cond, other))
        kept = model(x, t, model.encode(cond, mask, NONE), mask)
    torch.testing.assert_close(one[0], two[0])
    for i in (1, 2):
        torch.testing.assert_close(one[i], kept[i])
        assert (one[i] - two[i]).abs().max() > 1e-3


def test_without_reading_the_null_stands_for_every_text(cond, batch, randomise):
    model, (x, t, mask) = randomise(make(reads=False)), batch
    other = TextCond(cond.tokens + 1, cond.mask, cond.pooled - 1)
    with torch.no_grad():
        outputs = [model(x, t, model.encode(c, mask, drop), mask) for c in (cond, other) for drop in (NONE, ~NONE)]
    for output in outputs[1:]:
        assert torch.equal(outputs[0], output)


def test_the_null_token_has_the_scale_of_normalised_tokens(cond):
    torch.manual_seed(0)
    model = UNet2d(C, S, E, width=64)
    tokens = model.text_norm(model.text(cond.tokens))
    assert (model.null_token.std() / tokens.std()).item() == pytest.approx(1, abs=0.15)


def test_text_padding_and_neighbours_change_nothing(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    junk = torch.full((B, 4, E), 7.0)
    padded = TextCond(torch.cat([cond.tokens, junk], 1), F.pad(cond.mask, (0, 4)), cond.pooled)
    with torch.no_grad():
        want = model(x, t, model.encode(cond, mask, NONE), mask)
        torch.testing.assert_close(model(x, t, model.encode(padded, mask, NONE), mask), want)
        for i in range(B):
            one = TextCond(*(part[i : i + 1] for part in cond))
            alone = model(x[i : i + 1], t[i : i + 1], model.encode(one, mask[:1], NONE[:1]), mask[:1])
            torch.testing.assert_close(alone[0], want[i])


def test_time_and_place_matter(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    with torch.no_grad():
        ctx = model.encode(cond, mask, NONE)
        base = model(x, t, ctx, mask)
        assert (model(x, t + 1, ctx, mask) - base).abs().max() > 1e-4
        assert (model(x.flip(-1), t, ctx, mask).flip(-1) - base).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"multipliers": (1, 1, 1, 1, 1)}, "cannot be halved 4 times"),
        ({"width": 12}, "model.width=12"),
        ({"heads": 3}, "model.heads=3"),
    ],
)
def test_impossible_sizes_are_refused(options, says):
    with pytest.raises(UserError, match=says):
        make(**options)


def test_clips_of_several_pictures_are_refused(cond):
    model, mask = make(), torch.ones(B, 4, dtype=torch.bool)
    with pytest.raises(UserError, match="4 frames"):
        model(torch.zeros(B, 4, C, S, S), torch.zeros(B).long(), model.encode(cond, mask, NONE), mask)
