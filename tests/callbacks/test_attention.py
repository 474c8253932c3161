"""Pictures of attention while training goes on, and where there is nothing to look at."""

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image

from motion_lightning.callbacks.attention import AttentionPicture, check, write_attention
from motion_lightning.callbacks.ema import EMA
from motion_lightning.codecs.pose import PoseCodec
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.errors import UserError
from motion_lightning.models.unet import PoseUNet
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.view.drawing import mix
from motion_lightning.view.heatmap import CELL_HEIGHT, heat_map
from motion_lightning.view.sheet import BAR, GAP, PAPER

PROMPTS = ["a person kicks", "someone raises the left arm"]
SAMPLING = Sampling(ddim, 2, 2.0)


def pose_model(**settings) -> Diffusion:
    torch.manual_seed(0)
    codec = PoseCodec()
    denoiser = PoseUNet(**codec.sizes, text_dim=8, **{"width": 8, "levels": 1, "cond_width": 16, **settings})
    return Diffusion(denoiser, Plain(Process("cosine", 10)), codec)


@pytest.fixture
def encoder(tiny_encoder, monkeypatch):
    def spans(text: str) -> list[tuple[int, int]]:
        ends = [i for i, letter in enumerate(text + " ") if letter == " "]
        return list(zip([0, *(end + 1 for end in ends)], ends, strict=False))

    monkeypatch.setattr(tiny_encoder, "spans", spans, raising=False)
    return tiny_encoder


class Module(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = pose_model()

    def training_step(self, batch, index):
        return self.model.denoiser.words.null_token.square().mean()

    def validation_step(self, batch, index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, *callbacks) -> None:
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, callbacks=[*callbacks], default_root_dir=folder,
    )  # fmt: skip
    data = torch.utils.data.DataLoader(torch.zeros(2, 1))
    trainer.fit(Module(), data, data)


@pytest.mark.filterwarnings("ignore")
def test_a_picture_after_every_other_validation_and_the_last(tmp_path, encoder):
    fit(tmp_path, AttentionPicture(encoder, SAMPLING, PROMPTS, every=2), EMA())
    assert sorted(file.name for file in (tmp_path / "samples").iterdir()) == [
        "attention_000004.png",
        "attention_000006.png",
    ]
    with pytest.raises(UserError, match="stands after the weight averaging"):
        fit(tmp_path, EMA(), AttentionPicture(encoder, SAMPLING, PROMPTS))


def test_a_row_for_each_joint_and_a_column_for_each_word(tmp_path, encoder, monkeypatch):
    drawn = []

    def note(values, rows, columns, *texts):
        drawn.append((values, rows, columns))
        return heat_map(values, rows, columns, *texts)

    monkeypatch.setattr("motion_lightning.callbacks.attention.heat_map", note)
    file = write_attention(tmp_path / "maps.png", pose_model(), encoder, PROMPTS, SAMPLING, 0)
    for (values, rows, columns), prompt in zip(drawn, PROMPTS, strict=True):
        assert columns == prompt.split() and rows[20] == "left_wrist" and values.shape == (22, len(columns))
        assert abs(values.sum(1) - 1).max() < 1e-5
    assert Image.open(file).width > 300 and [*tmp_path.iterdir()] == [file]


def test_a_larger_value_is_a_darker_cell():
    picture = np.asarray(heat_map(np.array([[0.0, 0.5, 1.0]]), ["joint"], ["one", "two", "three"])).astype(int)
    cells = picture[-GAP - CELL_HEIGHT + 1]  # along the top of the one row
    starts = 1 + np.flatnonzero(np.abs(np.diff(cells, axis=0)).sum(1))
    shades = [tuple(cells[x]) for x in starts]
    assert shades[0] == mix(PAPER, BAR, 0.5) and BAR in shades and PAPER in shades


@pytest.mark.parametrize(
    ("settings", "line"),
    [({"tokens": "vector"}, "tokens that are joints"), ({"text": "pooled"}, "a map of its one key is constant")],
)
def test_where_there_is_nothing_to_look_at(settings, line):
    with pytest.raises(UserError, match=line):
        check(pose_model(**settings))


def test_an_empty_list_is_refused(encoder):
    with pytest.raises(UserError, match=r"callbacks\.attention\.prompts is empty"):
        AttentionPicture(encoder, SAMPLING, [])
