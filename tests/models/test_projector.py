"""The projector between latents and the space of texts."""

import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.models.projector import KINDS, Projector

L, C, E = 3, 5, 7


def projector(kind: str = "transformer", **options) -> Projector:
    torch.manual_seed(0)
    return Projector(L, C, E, kind, **{"width": 16, "depth": 2, "heads": 2, "ff": 32, **options}).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind):
    model, z = projector(kind), torch.randn(4, L, C)
    p = model.encode(z)
    assert p.shape == (4, E) and model.decode(p).shape == z.shape
    torch.testing.assert_close(p.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(model.encode(z[1:2])[0], p[1])  # each by itself


@pytest.mark.parametrize("kind", KINDS)
def test_the_length_of_a_text_does_not_count(kind):
    model, text = projector(kind), torch.randn(4, E)
    torch.testing.assert_close(model.decode(7.5 * text), model.decode(text))
    assert not torch.allclose(model.decode(-text), model.decode(text))


@pytest.mark.parametrize("kind", KINDS)
def test_every_latent_token_counts_and_tokens_are_told_apart(kind):
    model, z = projector(kind), torch.randn(1, L, C)
    p = model.encode(z)
    for token in range(L):
        other = z.clone()
        other[:, token] += 1
        assert not torch.allclose(model.encode(other), p)
    assert not torch.allclose(model.encode(z.flip(1)), p)
    back = model.decode(p)[0]
    assert not torch.allclose(back[0], back[1])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_and_the_text(kind):
    model, text = projector(kind), torch.randn(2, E, requires_grad=True)
    (model.decode(model.encode(torch.randn(2, L, C))).square().sum() + model.decode(text).square().sum()).backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert text.grad.abs().sum() > 0


def test_depth_and_kind_are_settings():
    sizes = [sum(p.numel() for p in projector(kind, depth=depth).parameters()) for kind in KINDS for depth in (1, 2)]
    assert len({*sizes}) == 4
    with pytest.raises(UserError, match=r"model\.kind=cnn is unknown; choose one of transformer, mlp"):
        projector("cnn")
    with pytest.raises(UserError, match=r"model\.width=15 is no multiple of model\.heads=2"):
        projector(width=15)


@pytest.mark.parametrize("kind", KINDS)
def test_a_direct_matrix_gives_back_all_but_the_length_before_anything_is_learned(kind):
    model, z = Projector(2, 3, E, kind, width=16, depth=1, heads=2, ff=32, direct=True), torch.randn(4, 2, 3)
    unit = z / z.flatten(1).norm(dim=1)[:, None, None]
    torch.testing.assert_close(model.decode(model.encode(z)), unit * 6**0.5)
    (model.encode(z).sum() + model.decode(torch.randn(4, E)).sum()).backward()
    learns = [name for name, parameter in model.named_parameters() if parameter.grad.abs().sum() > 0]
    assert {"turn", "encoder.out.weight", "decoder.out.weight"} <= {*learns}
