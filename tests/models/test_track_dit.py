"""The track DiT: what it looks at, what it must not, and what it leaves alone."""

import pytest
import torch
import torch.nn.functional as F

from motion_lightning.data.tracks.condition import HandCond, HandMoves, TrackCond
from motion_lightning.diffusion.guidance import classifier_free
from motion_lightning.errors import UserError
from motion_lightning.models.image_backbone import ConvBackbone
from motion_lightning.models.track_dit import TrackDiT, glimpses, waves
from motion_lightning.text.condition import TextCond

B, T, N, D, L, E = 3, 4, 5, 3, 6, 8
NONE, WIDE = torch.zeros(B, dtype=torch.bool), 18 + N * D
MASK = torch.ones(B, T, dtype=torch.bool)


def make(channels: int = 4, **options) -> TrackDiT:
    torch.manual_seed(0)
    sizes = {"dims": D, "hands": 2, "text_dim": E, "width": 32, "depth": 2, "heads": 2}
    return TrackDiT(backbone=ConvBackbone(channels, 16), **sizes | options)


@pytest.fixture
def cond() -> TrackCond:
    torch.manual_seed(1)
    present = torch.tensor([[True, True], [True, False], [False, True]])
    return TrackCond(
        text=TextCond(torch.randn(B, L, E), torch.arange(L) < torch.tensor([[6], [3], [2]]), torch.randn(B, E)),
        frames=torch.rand(B, 2, 3, 16, 24) * 2 - 1,
        query=torch.rand(B, N, D),
        depth=torch.rand(B, 2, 16, 24),
        hands=HandCond(torch.rand(B, 2, 3), torch.randn(B, 2, 6), present),
        moves=HandMoves(torch.full((B, T + 1, 2, 3), torch.nan), torch.full((B, T + 1, 2, 6), torch.nan)),
    )


@pytest.fixture
def noisy() -> tuple:
    torch.manual_seed(2)
    return torch.randn(B, T, WIDE), torch.tensor([3, 50, 97])


def predict(model: TrackDiT, cond: TrackCond, noisy: tuple, drop=NONE, mask=MASK) -> torch.Tensor:
    return model(*noisy, model.encode(cond, mask, drop), mask)


def test_starts_as_identity_blocks_and_zero_output(cond, noisy):
    model = make()
    with torch.no_grad():
        ctx, slots = model.encode(cond, MASK, NONE), torch.ones(B, T + 1, dtype=torch.bool)
        h, c = torch.randn(B, (T + 1) * (N + 2), 32), torch.randn(B, 32)
        for block, scene in zip(model.blocks, ctx.scene, strict=True):
            assert torch.equal(block(h, c, scene, ctx.seen, slots), h)
        assert torch.equal(predict(model, cond, noisy), torch.zeros(B, T, WIDE))


@pytest.mark.parametrize("hands", [0, 2])
def test_every_parameter_gets_a_gradient(cond, noisy, randomise, hands):
    """Of a fresh model too there is one for each, if zero: DDP waits for all of them."""
    drop, (x, t) = torch.tensor([True, False, False]), noisy
    x = x if hands else x[..., 18:]
    for model, dropped in [
        (make(hands=hands), drop), (make(hands=hands), ~NONE), (make(hands=hands), NONE),
        (randomise(make(hands=hands)), drop),
    ]:  # fmt: skip
        predict(model, cond, (x, t), dropped).square().sum().backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]
    assert not [name for name, p in model.named_parameters() if not p.grad.any()]  # of the last, random one


def test_null_is_a_parameter_and_learns_where_the_text_is_dropped(cond, noisy, randomise):
    model = randomise(make())
    nulls = {"null_token", "null_pooled"}
    assert nulls <= dict(model.named_parameters()).keys() and not nulls & dict(model.named_buffers()).keys()
    for dropped, learns in [(NONE, False), (torch.tensor([False, True, False]), True)]:
        model.zero_grad()
        predict(model, cond, noisy, dropped).square().sum().backward()
        for name in nulls:
            assert bool(model.get_parameter(name).grad.any()) == learns


def test_null_has_the_scale_of_normalised_tokens(cond):
    model = make(width=256)
    tokens = model.text_norm(model.text(cond.text.tokens))
    assert (model.null_token.std() / tokens.std()).item() == pytest.approx(1, abs=0.15)


