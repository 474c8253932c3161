"""What is drawn and scored of pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from motion_lightning.codecs.image import ImageCodec
from motion_lightning.data.digits import DigitsCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.metrics.affine import affine_error
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.tasks.image import SHARE, ImageTask
from motion_lightning.tasks.task import Scoring, Shown

SAMPLING = Sampling(ddim, 2, 3.0)


class Affine(nn.Module):
    """The best denoiser of two numbers, as a network that predicts eps and remembers what was dropped."""

    def __init__(self, pictures: torch.Tensor, process: Process):
        super().__init__()
        self.mean, self.variance, self.process = pictures.mean(), pictures.var(correction=0), process
        self.dropped = []

    def encode(self, cond, mask, drop):
        return (drop,)

    def forward(self, x_t, t, ctx, mask):
        self.dropped += ctx[0].tolist()
        a, s = (f(t).float().view(-1, 1, 1, 1, 1) for f in (self.process.a, self.process.s))
        return s / (a**2 * self.variance + s**2) * (x_t - a * self.mean)


@pytest.fixture(scope="module")
def digits(tmp_path_factory, tiny_encoder) -> Store:
    path = tmp_path_factory.mktemp("stores") / "digits"
    prepare_store(DigitsCorpus(texts=1), tiny_encoder, path, progress=False)
    return Store.open(path)


def pictures(store: Store, name: str) -> torch.Tensor:
    part = store.split(name)
    return part.collate(range(len(part)), multiple_of=1).x


@pytest.fixture
def make():
    def make(store: Store) -> Diffusion:
        process = Process("linear", 1000)
        return Diffusion(Affine(pictures(store, "train"), process), Plain(process, 64, "eps"), ImageCodec(1, 8))

    return make


def test_the_affine_denoiser_itself_scores_its_closed_form(make, fours):
    """About 0.23 on the fours, far from the mark, which is two fifths of that."""
    error = ImageTask(mark="affine").eps_error(make(fours), fours.split("train"), fours.split("val"))
    want = affine_error(pictures(fours, "train"), pictures(fours, "val"), Process("linear", 1000)).mean().item()
    assert error["affine denoiser"] == pytest.approx(want) == pytest.approx(0.231, abs=2e-3)
    assert error["model"] == pytest.approx(want, rel=0.03)
    assert error["mark"] == pytest.approx(SHARE * want)
    assert ImageTask(mark=0.08).eps_error(make(fours), fours.split("train"), fours.split("val"))["mark"] == 0.08


def scoring(model: Diffusion, store: Store, samples: list[torch.Tensor], clips: int) -> Scoring:
    return Scoring(model, store, store.split("test").first(clips), samples, lambda *_: [], None, seed=0)


def test_real_pictures_are_read_as_their_digits_and_others_are_not(make, digits):
    part = digits.split("test").first(100)
    right = list(pictures(digits, "test")[:100])
    wrong = right[50:] + right[:50]
    task, model = ImageTask(sampling=SAMPLING), make(digits)
    accuracy = task.digits(scoring(model, digits, right, 100))["right digit"]
    assert accuracy["model"] == accuracy["real"] > 0.95
    labels = np.array([part.tags(i)["label"] for i in range(100)])
    chance = float((np.roll(labels, 50) == labels).mean())
    assert task.digits(scoring(model, digits, wrong, 100))["right digit"]["model"] == pytest.approx(chance, abs=0.05)
    assert accuracy["null condition"] < 0.5
    assert all(model.denoiser.dropped)


def test_pictures_of_one_digit_have_none_to_read(make, fours):
    samples = list(pictures(fours, "test"))
    scores = ImageTask(mark="affine").score(scoring(make(fours), fours, samples, len(samples)))
    assert list(scores["tables"]) == ["Error of eps on validation pictures"]
    assert scores["headline"]["eps-MSE, val"] > scores["headline"]["eps-MSE, mark"]


@pytest.fixture
def shown(fours) -> list[Shown]:
    part, rows = fours.split("val"), []
    for i in range(3):
        batch = part.collate([i], multiple_of=1)
        caption = part.captions(i)[0]
        rows += [Shown(batch.x[0], caption, "sample", batch.cond), Shown(batch.x[0], caption, "real", None, real=True)]
    return rows


def test_a_sheet_has_a_row_of_samples_one_by_the_null_condition_and_one_of_real_pictures(make, fours, shown, tmp_path):
    model = make(fours)
    task = ImageTask(sampling=SAMPLING)
    body = task.look(model, shown).body
    assert [body.count(f">{row}<") for row in ("sample", "sample by the null condition", "real")] == [1, 1, 1]
    assert body.count("<img") == 9 and all(model.denoiser.dropped)
    sheet, arrays = task.save(model, shown, tmp_path / "sheet")
    assert Image.open(sheet).width > 3 * 96
    with np.load(arrays) as kept:
        assert kept["pictures"].shape == (9, 8, 8, 3)
        assert np.array_equal(kept["pictures"][0], kept["pictures"][-3])
        assert list(kept["rows"][::3]) == ["sample", "sample by the null condition", "real"]


def test_an_unconditional_model_has_no_second_row(make, fours, shown):
    body = ImageTask(sampling=SAMPLING._replace(guidance=0.0)).look(make(fours), shown).body
    assert "null condition" not in body and body.count("<img") == 6


def test_real_pictures_can_stand_alone(make, fours, shown):
    real = [one for one in shown if one.real]
    assert ImageTask(sampling=SAMPLING).look(make(fours), real).body.count("<img") == len(real) > 0


def test_guidance_moves_samples_from_the_null_condition_to_the_label(fours, randomise, tiny_encoder):
    """0 is the null condition, 1 the label alone; between and beyond lies the straight line, at one step."""
    from motion_lightning.models.unet2d import UNet2d

    process = Process("linear", 1000)
    net = randomise(UNet2d(1, 8, tiny_encoder.dim, width=8, heads=2), scale=0.1)
    model = Diffusion(net, Plain(process, 64, "x0"), ImageCodec(1, 8)).eval()
    cond = fours.split("val").collate([0, 1], multiple_of=1).cond
    other = fours.split("val").collate([2, 3], multiple_of=1).cond
    draw = {s: torch.stack(model.sample(cond, [1, 1], Sampling(ddim, 1, s))) for s in (0.0, 1.0, 3.0)}
    assert torch.equal(draw[0.0], torch.stack(model.sample(other, [1, 1], Sampling(ddim, 1, 0.0))))
    assert (draw[1.0] - draw[0.0]).abs().max() > 1e-3
    torch.testing.assert_close(draw[3.0], draw[0.0] + 3 * (draw[1.0] - draw[0.0]), rtol=1e-4, atol=1e-5)
