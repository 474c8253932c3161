"""MDM, against torch's own encoder put together as the authors do."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from motion_lightning.errors import UserError
from motion_lightning.models.mdm import MDM, waves
from motion_lightning.text.condition import TextCond
from motion_lightning.zoo.checkpoint import fit
from motion_lightning.zoo.mdm import NAMES

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


def make(**options) -> MDM:
    torch.manual_seed(0)
    return MDM(D, E, **{"width": 32, "depth": 2, "heads": 2, "ff": 64, "dropout": 0.0, **options})


class Published(nn.Module):
    """The paper's model with the state dict's names, frames first, on torch's layers."""

    def __init__(self, width: int, depth: int, heads: int, ff: int):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, ff, dropout=0.1, activation="gelu")
        self.seqTransEncoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.input_process, self.output_process, self.embed_timestep = nn.Module(), nn.Module(), nn.Module()
        self.input_process.poseEmbedding = nn.Linear(D, width)
        self.output_process.poseFinal = nn.Linear(width, D)
        self.embed_timestep.time_embed = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.embed_text = nn.Linear(E, width)
        position, column = torch.arange(5000)[:, None], torch.arange(0, width, 2)
        angle = position * 10000.0 ** (-column / width)
        self.pe = torch.empty(5000, width)
        self.pe[:, 0::2], self.pe[:, 1::2] = angle.sin(), angle.cos()

    def forward(self, x, t, pooled, mask):
        first = self.embed_timestep.time_embed(self.pe[t]) + self.embed_text(pooled)
        h = torch.cat([first[None], self.input_process.poseEmbedding(x.transpose(0, 1))])
        h = h + self.pe[: len(h), None]
        h = self.seqTransEncoder(h, src_key_padding_mask=None if mask is None else ~F.pad(mask, (1, 0), value=True))
        return self.output_process.poseFinal(h[1:]).transpose(0, 1)


@pytest.mark.parametrize("hide", [True, False])
def test_published_weights_give_the_same_output(cond, batch, randomise, hide):
    """Every parameter has one of theirs; on padding too, where the published training let it be seen."""
    theirs = randomise(Published(32, 3, 4, 64)).eval()
    ours = make(depth=3, heads=4, null_text="zero", mask_frames=hide, dropout=0.1).eval()
    ours.load_state_dict(fit(theirs.state_dict(), ours.state_dict(), NAMES, {}, Path()).weights)
    x, t, mask = batch
    x = x * mask[..., None]
    drop = torch.tensor([False, True, False])
    with torch.no_grad():
        want = theirs(x, t, cond.pooled * ~drop[:, None], mask if hide else None)
        got = ours(x, t, ours.encode(cond, mask, drop), mask)
    torch.testing.assert_close(got[mask], want[mask], rtol=1e-5, atol=1e-5)


def test_the_published_size_has_the_published_parameters():
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in MDM(263, 512, null_text="zero").state_dict().items()}
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 17_880_327 and len(shapes) == 8 * 12 + 10
    assert shapes["inp.weight"] == (512, 263) and shapes["blocks.7.attention.qkv.weight"] == (1536, 512)
    assert shapes["blocks.7.mlp.0.weight"] == (1024, 512) and shapes["text.weight"] == (512, 512)


def test_positions_are_the_published_table():
    torch.testing.assert_close(waves(torch.arange(200), 32), Published(32, 1, 2, 8).pe[:200], rtol=1e-4, atol=1e-5)


def test_starts_at_the_mean_with_blocks_at_unit_scale(cond, batch):
    model, (x, t, mask) = make(), batch
    with torch.no_grad():
        assert not any(p.any() for name, p in model.named_parameters() if name.endswith("bias"))
        assert torch.equal(model(x, t, model.encode(cond, mask, NONE), mask), torch.zeros(B, T, D))
        h = model.blocks[0](torch.randn(B, T, 32), mask)
    torch.testing.assert_close(h.var(-1, correction=0), torch.ones(B, T), rtol=1e-3, atol=1e-3)


def test_every_parameter_gets_a_gradient_in_a_mixed_batch(cond, batch, randomise):
    drop, (x, t, mask) = torch.tensor([True, False, False]), batch
    for null in ("learned", "zero"):
        for model, dropped in [
            (make(null_text=null), drop),
            (make(null_text=null), ~NONE),
            (randomise(make(null_text=null)), drop),
        ]:
            model(x, t, model.encode(cond, mask, dropped), mask).square().sum().backward()
            assert not [name for name, p in model.named_parameters() if p.grad is None]
        # All keys share the bias of the key, and a softmax does not see what all its scores share.
        blind = {name: p.grad[32:64] for name, p in model.named_parameters() if name.endswith("qkv.bias")}
        assert all(grad.abs().max() < 1e-3 for grad in blind.values())
        assert not [name for name, p in model.named_parameters() if not p.grad.any()]


