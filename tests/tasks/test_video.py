"""What is shown of videos, and what hand tracking says of true, of shuffled and of empty ones."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.video import VideoCodec
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.pipeline import Diffusion
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.tasks.video import VideoTask
from motion_lightning.view.fragment import write_page


@pytest.fixture(scope="module")
def model(video_store) -> Diffusion:
    codec = VideoCodec(size=24)
    codec.fit(video_store)
    return Diffusion(torch.nn.Identity(), Plain(Process("cosine", 10)), codec)


@pytest.fixture(scope="module")
def real(model, video_store):
    part = video_store.split("test")
    return model.codec.encode(part.collate(range(len(part))))[0]


def scores(model, store, samples, encode) -> dict:
    return VideoTask().score(Scoring(model, store, store.split("test"), list(samples), None, encode, seed=0))


def test_true_videos_are_right_empty_ones_are_not_and_strangers_seldom(model, video_store, real, tiny_encoder):
    true, empty, stranger = (
        scores(model, video_store, x, tiny_encoder.encode) for x in (real, 0 * real, real.roll(1, 0))
    )
    rows = true["tables"]["Signs"]
    assert rows["model"] == rows["real"] and rows["real"]["clip"] == rows["real"]["both"] == 1
    assert rows["real"]["clip"] > rows["retrieval"]["clip"]
    assert true["headline"] == {"sign clips, all right": 1.0, "sign movements right": 1.0}
    assert empty["tables"]["Signs"]["model"]["lost"] == 1 and empty["headline"]["sign clips, all right"] == 0
    assert stranger["headline"]["sign clips, all right"] < 0.3
    assert true["tables"]["Movements right"]["model"].keys() == true["tables"]["Movements right"]["retrieval"].keys()


def test_sample_stands_beside_real_in_a_page_that_holds_everything(model, real, tmp_path):
    task = VideoTask(["a & b"])
    shown = [Shown(real[0], "left <hand>", "sample"), Shown(real[1], "left <hand>", "real", real=True)]
    page = write_page(tmp_path / "page.html", "Samples", task.look(model, shown)).read_text()
    assert page.count("data:image/png;base64,") == 2 and "left &lt;hand&gt;" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    film, arrays = task.save(model, shown, tmp_path / "step_000001")
    assert film.suffix == ".mp4" and film.stat().st_size > 1000
    with np.load(arrays) as kept:
        assert kept["videos"].shape == (2, 16, 24, 24, 3) and kept["videos"].dtype == np.uint8
        assert np.array_equal(kept["videos"][0], model.codec.decode(real[0]).movedim(1, -1))
        assert kept["prompts"].tolist() == ["left <hand>"] * 2


def test_all_samples_have_the_one_length_there_is(model):
    assert VideoTask().frames(model, seconds=99) == 16
