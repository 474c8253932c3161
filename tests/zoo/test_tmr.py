"""TMR's checkpoints, by keys and shapes as published."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from motion_lightning.assemble import read_checkpoint
from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.errors import UserError
from motion_lightning.evaluator import build_model

FILES = ("motion_encoder", "text_encoder", "motion_decoder")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """DistilBERT, 24 wide."""
    from transformers import BertTokenizerFast, DistilBertConfig, DistilBertModel

    path = tmp_path_factory.mktemp("bert")
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "person", "walks"]))
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    DistilBertModel(DistilBertConfig(vocab_size=8, dim=24, n_layers=1, n_heads=2, hidden_dim=32)).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory, layer, drawn):
    """Sizes → the folder last_weights. The published ones: width=256, depth=6, ff=1024, text=768."""

    def published(width=32, depth=2, ff=48, text=24, features=263, without=(), change=None):
        folder = tmp_path_factory.mktemp("tmr") / "last_weights"
        folder.mkdir()
        for name, numbers in (("motion_encoder", features), ("text_encoder", text), ("motion_decoder", features)):
            reads = name == "motion_decoder"
            stack = f"seqTrans{'De' if reads else 'En'}coder.layers"
            shapes = {} if reads else {"tokens": (2, width)}
            for i in range(depth):
                shapes |= layer(f"{stack}.{i}", width, ff, reads)
            own, out, in_ = ("final_layer", numbers, width) if reads else ("projection", width, numbers)
            shapes |= {f"{own}.weight": (out, in_), f"{own}.bias": (out,)}
            if name not in without:
                torch.save(drawn(shapes | (change or {}).get(name, {})), folder / f"{name}.pt")
        return folder

    return published


def loaded(run):
    state = read_checkpoint(run / "checkpoints/last.ckpt")
    model = build_model(state["config"], state["config"]["text_dim"])
    model.load_state_dict({key.removeprefix("model."): value for key, value in state["state_dict"].items()})
    return model.eval()


def test_it_becomes_an_evaluator(published, bert, stats, tmp_path, zoo):
    """What it says of a motion and of a text is what torch's own layers say, with the weights as published."""
    folder = published()
    zoo("import", "tmr", folder, f"name={tmp_path}/run", f"text_encoder={bert}", f"stats={stats()}")
    model = loaded(tmp_path / "run")
    angle = torch.arange(14)[:, None] * 10_000.0 ** (-torch.arange(0, 32, 2) / 32)
    places = torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (14, W)
    mask = torch.arange(12) < torch.tensor([[12], [5]])
    for name, features, ours in [
        ("motion_encoder", 263, model.net.encode_motion),
        ("text_encoder", 24, model.net.encode_text),
    ]:
        weights, x = torch.load(folder / f"{name}.pt", weights_only=True), torch.randn(2, 12, features)
        make = nn.TransformerEncoderLayer(32, 4, 48, 0.1, "gelu", batch_first=True)
        stack = nn.TransformerEncoder(make, 2, enable_nested_tensor=False).eval()
        prefix = "seqTransEncoder."
        stack.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
        inner = x @ weights["projection.weight"].T + weights["projection.bias"]
        h = torch.cat([weights["tokens"].expand(2, -1, -1), inner], 1) + places
        seen = torch.cat([torch.ones(2, 2, dtype=torch.bool), mask], 1)
        with torch.no_grad():
            want, got = stack(h, src_key_padding_mask=~seen)[:, :2], ours(x, mask)
        torch.testing.assert_close(torch.stack([*got], 1), want, rtol=1e-5, atol=1e-5)
    record = json.loads((tmp_path / "run/provenance.json").read_text())
    assert record["files"].keys() == {f"{name}.pt" for name in FILES} and not record["left_out"]
    x, _ = model.codec.encode(SimpleNamespace(x=torch.zeros(1, 3, 263), mask=torch.ones(1, 3, dtype=torch.bool)))
    torch.testing.assert_close(x[0, 0] * model.codec.std + model.codec.mean, torch.zeros(263), rtol=0, atol=1e-5)


def test_the_folder_and_lightnings_checkpoint_are_one(published, bert, stats, tmp_path, zoo):
    folder, given = published(), (f"text_encoder={bert}", f"stats={stats()}")
    parts = {name: torch.load(folder / f"{name}.pt", weights_only=True) for name in FILES}
    state = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()}
    state |= {"motion_encoder.sequence_pos_encoding.pe": torch.zeros(5000, 1, 32)}
    torch.save({"state_dict": state, "epoch": 999}, tmp_path / "last.ckpt")
    zoo("import", "tmr", folder, f"name={tmp_path}/one", *given)
    zoo("import", "tmr", tmp_path / "last.ckpt", f"name={tmp_path}/two", *given)
    one, two = (loaded(tmp_path / name).state_dict() for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def test_contacts_of_another_meaning_are_not_read(published, bert, stats, tmp_path, zoo):
    zoo("import", "tmr", published(), f"name={tmp_path}/run", f"text_encoder={bert}", f"stats={stats()}")
    model, x = loaded(tmp_path / "run"), torch.randn(9, 263)
    published_too = FeatureCodec("all", stand_speed=None)
    assert model.of_samples([x], published_too).shape == (1, 32)
    with pytest.raises(UserError, match=r"mean codec\.stand_speed=None to it and 0\.2 in the samples"):
        model.of_samples([x], FeatureCodec("all"))


def test_without_a_decoder_it_still_embeds(published, bert, stats, tmp_path, zoo):
    folder = published(without=("motion_decoder",))
    zoo("import", "tmr", folder, f"name={tmp_path}/run", f"text_encoder={bert}", f"stats={stats()}")
    assert loaded(tmp_path / "run").net.motion_decoder is None


def test_tmrs_own_statistics_are_read(published, bert, stats, tmp_path, zoo):
    torch.save(torch.arange(263.0), tmp_path / "mean.pt")
    torch.save(torch.full((263,), 2.0), tmp_path / "std.pt")
    zoo("import", "tmr", published(), f"name={tmp_path}/run", f"text_encoder={bert}", f"stats={tmp_path}")
    codec = loaded(tmp_path / "run").codec
    assert torch.equal(codec.mean, torch.arange(263.0)) and (codec.std == 2).all()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"without": ("text_encoder",)}, r"lacks text_encoder\.pt"),
        ({"text": 30}, r"text_encoder\.projection\.weight is 32 x 30, expected 32 x 24"),
        ({"features": 251}, r"motion_encoder\.projection\.weight is 32 x 251, expected 32 x 263"),
        ({"change": {"text_encoder": {"tokens": (1, 32)}}}, r"text_encoder\.tokens is 1 x 32, expected 2 x 32"),
        ({"change": {"text_encoder": {"head.weight": (1, 32)}}}, r"text_encoder\.head\.weight is unknown"),
        ({"width": 30}, "heads=4: give a number that divides the width, 30"),
    ],
)
def test_another_model_is_refused_by_name(published, bert, stats, tmp_path, zoo, made, words):
    with pytest.raises(UserError, match=words):
        zoo("import", "tmr", published(**made), f"name={tmp_path}/run", f"text_encoder={bert}", f"stats={stats()}")
    assert not list(tmp_path.iterdir())


def test_the_text_encoder_has_to_be_given(published, stats, tmp_path, zoo):
    with pytest.raises(UserError, match=r"text_encoder=FOLDER, of distilbert-base-uncased"):
        zoo("import", "tmr", published(), f"name={tmp_path}/run", f"stats={stats()}")