@torch.no_grad()
def test_null_forgets_the_text_and_keeps_the_scene(cond, noisy, randomise):
    model, drop = randomise(make()), torch.tensor([False, True, False])
    other = cond._replace(text=TextCond(cond.text.tokens + 1, cond.text.mask.flip(0), cond.text.pooled - 1))
    one, two = (predict(model, c, noisy, drop) for c in (cond, other))
    torch.testing.assert_close(one[1], two[1])
    assert all((one[i] - two[i]).abs().max() > 1e-3 for i in (0, 2))
    elsewhere = predict(model, cond._replace(frames=-cond.frames), noisy, drop)
    assert (elsewhere[1] - one[1]).abs().max() > 1e-3


@torch.no_grad()
def test_text_padding_changes_nothing(cond, noisy, randomise):
    model, text = randomise(make()), cond.text
    padded = TextCond(torch.cat([text.tokens, torch.full((B, 4, E), 7.0)], 1), F.pad(text.mask, (0, 4)), text.pooled)
    garbled = text._replace(tokens=torch.where(text.mask[..., None], text.tokens, 9.0))
    want = predict(model, cond, noisy)
    for other in (padded, garbled):
        torch.testing.assert_close(predict(model, cond._replace(text=other), noisy), want)
    faithful = randomise(make(text_mask=False))  # padding is read as words
    assert (predict(faithful, cond._replace(text=padded), noisy) - predict(faithful, cond, noisy)).abs().max() > 1e-3


@torch.no_grad()
def test_where_hands_go_is_not_looked_at(cond, noisy, randomise):
    """They are NaN here, and no output is."""
    assert predict(randomise(make()), cond, noisy).isfinite().all()


@torch.no_grad()
def test_permuted_points_are_predicted_alike(cond, noisy, randomise):
    model, (x, t), order = randomise(make()), noisy, torch.tensor([3, 0, 4, 1, 2])

    def permuted(x):
        return torch.cat([x[..., :18], x[..., 18:].unflatten(-1, (N, D))[..., order, :].flatten(2)], -1)

    got = predict(model, cond._replace(query=cond.query[:, order]), (permuted(x), t))
    torch.testing.assert_close(got, permuted(predict(model, cond, noisy)))


@torch.no_grad()
def test_there_may_be_fewer_points_than_x_has_room_for(cond, noisy, randomise):
    """The rest of x is neither looked at nor written to; the points that are left are heard by attention."""
    model, (x, t) = randomise(make()), noisy
    few, wide = cond._replace(query=cond.query[:, :2]), 18 + 2 * D
    got = predict(model, few, (x, t))
    assert got.shape == x.shape and not got[..., wide:].any() and got[0, :, :wide].abs().min() > 0
    garbage = torch.cat([x[..., :wide], torch.full_like(x[..., wide:], 9.0)], -1)
    torch.testing.assert_close(predict(model, few, (garbage, t)), got)
    torch.testing.assert_close(predict(model, few, (x[..., :wide], t)), got[..., :wide])
    assert (got - predict(model, cond, noisy))[..., :wide].abs().max() > 1e-3


@torch.no_grad()
def test_slot_0_is_a_clean_token(cond, noisy, randomise):
    """It is not in x nor in what is predicted, it does not change with the noise, and the other slots attend to it."""
    model, (x, t) = randomise(make()), noisy
    seen = []
    hook = model.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].unflatten(1, (T + 1, -1))))
    one = predict(model, cond, (x, t))
    predict(model, cond, (x + 1, t))
    hook.remove()
    assert one.shape == x.shape
    torch.testing.assert_close(seen[0][:, 0], seen[1][:, 0])
    assert all((seen[0][:, i] - seen[1][:, i]).abs().max() > 1e-3 for i in range(1, T + 1))
    model.start += 1
    assert all((predict(model, cond, noisy)[:, i] - one[:, i]).abs().max() > 1e-3 for i in range(T))


@torch.no_grad()
def test_slots_that_are_padding_change_nothing(cond, noisy, randomise):
    model, (x, t) = randomise(make()), noisy
    want = predict(model, cond, (x[:, :2], t), mask=MASK[:, :2])
    garbage = torch.cat([x[:, :2], torch.full_like(x[:, 2:], 5.0)], 1)
    torch.testing.assert_close(predict(model, cond, (garbage, t), mask=MASK & (torch.arange(T) < 2))[:, :2], want)


