"""Backbones of pictures: one that learns, and one that stays as it is."""

import copy

import pytest
import torch
from torch import nn

from motion_lightning.errors import UserError
from motion_lightning.models.image_backbone import ConvBackbone, FrozenViT

transformers = pytest.importorskip("transformers")
KINDS = {
    "vit": lambda **size: transformers.ViTModel(transformers.ViTConfig(**size)),
    "dinov2": lambda **size: transformers.Dinov2Model(transformers.Dinov2Config(**size)),
}


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory) -> str:
    """A tiny transformer with random weights, saved as pretrained ones are."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    path = tmp_path_factory.mktemp(request.param)
    KINDS[request.param](**size, image_size=32, patch_size=8).save_pretrained(path)
    return str(path)


def test_maps_are_an_eighth_as_large():
    assert ConvBackbone(4, 16)(torch.randn(2, 4, 64, 48)).shape == (2, 16, 8, 6)


def test_patch_tokens_are_a_map(folder):
    """Row by row as the transformer gives them, behind its class token, of pictures normalised as it knows them."""
    backbone, pictures = FrozenViT(folder), torch.rand(2, 3, 32, 32) * 2 - 1
    got = backbone(pictures)
    assert got.shape == (2, backbone.width, 4, 4)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        want = model(pixel_values=((pictures + 1) / 2 - mean) / std).last_hidden_state
    torch.testing.assert_close(got[:, :, 1, 2], want[:, 1 + 4 + 2], atol=1e-5, rtol=1e-5)
    assert FrozenViT(folder, size=48)(pictures).shape == (2, backbone.width, 6, 6)


def test_frozen_stays_frozen(folder):
    """train() does not wake its dropout, no gradient reaches it, and it is in no state, optimizer or average."""
    model = nn.Sequential(FrozenViT(folder), nn.Conv2d(16, 2, 1))
    inner = model[0]._frozen[0]
    assert model.train().training and not any(m.training for m in inner.modules())
    model(torch.rand(1, 3, 32, 32)).sum().backward()
    assert not any(p.requires_grad or p.grad is not None for p in inner.parameters())
    assert {name for name, _ in model.named_parameters()} == {"1.weight", "1.bias"} == model.state_dict().keys()


def test_frozen_goes_along_to_another_device_and_type(folder):
    backbone = FrozenViT(folder).double()
    assert next(backbone._frozen[0].parameters()).dtype == torch.float64
    assert backbone(torch.rand(1, 3, 32, 32).double()).dtype == torch.float64
    assert next(FrozenViT(folder).to("meta")._frozen[0].parameters()).device.type == "meta"
    twin = copy.deepcopy(backbone)  # as weight averaging makes one
    torch.testing.assert_close(twin(torch.ones(1, 3, 32, 32).double()), backbone(torch.ones(1, 3, 32, 32).double()))


def test_folders_without_a_vision_transformer_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"model\.backbone\.folder"):
        FrozenViT(str(tmp_path))
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertModel(transformers.BertConfig(vocab_size=10, **size)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="no patches"):
        FrozenViT(str(tmp_path))
