"""The pose UNet: its block's order, its text, its null, its shapes."""

import inspect

import pytest
import torch
from torch import nn

from motion_lightning.diffusion.guidance import concat
from motion_lightning.errors import UserError
from motion_lightning.models.unet import ConditionedResBlock, JointAttention, PoseUNet
from motion_lightning.text.condition import TextCond

E, L, B = 8, 5, 4


def unet(randomise, **settings) -> PoseUNet:
    settings = {"features": 63, "joints": 22, "text_dim": E, "width": 16, "cond_width": 32, **settings}
    return randomise(PoseUNet(**settings))


def condition(seed: int = 0, length: int = L) -> TextCond:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(B, length, E, generator=generator)
    mask = torch.arange(length) < torch.tensor([length, 3, 2, length])[:, None]
    return TextCond(tokens * mask[..., None], mask, torch.randn(B, E, generator=generator))


def run(model: PoseUNet, cond: TextCond, x: torch.Tensor, drop=(False,) * B) -> torch.Tensor:
    mask = torch.ones(B, 1, dtype=torch.bool)
    return model(x, torch.tensor([3.0, 200, 500, 900]), model.encode(cond, mask, torch.tensor(drop)), mask)


X = torch.randn(B, 1, 63, generator=torch.Generator().manual_seed(5))
EVERY = [
    {},
    {"tokens": "vector"},
    {"text": "pooled"},
    {"levels": 1},
    {"levels": 3},
    {"tokens": "vector", "text": "pooled"},
    {"tokens": "vector", "text": "pooled", "readers": 0},
]


def test_a_block_goes_features_time_text_features(randomise):
    """Norm, projection, + time, + attention of normed features to the text, norm, projection, + skip."""
    block = randomise(ConditionedResBlock(6, 8, 4, heads=2, dropout=0.0))
    order, seen = [], {}

    def note(name):
        def hook(module, inputs, output):
            order.append(name)
            seen[name] = inputs[0], output

        return hook

    for name, module in block.named_children():
        module.register_forward_hook(note(name))
    h, time, text = torch.randn(2, 3, 6), torch.randn(2, 4), torch.randn(2, 5, 4)
    mask = torch.ones(2, 5, dtype=torch.bool)
    out = block(h, time, block.kv(text), mask)
    assert order == ["kv", "norm1", "project1", "time", "text_norm", "text", "norm2", "dropout", "project2", "skip"]
    torch.testing.assert_close(seen["norm1"][0], h)
    torch.testing.assert_close(seen["project1"][0], nn.functional.silu(seen["norm1"][1]))
    with_time = seen["project1"][1] + seen["time"][1][:, None]
    torch.testing.assert_close(seen["text_norm"][0], with_time)
    torch.testing.assert_close(seen["text"][0], seen["text_norm"][1])
    torch.testing.assert_close(seen["norm2"][0], with_time + seen["text"][1])
    torch.testing.assert_close(seen["project2"][0], nn.functional.silu(seen["norm2"][1]))
    torch.testing.assert_close(out, seen["project2"][1] + seen["skip"][1])


def test_the_skip_is_the_identity_where_widths_agree():
    assert isinstance(ConditionedResBlock(8, 8, 4, 2, 0.0).skip, nn.Identity)
    assert isinstance(ConditionedResBlock(8, 16, 4, 2, 0.0).skip, nn.Linear)


def test_widths_double_on_the_way_down_and_halve_on_the_way_up():
    model = PoseUNet(63, 22, E)
    shapes = [(block.project1.in_features, block.project1.out_features) for block in model.blocks]
    assert shapes == [(96, 192), (192, 384), (384, 384), (768, 192), (384, 96)]
    assert [layer.in_features for layer in model.time.mlp if isinstance(layer, nn.Linear)] == [128, 256]
    assert model.words.inp.out_features == 256 and model.place.shape == (22, 96)


@pytest.mark.parametrize("settings", EVERY)
def test_norms_are_over_features_never_over_a_singleton(settings):
    sizes = [m.normalized_shape for m in PoseUNet(63, 22, E, **settings).modules() if isinstance(m, nn.LayerNorm)]
    assert sizes and all(len(size) == 1 and size[0] > 1 for size in sizes)


@pytest.mark.parametrize("settings", EVERY)
def test_every_parameter_gets_a_gradient_whatever_is_dropped(randomise, settings):
    """The null among them; also when no sample of the batch has it, or all have."""
    for drop in [(True, False, True, False), (False,) * B, (True,) * B]:
        model = unet(randomise, **settings)
        run(model, condition(), X, drop).square().sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert bool(model.words.null_token.grad.abs().sum() > 0) is any(drop)


def test_the_null_takes_the_place_of_every_text(randomise):
    model = unet(randomise)
    null = run(model, condition(0), X, (True,) * B)
    torch.testing.assert_close(null, run(model, condition(1), X, (True,) * B))
    torch.testing.assert_close(null, run(model, condition(2, length=2), X, (True,) * B))
    assert not torch.allclose(null, run(model, condition(0), X))


def test_the_null_has_the_scale_of_tokens():
    torch.manual_seed(0)
    model = PoseUNet(63, 22, E)
    tokens = model.words.norm(model.words.inp(condition().tokens[:1]))
    assert 0.5 < (model.words.null_token.std() / tokens.std()).item() < 2