@torch.no_grad()
def test_absent_hands_say_nothing_and_are_nowhere(cond, noisy, randomise):
    model, (x, t) = randomise(make()), noisy
    want = predict(model, cond, noisy)
    assert not want[1, :, 3:6].any() and not want[2, :, 0:3].any() and not want[2, :, 6:12].any()
    assert want[0, :, :18].abs().min() > 0
    loud = x.clone()
    loud[1, :, 3:6], loud[1, :, 12:18] = 9.0, 9.0
    torch.testing.assert_close(predict(model, cond, (loud, t)), want)


@torch.no_grad()
def test_all_that_is_known_matters(cond, noisy, randomise):
    model = randomise(make())
    base = predict(model, cond, noisy)
    hands = cond.hands
    for name, other in {
        "frames": cond._replace(frames=cond.frames.flip(1)),
        "depth": cond._replace(depth=cond.depth + 1),
        "query": cond._replace(query=1 - cond.query),
        "position": cond._replace(hands=hands._replace(position=hands.position + 0.1)),
        "rotation": cond._replace(hands=hands._replace(rotation=-hands.rotation)),
        "present": cond._replace(hands=hands._replace(present=hands.present.flip(0))),
        "text": cond._replace(text=cond.text._replace(tokens=-cond.text.tokens)),
    }.items():
        assert (predict(model, other, noisy) - base).abs().max() > 1e-3, name
    assert (predict(model, cond, (noisy[0], noisy[1] + 1)) - base).abs().max() > 1e-3


@torch.no_grad()
def test_depth_is_an_option(cond, noisy, randomise):
    model = randomise(make(channels=3))
    blind = cond._replace(depth=None)
    torch.testing.assert_close(predict(model, cond, noisy), predict(model, blind, noisy))
    with pytest.raises(UserError, match=r"data\.corpus\.depth"):
        predict(make(channels=4), blind, noisy)
    with pytest.raises(UserError, match=r"model\.width=30"):
        make(width=30, heads=4)


@torch.no_grad()
def test_guided_in_one_batch_equals_two_passes(cond, noisy, randomise):
    """A doubled batch in the order (with text, without): the same numbers, and one call a step."""
    model, (x, t), calls = randomise(make(), scale=0.1), noisy, []

    def run(x_t, t, ctx):
        calls.append(len(x_t))
        return model(x_t, t, *ctx)

    contexts = [(model.encode(cond, MASK, drop), MASK) for drop in (NONE, ~NONE)]
    got = classifier_free(run, *contexts, 2.5)(x, t)
    assert calls == [2 * B]
    right, null = (run(x, t, ctx) for ctx in contexts)
    torch.testing.assert_close(got, null + 2.5 * (right - null), atol=1e-5, rtol=1e-5)


def test_pictures_are_looked_at_once_a_sampling_run(cond, noisy, randomise):
    model, calls = randomise(make()), []
    hooks = [m.register_forward_hook(lambda m, *_: calls.append(m)) for m in (model.backbone, model.text)]
    ctx = model.encode(cond, MASK, NONE)
    for _ in range(3):
        model(*noisy, ctx, MASK)
    for hook in hooks:
        hook.remove()
    assert calls == [model.backbone, model.text]


def test_glimpses_are_of_the_places():
    """The middle sample is the picture's own value there, and its neighbours lie to its sides."""
    v, u = torch.meshgrid((torch.arange(40) + 0.5) / 40, (torch.arange(60) + 0.5) / 60, indexing="ij")
    pictures = torch.stack([u, v])[None, None]  # (1, 1, 2, 40, 60): each pixel holds its own place
    place = torch.tensor([[[0.3, 0.6], [0.5, 0.2]]])
    seen = glimpses(pictures, place).view(1, 2, 2, 7, 7)
    torch.testing.assert_close(seen[..., 3, 3], place)
    torch.testing.assert_close(seen[0, 0, :, 3, 6], torch.tensor([0.35, 0.6]))
    torch.testing.assert_close(seen[0, 0, :, 6, 3], torch.tensor([0.3, 0.65]))


def test_waves_tell_places_apart():
    places = torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    w = waves(places)
    assert w.shape == (200, 28) and w.abs().max() <= 1
    assert torch.cdist(w, w).fill_diagonal_(9).min() > 0.05
