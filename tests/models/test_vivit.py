"""The ViViT, with each of its settings."""

import itertools

import pytest
import torch
from torch import nn

from motion_lightning.errors import UserError
from motion_lightning.models.image_backbone import FrozenViT
from motion_lightning.models.video_features import FrameViT
from motion_lightning.models.vivit import ViViT
from motion_lightning.models.vivit_parts import Frames, Tubelets, cut, join
from motion_lightning.text.condition import TextCond

B, T, C, H, L, E = 3, 8, 3, 16, 5, 8
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
    return torch.randn(B, T, C, H, H), torch.tensor([3.0, 50.0, 97.0]), frames_mask(8, 8, 8)


def tubelets(**options):
    return lambda **sizes: Tubelets(**sizes, **{"patch": 8, **options})


def frames(**options):
    return lambda **sizes: Frames(**sizes, **options)


def make(features=None, frames: int = T, **options) -> ViViT:
    torch.manual_seed(0)
    settings = {"width": 32, "pairs": 2, "heads": 2, "readers": 1, **options}
    return ViViT(C, H, frames, E, features=features or tubelets(), **settings)


def predict(model: ViViT, cond, batch, drop=NONE) -> torch.Tensor:
    x, t, mask = batch
    return model(x, t, model.encode(cond, mask, drop), mask)


KINDS = {"tubelet": tubelets(), "frames": frames()}
SETTINGS = list(itertools.product(KINDS, ("none", "raw", "preconditioned"), ("none", "scalar", "per_t")))


# -------------------------------------------------------------- pictures and tokens


def test_pictures_survive_patches_and_grid_and_a_view_would_scramble_them():
    x = torch.randn(2, 8, 3, 16, 24)
    tokens = cut(x, tubelet=2, patch=8)
    assert tokens.shape == (2, 4, 6, 2 * 8 * 8 * 3)
    assert torch.equal(join(tokens, 2, 8, rows=2), x)
    assert not torch.equal(tokens.reshape(x.shape), x)


def test_the_convolution_is_a_linear_layer_of_tubelets():
    features = Tubelets(C, H, T, width=12, tubelet=2, patch=8)
    x = torch.randn(B, T, C, H, H)
    weight = features.inp.weight.permute(0, 2, 3, 4, 1).flatten(1)  # (W, t p q c)
    assert torch.allclose(features.embed(x), cut(x, 2, 8) @ weight.T + features.inp.bias, atol=1e-5)


