"""The transformer with long skips, the VAE of whole motions and the denoiser of its latents."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from motion_lightning.errors import UserError
from motion_lightning.models.mld import MLD, MotionVAE
from motion_lightning.models.skip import ReadingBlock, SkipTransformer, skip_encoder
from motion_lightning.text.condition import TextCond

B, T, D, E = 3, 12, 6, 10
SMALL = {"width": 16, "depth": 3, "heads": 2, "ff": 32, "dropout": 0.0}
MASK = torch.arange(T) < torch.tensor([12, 7, 1])[:, None]


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(0)) * MASK[..., None]


def vae(**options) -> MotionVAE:
    torch.manual_seed(0)
    return MotionVAE(D, **{**SMALL, "places": 40, **options}).eval()


def test_a_block_of_the_second_half_hears_its_mirror():
    """With blocks that add a number each, the sum of them all is in closed form."""

    count = iter(range(1, 6))

    class Add(nn.Module):
        def __init__(self):
            super().__init__()
            self.number = 10.0 ** next(count)

        def forward(self, h):
            return h + self.number

    net = SkipTransformer(Add, 1, 5)  # made in this order: two of the first half, the middle, two of the second
    net.norm = nn.Identity()
    with torch.no_grad():
        for merge in net.merge:
            merge.weight.fill_(1)  # what comes in plus what the mirror said
            merge.bias.zero_()
    down1, down2 = 10.0, 110.0
    inner = down2 + 1e3 + down2 + 1e4
    assert net(torch.zeros(1, 1, 1)).item() == inner + down1 + 1e5


def test_an_even_depth_is_refused():
    with pytest.raises(UserError, match="depth=4"):
        skip_encoder(16, 4, 2, 32, 0.0)


def test_the_reading_block_is_torchs_decoder_layer(randomise):
    theirs = randomise(nn.TransformerDecoderLayer(16, 2, 32, 0.1, "gelu", batch_first=True)).eval()
    ours, state = ReadingBlock(16, 2, 32, 0.1).eval(), theirs.state_dict()
    state = {key.replace("self_attn.in_proj_", "attention.qkv."): value for key, value in state.items()}
    state = {key.replace("self_attn.out_proj", "attention.out"): value for key, value in state.items()}
    for kind in ("weight", "bias"):
        both = state.pop(f"multihead_attn.in_proj_{kind}")
        state[f"reading.q.{kind}"], state[f"memory.{kind}"] = both[:16], both[16:]
    state = {key.replace("multihead_attn.out_proj", "reading.out"): value for key, value in state.items()}
    state = {key.replace("linear1", "mlp.0").replace("linear2", "mlp.3"): value for key, value in state.items()}
    ours.load_state_dict(state)
    h, memory, valid = torch.randn(B, T, 16), torch.randn(B, 4, 16), torch.arange(4) < torch.tensor([[4], [2], [1]])
    with torch.no_grad():
        want = theirs(h, memory, tgt_key_padding_mask=~MASK, memory_key_padding_mask=~valid)
        torch.testing.assert_close(ours(h, MASK, memory, valid), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("tokens", "latent"), [(1, None), (4, None), (4, 5)])
def test_motions_of_any_length_become_as_many_latents(x, tokens, latent):
    model = vae(tokens=tokens, latent=latent)
    q, mask = model.encode(x, MASK)
    assert q.mean.shape == q.log_variance.shape == (B, tokens, *model.shape) and mask.all()
    assert mask.shape == (B, tokens) == (B, model.length(T)) == (B, model.length(99)) and model.shape == (latent or 16,)
    out = model.decode(q.mean, MASK)
    assert out.shape == x.shape and not out[~MASK].any() and out[MASK].abs().min() > 0


def test_padding_changes_neither_latents_nor_motion(x, randomise):
    model = randomise(vae())
    with torch.no_grad():
        q, _ = model.encode(x, MASK)
        padded = torch.cat([x, torch.full((B, 5, D), 9.0)], 1)
        wider = F.pad(MASK, (0, 5))
        more, _ = model.encode(padded, wider)
        torch.testing.assert_close(more.mean, q.mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model.decode(q.mean, wider)[:, :T], model.decode(q.mean, MASK), rtol=1e-4, atol=1e-5)
        alone, _ = model.encode(x[1:2, :7], MASK[1:2, :7])
        torch.testing.assert_close(alone.mean[0], q.mean[1], rtol=1e-4, atol=1e-5)


def test_every_parameter_of_the_vae_learns(x):
    for latent in (None, 5):
        model = vae(latent=latent)
        q, _ = model.encode(x, MASK)
        (model.decode(q.sample(torch.randn_like(q.mean)), MASK) - x).square().sum().backward()
        assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_motion_longer_than_the_positions_is_refused():
    model = vae(places=12)
    with pytest.raises(UserError, match="14 tokens is too long"):
        model.encode(torch.zeros(1, T, D), MASK[:1])
    assert model.decode(torch.zeros(1, 1, 16), MASK[:1]).shape == (1, T, D)


def cond() -> TextCond:
    return TextCond(torch.zeros(B, 1, E), torch.ones(B, 1, dtype=torch.bool), torch.randn(B, E))


@pytest.mark.parametrize("features", [16, 5])
def test_the_denoiser_hears_text_time_and_order(randomise, features):
    model, mask = randomise(MLD(features, E, **SMALL)).eval(), torch.ones(B, 4, dtype=torch.bool)
    z, t, text, none = (
        torch.randn(B, 4, features),
        torch.tensor([1, 500, 999]),
        cond(),
        torch.zeros(B, dtype=torch.bool),
    )
    with torch.no_grad():
        base = model(z, t, model.encode(text, mask, none), mask)
        other = text._replace(pooled=text.pooled.flip(0))
        dropped = torch.tensor([True, False, False])
        null = model(z, t, model.encode(text, mask, dropped), mask)
        assert base.shape == z.shape
        assert (model(z, t, model.encode(other, mask, none), mask) - base)[[0, 2]].abs().max() > 1e-3
        assert (model(z, t - 1, model.encode(text, mask, none), mask) - base).abs().max() > 1e-4
        assert (model(z.flip(1), t, model.encode(text, mask, none), mask).flip(1) - base).abs().max() > 1e-3
        assert (null[0] - base[0]).abs().max() > 1e-3
        torch.testing.assert_close(null[1:], base[1:])
        again = model(z, t, model.encode(other, mask, dropped), mask)
        torch.testing.assert_close(again[0], null[0])  # the null forgets its text


def test_text_as_wide_as_the_transformer_is_not_projected():
    assert isinstance(MLD(16, 16, **SMALL).text, nn.Identity) and isinstance(MLD(16, E, **SMALL).text[1], nn.Linear)
    for make in (lambda: MLD(16, E, **{**SMALL, "heads": 3}), lambda: vae(heads=3)):
        with pytest.raises(UserError, match=r"model\.heads=3"):
            make()


def test_patches_hold_frames_and_padding_changes_nothing(x, randomise):
    model, cut = randomise(vae(patch=4, norm_first=True, log_variance=-6.0)), MASK[:, :10]
    with torch.no_grad():
        q, _ = model.encode(x[:, :10], cut)
        more, _ = model.encode(torch.cat([x[:, :10], torch.full((B, 7, D), 9.0)], 1), F.pad(cut, (0, 7)))
        torch.testing.assert_close(more.mean, q.mean, rtol=1e-4, atol=1e-5)
        out = model.decode(q.mean, cut)
        assert out.shape == (B, 10, D) and not out[~cut].any() and out[cut].abs().min() > 0
        louder = randomise(vae(patch=4, norm_first=True))
        torch.testing.assert_close(louder.encode(x, MASK)[0].log_variance - 6, model.encode(x, MASK)[0].log_variance)


def test_norms_in_front_are_torchs_norm_first(randomise):
    theirs = randomise(nn.TransformerDecoderLayer(16, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)).eval()
    ours, state = ReadingBlock(16, 2, 32, 0.0, norm_first=True).eval(), theirs.state_dict()
    names = {"self_attn.in_proj_": "attention.qkv.", "self_attn.out_proj": "attention.out", "linear1": "mlp.0"}
    names |= {"multihead_attn.out_proj": "reading.out", "linear2": "mlp.3"}
    for old, new in names.items():
        state = {key.replace(old, new): value for key, value in state.items()}
    for kind in ("weight", "bias"):
        both = state.pop(f"multihead_attn.in_proj_{kind}")
        state[f"reading.q.{kind}"], state[f"memory.{kind}"] = both[:16], both[16:]
    ours.load_state_dict(state)
    h, memory, valid = torch.randn(B, T, 16), torch.randn(B, 4, 16), torch.ones(B, 4, dtype=torch.bool)
    with torch.no_grad():
        want = theirs(h, memory, tgt_key_padding_mask=~MASK)
        torch.testing.assert_close(ours(h, MASK, memory, valid), want, rtol=1e-5, atol=1e-5)


def test_the_null_learns():
    model, mask = MLD(5, E, **SMALL), torch.ones(B, 4, dtype=torch.bool)
    ctx = model.encode(cond(), mask, torch.ones(B, dtype=torch.bool))
    model(torch.randn(B, 4, 5), torch.tensor([1, 5, 9]), ctx, mask).square().sum().backward()
    assert model.null.grad.abs().min() > 0


def test_the_linear_map_starts_as_principal_components(x):
    """The transformers add nothing then: reconstructions are the best of that rank, scores have variance 1."""
    motions = torch.randn(40, T, D, generator=torch.Generator().manual_seed(1)) @ torch.randn(D, D)
    model, all_frames = vae(tokens=2, latent=5, patch=4, linear=T), torch.ones(40, T, dtype=torch.bool)
    model.start(motions)
    with torch.no_grad():
        q, _ = model.encode(motions, all_frames)
        out = model.decode(q.mean, all_frames)
        assert model.decode(q.mean[:, :, :], F.pad(all_frames, (0, 3), value=True)).shape == (40, T + 3, D)
        short = model.decode(model.encode(motions[:, :7], all_frames[:, :7])[0].mean, all_frames[:, :7])
    flat = motions.flatten(1) - motions.flatten(1).mean(0)
    left = torch.linalg.svdvals(flat)[10:].square().sum()
    torch.testing.assert_close((out - motions).square().sum(), left, rtol=0.05, atol=0)
    torch.testing.assert_close(q.mean.flatten(1).var(0, correction=0), torch.ones(10), rtol=0.05, atol=0)
    assert short.shape == (40, 7, D)