def test_the_null_is_learned_where_the_text_is_dropped(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    for dropped, learns in [(NONE, False), (torch.tensor([False, True, False]), True)]:
        model.zero_grad()
        model(x, t, model.encode(cond, mask, dropped), mask).square().sum().backward()
        assert bool(model.null.grad.any()) == learns


def test_the_zero_null_is_no_parameter_and_no_weight():
    model = make(null_text="zero")
    assert "null" not in model.state_dict() and not model.null.any()


def test_the_null_forgets_the_text_of_its_own_sample_only(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    other = TextCond(cond.tokens + 1, cond.mask.flip(0), cond.pooled - 1)
    drop = torch.tensor([True, True, False])
    with torch.no_grad():
        one, two = (model(x, t, model.encode(c, mask, drop), mask) for c in (cond, other))
        kept = model(x, t, model.encode(cond, mask, NONE), mask)
    torch.testing.assert_close(one[:2], two[:2])
    torch.testing.assert_close(one[2], kept[2])
    assert (one[2] - two[2]).abs().max() > 1e-3


@pytest.mark.parametrize("length", [1, 5, 8])
def test_frame_padding_changes_nothing(cond, randomise, length):
    model = randomise(make())
    torch.manual_seed(3)
    x, t = torch.randn(B, length, D), torch.tensor([3, 50, 97])
    mask = torch.ones(B, length, dtype=torch.bool)
    with torch.no_grad():
        want = model(x, t, model.encode(cond, mask, NONE), mask)
        for more in (1, 11):
            padded, wider = torch.cat([x, torch.full((B, more, D), 5.0)], 1), F.pad(mask, (0, more))
            got = model(padded, t, model.encode(cond, wider, NONE), wider)[:, :length]
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_padding_that_may_be_seen_changes_the_output(cond, batch, randomise):
    """What ``mask_frames: false`` costs: the same clip comes out differently beside a longer one."""
    model, (x, t, mask) = randomise(make(mask_frames=False)), batch
    with torch.no_grad():
        ctx = model.encode(cond, mask, NONE)
        together, alone = model(x, t, ctx, mask)[2, :6], model(x[:, :6], t, ctx, mask[:, :6])[2]
    assert (together - alone).abs().max() > 1e-3


def test_neighbours_in_the_batch_change_nothing(cond, batch, randomise):
    model, (x, t, mask) = randomise(make()), batch
    with torch.no_grad():
        together = model(x, t, model.encode(cond, mask, NONE), mask)
        for i, n in enumerate(mask.sum(1).tolist()):
            ctx = model.encode(TextCond(*(value[i : i + 1] for value in cond)), mask[i : i + 1, :n], NONE[:1])
            alone = model(x[i : i + 1, :n], t[i : i + 1], ctx, mask[i : i + 1, :n])
            torch.testing.assert_close(alone[0], together[i, :n], rtol=1e-4, atol=1e-5)


def test_time_text_and_order_matter(cond, batch, randomise):
    model, (x, t, _) = randomise(make()), batch
    mask, order = torch.ones(B, T, dtype=torch.bool), torch.randperm(T)
    with torch.no_grad():
        ctx = model.encode(cond, mask, NONE)
        base = model(x, t, ctx, mask)
        other = model.encode(cond._replace(pooled=cond.pooled.flip(0)), mask, NONE)
        assert (model(x, t, other, mask) - base)[[0, 2]].abs().max() > 1e-3
        assert (model(x, t + 1, ctx, mask) - base).abs().max() > 1e-4
        assert (model(x[:, order], t, ctx, mask) - base[:, order]).abs().max() > 1e-3


def test_a_condition_that_holds_a_text_will_do(cond, batch):
    class Scene(tuple):
        text = cond

    model, (_, _, mask) = make(), batch
    torch.testing.assert_close(model.encode(Scene(), mask, NONE).text, model.encode(cond, mask, NONE).text)


@pytest.mark.parametrize(
    ("options", "words"), [({"width": 30, "heads": 4}, "width=30"), ({"null_text": "none"}, "null_text=none")]
)
def test_bad_sizes_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        make(**options)