@pytest.mark.parametrize("features", [Tubelets(C, H, T, 8, 2, 8), Frames(C, H, T, 8, FrameViT(C, H, 8))])
def test_output_lies_where_its_token_lies(features, randomise):
    """A token that alone is not zero is seen in its own frames, and most in its own square."""
    features, step = randomise(features, scale=1.0).eval(), features.tubelet
    if isinstance(features, Frames):  # a norm over the whole picture carries a little everywhere
        features.projection[1] = features.projection[5] = nn.Identity()
    h = torch.zeros(1, T // step, 4, 8)
    with torch.no_grad():
        plain = features.unembed(h)
        h[0, 1, 1] = torch.linspace(-5, 5, 8)  # upper right
        seen = (features.unembed(h) - plain).abs().sum((0, 2))  # (T, H, W)
    assert seen[:step].max() == seen[2 * step :].max() == 0
    upper_right = seen[step, :8, 8:].mean()
    assert upper_right > 2 * max(seen[step, 8:].mean(), seen[step, :8, :8].mean())


def test_the_outline_is_of_the_text_alone_and_each_step_has_its_own_pictures(cond, batch, randomise):
    model, (x, _, mask) = randomise(make()), batch
    ctx = model.encode(cond, mask, NONE)
    assert ctx.outline.shape == x.shape and not ctx.outline[~mask].any()
    assert (model.encode(cond, mask, ~NONE).outline - ctx.outline).abs().amax((1, 2, 3, 4)).min() > 1e-3
    with torch.no_grad():
        model.outline.bias.add_(1)
    torch.testing.assert_close(model.encode(cond, mask, NONE).outline, ctx.outline + mask[..., None, None, None])


# ------------------------------------------------------------------------ settings


@pytest.mark.parametrize(("kind", "skip", "scale"), SETTINGS)
def test_every_parameter_is_in_every_graph(kind, skip, scale, cond, batch, randomise):
    """Of a fresh model too there is a gradient for each, if zero: DDP waits for all of them."""
    drop = torch.tensor([True, False, False])
    model = make(KINDS[kind], skip=skip, output_scale=scale)
    for fresh, dropped in [(True, drop), (True, ~NONE), (True, NONE), (False, drop)]:
        model = model if fresh else randomise(model)
        model.zero_grad()
        x, t, mask = batch
        ctx = model.encode(cond, mask, dropped)
        (model(x, t, ctx, mask).square().sum() + ctx.outline.square().sum()).backward()
        assert not [name for name, p in model.named_parameters() if p.grad is None]


@pytest.mark.parametrize(("kind", "skip", "scale"), SETTINGS)
def test_no_layer_is_made_in_forward(kind, skip, scale, cond, batch):
    model = make(KINDS[kind], skip=skip, output_scale=scale)
    before = [*model.state_dict()], [*model.named_modules()]
    predict(model, cond, batch)
    assert ([*model.state_dict()], [*model.named_modules()]) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_last_layer_puts_out_zero_without_a_raw_skip_and_the_input_with_it(kind, cond, batch, randomise):
    for skip in ("none", "preconditioned", "raw"):
        model = randomise(make(KINDS[kind], skip=skip, output_scale="scalar"))
        last = model.features.out if kind == "tubelet" else model.features.projection[-1]
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
        for scale in (1.0, 100.0):
            x, t, mask = batch
            out = predict(model, cond, (scale * x, t, mask))
            assert torch.equal(out, scale * x if skip == "raw" else torch.zeros_like(x))


def test_output_scale_starts_at_one_half_and_is_optimised(cond, batch, randomise):
    for scale in ("scalar", "per_t"):
        model = make(output_scale=scale)
        factor = model.factor(torch.randn(B, 32))
        assert torch.allclose(torch.as_tensor(factor), torch.tensor(0.5))
    model = randomise(make(output_scale="scalar"))
    with torch.no_grad():
        model.output_scale.fill_(0.5)
        half = predict(model, cond, batch)
        model.output_scale.fill_(1.0)
        assert torch.allclose(predict(model, cond, batch), 2 * half, atol=1e-5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    (predict(model, cond, batch) - 5).square().mean().backward()
    optimizer.step()
    assert abs(model.output_scale.item() - 1.0) > 0.05
    assert isinstance(model.factor(torch.zeros(B, 32)), nn.Parameter)


def test_only_per_t_is_aware_of_t(cond, batch, randomise):
    model = randomise(make(output_scale="per_t"))
    scales = [model.factor(model.time(torch.tensor([t]))).item() for t in (0.0, 500.0)]
    assert scales[0] != scales[1]


# ---------------------------------------------------------------------------- time


@pytest.mark.parametrize("kind", KINDS)
def test_permuted_frames_change_the_prediction(kind, cond, batch, randomise):
    """A frame's neighbours matter: reversing the others changes what is said of the first."""
    x, t, mask = batch
    model = randomise(make(KINDS[kind])).eval()
    moved = torch.cat([x[:, :2], x[:, 2:].flip(1)], dim=1)
    with torch.no_grad():
        a, b = predict(model, cond, batch), predict(model, cond, (moved, t, mask))
    assert (a[:, :2] - b[:, :2]).abs().max() > 1e-3
    assert (a[:, 2:].flip(1) - b[:, 2:]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_without_temporal_attention_frames_do_not_mix(kind, cond, batch, randomise):
    x, t, mask = batch
    model = randomise(make(KINDS[kind], temporal_weight=0.0)).eval()
    moved = torch.cat([x[:, :2], x[:, 2:].flip(1)], dim=1)
    with torch.no_grad():
        a, b = predict(model, cond, batch), predict(model, cond, (moved, t, mask))
    assert torch.allclose(a[:, :2], b[:, :2], atol=1e-5)
    assert (a[:, 2:] - b[:, 2:]).abs().max() > 1e-3


def test_temporal_weight_is_how_much_attention_along_time_adds(batch, randomise):
    h, c, valid = torch.randn(B, 4, 4, 32), torch.randn(B, 32), torch.ones(B, 4, dtype=torch.bool)
    added = []
    for weight in (0.1, 0.5):
        block = randomise(make(temporal_weight=weight)).pairs[0].temporal
        for parameter in block.mlp.parameters():
            nn.init.zeros_(parameter)
        added.append(block(h, c, valid) - h)
    assert torch.allclose(added[1], 5 * added[0], atol=1e-4)


def test_padding_reaches_no_valid_frame(cond, batch, randomise):
    x, t, _ = batch
    mask, model = frames_mask(8, 6, 4), randomise(make()).eval()
    other = torch.where(mask[..., None, None, None], x, 9.0)
    with torch.no_grad():
        a, b = predict(model, cond, (x, t, mask)), predict(model, cond, (other, t, mask))
        short = predict(model, cond, (x[:, :5], t, mask[:, :5]))
    assert torch.allclose(a[mask], b[mask], atol=1e-5)
    assert short.shape == (B, 5, C, H, H), "a batch that is no multiple of the tubelet"


# ---------------------------------------------------------------------------- text


def test_text_is_heard_unless_it_is_dropped(cond, batch, randomise):
    model = randomise(make()).eval()
    other = TextCond(cond.tokens.flip(0), cond.mask.flip(0), cond.pooled.flip(0))
    with torch.no_grad():
        assert not torch.allclose(predict(model, cond, batch), predict(model, other, batch), atol=1e-4)
        a, b = predict(model, cond, batch, ~NONE), predict(model, other, batch, ~NONE)
    assert torch.equal(a, b)


def test_words_beyond_the_text_mask_are_not_read(cond, batch, randomise):
    model = randomise(make()).eval()
    other = cond._replace(tokens=torch.where(cond.mask[..., None], cond.tokens, 7.0))
    with torch.no_grad():
        assert torch.allclose(predict(model, cond, batch), predict(model, other, batch), atol=1e-5)


# ----------------------------------------------------------------------- backbones


def test_a_pretrained_backbone_is_frozen_and_in_no_checkpoint(tmp_path, cond, batch):
    """The path of a real one, with a tiny one of random weights."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    torch.manual_seed(0)
    transformers.ViTModel(config).save_pretrained(tmp_path)
    model = make(frames(backbone=FrozenViT(str(tmp_path))))
    assert (model.features.backbone.width, model.features.rows) == (12, 2)
    before = model.features.embed(batch[0]).detach()
    assert before.shape == (B, T, 4, 32)
    assert not [name for name in model.state_dict() if "backbone" in name and "mean" not in name and "std" not in name]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    (predict(model, cond, batch) - 1).square().mean().backward()
    optimizer.step()
    grid = model.features.backbone(batch[0][:, 0])
    assert torch.equal(grid, FrozenViT(str(tmp_path))(batch[0][:, 0])), "it learns nothing"


# ---------------------------------------------------------------- impossible settings


def test_impossible_settings_are_refused_with_both_named():
    with pytest.raises(UserError, match=r"data\.corpus\.frames=9 .* model\.features\.tubelet=2"):
        make(frames=9)
    with pytest.raises(UserError, match=r"data\.corpus\.size=16 .* model\.features\.patch=5"):
        make(tubelets(patch=5))
    with pytest.raises(UserError, match=r"data\.corpus\.size=16 .* model\.features\.backbone\.patch=5"):
        make(lambda **sizes: Frames(**sizes, backbone=FrameViT(C, H, patch=5)))
    with pytest.raises(UserError, match=r"model\.width=30 .* model\.heads=4"):
        make(width=30, heads=4)
    with pytest.raises(UserError, match=r"model\.skip=long"):
        make(skip="long")
    with pytest.raises(UserError, match=r"model\.readers=0"):
        make(readers=0)
