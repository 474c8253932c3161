"""DiT's blocks, by keys and shapes as published."""

import json

import pytest
import torch
from torch import nn

from motion_lightning.assemble import build_model, build_module, start_from
from motion_lightning.config import compose
from motion_lightning.errors import UserError
from motion_lightning.models.dit import DiT
from motion_lightning.models.layers import modulate


@pytest.fixture(scope="module")
def published(tmp_path_factory, drawn):
    """Sizes → a checkpoint. The published ones: width=1152, depth=28."""

    def published(width=32, depth=2, change=None, wrap=False):
        shapes = {"pos_embed": (1, 256, width), "y_embedder.embedding_table.weight": (1001, width)}
        shapes |= {"x_embedder.proj.weight": (width, 4, 2, 2), "x_embedder.proj.bias": (width,)}
        linear = [("t_embedder.mlp.0", width, 256), ("t_embedder.mlp.2", width, width)]
        linear += [("final_layer.linear", 32, width), ("final_layer.adaLN_modulation.1", 2 * width, width)]
        for i in range(depth):
            linear += [(f"blocks.{i}.attn.qkv", 3 * width, width), (f"blocks.{i}.attn.proj", width, width)]
            linear += [(f"blocks.{i}.mlp.fc1", 4 * width, width), (f"blocks.{i}.mlp.fc2", width, 4 * width)]
            linear += [(f"blocks.{i}.adaLN_modulation.1", 6 * width, width)]
        for name, out, in_ in linear:
            shapes |= {f"{name}.weight": (out, in_), f"{name}.bias": (out,)}
        state, file = drawn(shapes | (change or {})), tmp_path_factory.mktemp("dit") / "DiT-S-2.pt"
        torch.save({"ema": state} if wrap else state, file)
        return file

    return published


def test_a_block_is_the_published_one(published, tmp_path, zoo):
    """Written out on torch's functions, from the paper: adaLN-Zero, GELU by tanh, eps of 1e-6."""
    file = published()
    zoo("import", "dit", file, f"name={tmp_path}/start", "heads=4")
    model, theirs = DiT(137, 16, 32, 2, 4, original=True).eval(), torch.load(file, weights_only=True)
    start_from(model, tmp_path / "start")
    h, c = 1e-3 * torch.randn(3, 7, 32), torch.randn(3, 32)  # small, so that eps shows

    def linear(x, name):
        return x @ theirs[f"{name}.weight"].T + theirs[f"{name}.bias"]

    def norm(x):
        return nn.functional.layer_norm(x, (32,), eps=1e-6)

    want = h
    for i in range(2):
        name = f"blocks.{i}"
        parts = linear(nn.functional.silu(c), f"{name}.adaLN_modulation.1").chunk(6, -1)
        q, k, v = (
            linear(modulate(norm(want), *parts[:2]), f"{name}.attn.qkv").view(3, 7, 3, 4, 8).permute(2, 0, 3, 1, 4)
        )
        read = (q @ k.mT * 8**-0.5).softmax(-1) @ v
        want = want + parts[2][:, None] * linear(read.transpose(1, 2).flatten(2), f"{name}.attn.proj")
        inner = nn.functional.gelu(linear(modulate(norm(want), *parts[3:5]), f"{name}.mlp.fc1"), approximate="tanh")
        want = want + parts[5][:, None] * linear(inner, f"{name}.mlp.fc2")
    with torch.no_grad():
        got, plain = h, DiT(137, 16, 32, 2, 4).eval()
        start_from(plain, tmp_path / "start")
        for block in model.blocks:
            got = block(got, c, torch.ones(3, 7, dtype=torch.bool))
        other = plain.blocks[0](h, c, torch.ones(3, 7, dtype=torch.bool))
        assert (other - model.blocks[0](h, c, torch.ones(3, 7, dtype=torch.bool))).abs().max() > 1e-4  # it matters
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)
    assert torch.equal(model.time.mlp[0].weight, theirs["t_embedder.mlp.0.weight"])
    assert torch.equal(model.modulation[1].bias, theirs["final_layer.adaLN_modulation.1.bias"])


def test_what_is_of_pictures_is_named_as_left_out(published, tmp_path, zoo, capsys):
    file = published(wrap=True)
    zoo("import", "dit", file, f"name={tmp_path}/start", "heads=4")
    record, theirs = json.loads((tmp_path / "start/provenance.json").read_text()), torch.load(file)["ema"]
    left_out = [key for keys in record["left_out"].values() for key in keys]
    assert len(left_out) == 6 and len(left_out) + record["tensors_used"] == len(theirs)
    assert {"pos_embed", "final_layer.linear.weight", "x_embedder.proj.bias"} < {*left_out}
    assert "next:  python -m motion_lightning.train model=dit model.width=32 model.depth=2 model.heads=4" in (
        capsys.readouterr().out
    )


def test_training_starts_from_it(published, tiny_store, tmp_path, zoo):
    file = published()
    zoo("import", "dit", file, f"name={tmp_path}/start", "heads=4")
    sizes = ["model.width=32", "model.depth=2", "model.heads=4", "model.original=true", "diffusion=plain"]
    cfg = compose("train", [*sizes, f"start={tmp_path}/start"])
    model = build_module(cfg, build_model(cfg, 8), tiny_store, {}).model
    theirs = torch.load(file, weights_only=True)
    assert torch.equal(model.denoiser.blocks[1].attention.out.weight, theirs["blocks.1.attn.proj.weight"])


def test_bad_input(published, tmp_path, zoo):
    for made, given, words in [
        ({}, (), "is 32 wide, and the published ones 384, 768, 1024, 1152"),
        ({}, ("heads=3",), "heads=3: give a number that divides the width, 32"),
        ({"change": {"blocks.1.attn.qkv.bias": (95,)}}, ("heads=4",), r"blocks\.1\.attn\.qkv\.bias is 95, expected 96"),
        ({"change": {"blocks.1.gate": (2,)}}, ("heads=4",), r"blocks\.1\.gate is unknown"),
    ]:
        with pytest.raises(UserError, match=words):
            zoo("import", "dit", published(**made), f"name={tmp_path}/start", *given)
    assert not list(tmp_path.iterdir())
    zoo("import", "dit", published(), f"name={tmp_path}/start", "heads=4")
    with pytest.raises(UserError, match=r"blocks\.1\.\S+ is .*, the configured model has nothing"):
        start_from(DiT(137, 16, 32, 1, 4), tmp_path / "start")
    with pytest.raises(UserError, match=r"no start\.pt"):
        start_from(DiT(137, 16, 32, 1, 4), tmp_path)