def test_words_beyond_the_mask_are_not_read(randomise):
    model, cond = unet(randomise), condition()
    noisy = cond._replace(tokens=torch.where(cond.mask[..., None], cond.tokens, 7.0))
    torch.testing.assert_close(run(model, noisy, X), run(model, cond, X))


def test_the_text_of_a_wider_condition_is_found(randomise):
    model, cond = unet(randomise), condition()
    wider = type("Wider", (tuple,), {"text": cond})()
    torch.testing.assert_close(run(model, wider, X), run(model, cond, X))


@pytest.mark.parametrize(("text", "learns"), [("pooled", False), ("tokens", True)])
def test_one_key_gives_queries_and_keys_no_gradient(randomise, text, learns):
    """A softmax over one key is 1 whatever the query: attention to a pooled text is a bias and no attention."""
    model = unet(randomise, text=text)
    run(model, condition(), X).square().sum().backward()
    for block in model.blocks:
        width = block.kv.out_features // 2
        keys, values = block.kv.weight.grad[:width], block.kv.weight.grad[width:]
        assert bool(block.text.q.weight.grad.abs().max() > 1e-6) is learns
        assert bool(keys.abs().max() > 1e-6) is learns
        assert values.abs().max() > 1e-6


def test_joints_look_at_each_other(randomise):
    """What one joint is moved by reaches all; a block alone would keep it to itself."""
    model, far = unet(randomise), X.clone()
    far[..., :3] += 1
    moved = (run(model, condition(), far) - run(model, condition(), X)).unflatten(-1, (21, 3)).abs().amax((0, 1, 3))
    assert (moved > 1e-4).all()
    assert sum(isinstance(m, JointAttention) for m in model.modules()) == 5
    assert not any(isinstance(m, JointAttention) for m in unet(randomise, tokens="vector").modules())


def test_the_outline_is_of_the_text_alone_and_every_joint_sees_its_part(randomise):
    model, cond, mask = unet(randomise), condition(), torch.ones(B, 1, dtype=torch.bool)
    ctx = model.encode(cond, mask, torch.tensor([False, False, False, True]))
    assert ctx.outline.shape == X.shape
    for other, changed in [(cond._replace(pooled=-cond.pooled), False), (cond._replace(tokens=-cond.tokens), True)]:
        outline = model.encode(other, mask, torch.tensor([False, False, False, True])).outline
        assert bool((outline - ctx.outline)[:3].abs().max() > 1e-3) is changed
        torch.testing.assert_close(outline[3], ctx.outline[3])  # the null's
    numbers = []
    hook = model.blocks[0].register_forward_pre_hook(lambda module, inputs: numbers.append(inputs[0]))
    for joint in range(2):
        moved = ctx.outline.clone()
        moved.unflatten(-1, (21, 3))[:, :, joint] += 1
        model(X, torch.ones(B), ctx._replace(outline=moved), mask)
    hook.remove()
    differ = (numbers[0] - numbers[1]).abs().amax((0, 2)) > 1e-4  # (22,) the root, which has no numbers, comes first
    assert differ.tolist() == [False, True, True, *[False] * 19]


def test_without_readers_there_is_no_outline(randomise):
    model = unet(randomise, readers=0)
    assert model.encode(condition(), torch.ones(B, 1, dtype=torch.bool), torch.full((B,), False)).outline is None
    run(model, condition(), X).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("bound", [None, 2.0])
def test_the_head_may_be_bounded(randomise, bound):
    out = run(unet(randomise, bound=bound), condition(), 30 * X)
    assert (out.abs().max() <= 2) is (bound is not None) or out.abs().max() < 2
    free = run(unet(randomise), condition(), 30 * X)
    if bound:
        torch.testing.assert_close(out, bound * torch.tanh(free / bound))


def test_it_begins_at_zero():
    assert not run(PoseUNet(63, 22, E), condition(), X).any()


def test_contexts_join_for_guidance(randomise):
    model, cond, mask = unet(randomise), condition(), torch.ones(B, 1, dtype=torch.bool)
    both = concat(*(model.encode(cond, mask, torch.full((B,), drop)) for drop in (False, True)))
    t = torch.full((2 * B,), 40.0)
    out = model(torch.cat([X, X]), t, both, torch.cat([mask, mask]))
    assert both.null.tolist() == [False] * B + [True] * B
    alone = model(X, t[:B], model.encode(cond, mask, torch.full((B,), False)), mask)
    torch.testing.assert_close(out[:B], alone, atol=1e-5, rtol=1e-4)


def test_it_knows_no_guidance():
    for function in (PoseUNet.__init__, PoseUNet.encode, PoseUNet.forward):
        assert not any("guid" in name or "scale" in name for name in inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"tokens": "words"}, "model.tokens=words"),
        ({"text": "none"}, "texts are tokens or pooled"),
        ({"features": 66}, "66 numbers are not as many for each of 21 joints; take vector"),
        ({"width": 18}, "model.width=18 is no multiple of model.heads=4"),
        ({"levels": 0}, "model.levels=0"),
        ({"bound": 0.0}, "a positive bound"),
    ],
)
def test_what_wrong_settings_are_told(settings, line):
    with pytest.raises(UserError, match=line):
        PoseUNet(**{"features": 63, "joints": 22, "text_dim": E, **settings})
