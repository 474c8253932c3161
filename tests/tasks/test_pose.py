"""What is drawn of poses, and what figures say of the truth and of its mirror image."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from motion_lightning.codecs.pose import PoseCodec
from motion_lightning.data.mirroring import mirror_text
from motion_lightning.data.poses import PoseCorpus
from motion_lightning.data.programs.corpus import ProgramCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.models.unet import PoseUNet
from motion_lightning.motion.features import mirror
from motion_lightning.motion.skeleton import load_skeleton
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.tasks.attention import attention_maps, by_word
from motion_lightning.tasks.pose import PoseTask, real_poses
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.view.fragment import write_page

SKELETON = load_skeleton("humanml22")


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_encoder) -> Store:
    path = tmp_path_factory.mktemp("stores") / "poses"
    prepare_store(PoseCorpus(ProgramCorpus(train=60, val=2, test=60, workers=0)), tiny_encoder, path, progress=False)
    return Store.open(path)


@pytest.fixture(scope="module")
def model(store, randomise, tiny_encoder) -> Diffusion:
    codec = PoseCodec()
    codec.fit(store)
    denoiser = randomise(PoseUNet(**codec.sizes, text_dim=tiny_encoder.dim, width=16, cond_width=32))
    return Diffusion(denoiser, Plain(Process("cosine", 10)), codec)


def score(store: Store, model: Diffusion, encoder, flip: bool) -> dict:
    """Of real poses as samples, and for a mirrored caption of their mirror images; with ``flip`` both mirrored."""
    part, codec = store.split("test"), model.codec
    real = real_poses(codec, part)
    sided = [i for i in range(len(part)) if mirror_text(part.captions(i)[0]) != part.captions(i)[0]]
    own, other = (mirror(real, SKELETON), real) if flip else (real, mirror(real, SKELETON))

    def x(poses):
        return list(((poses[:, 1:].flatten(1) - codec.mean) / codec.std)[:, None])

    def draw(cond, lengths, seed):
        assert set(lengths) == {1}
        return x(other[sided] if len(lengths) == len(sided) else other[torch.arange(len(lengths)) % len(other)])

    return PoseTask().score(Scoring(model, store, part, x(own), draw, encoder.encode, seed=0))


def test_the_truth_is_a_body_and_knows_left_from_right(store, model, tiny_encoder):
    scores = score(store, model, tiny_encoder, flip=False)
    bodies = scores["tables"]["Bodies, metres"]
    assert bodies["model"]["bone error"] < 1e-5 and bodies["model"]["bone variation"] < 1e-4
    assert bodies["model"]["nearest training pose"] == pytest.approx(bodies["real"]["nearest training pose"], abs=1e-4)
    assert bodies["model"]["nearest training pose"] > 0.01 > bodies["retrieval"]["nearest training pose"]
    assert scores["headline"]["diversity, × real"] == pytest.approx(1, abs=1e-3)
    lateral = scores["shares"]["Left and right"]
    assert [row["model"] for row in lateral.values()] == [1.0, 1.0]
    sides = scores["shares"]["Side of the limb"]
    assert sides and all(row["model"] == row["real"] == 1 for row in sides.values())
    assert scores["shares"]["Side, in other words"]
    json.dumps(scores, allow_nan=False)


def test_whoever_takes_left_for_right_is_consistent_and_wrong(store, model, tiny_encoder):
    scores = score(store, model, tiny_encoder, flip=True)
    lateral = scores["shares"]["Left and right"]
    assert lateral["the side of the real pose"]["model"] == 0
    assert lateral["mirrored captions, mirrored poses"]["model"] == 1
    assert scores["shares"]["Side of the limb"]["kick"]["model"] == 0


def test_what_is_drawn(store, model, tmp_path):
    part = store.split("test")
    x, _ = model.codec.encode(part.collate(range(5), multiple_of=1))
    shown = [Shown(row, part.captions(i)[0], "real", real=True) for i, row in enumerate(x)]
    task = PoseTask()
    sheet, arrays = task.save(model, shown, tmp_path / "step_000005")
    assert Image.open(sheet).width > 4 * 240 and Image.open(sheet).height > 2 * 240
    saved = np.load(arrays)
    np.testing.assert_allclose(saved["joints"], real_poses(model.codec, part, [*range(5)]).numpy(), atol=1e-6)
    assert not saved["joints"][:, 0].any() and list(saved["prompts"]) == [one.caption for one in shown]
    page = write_page(tmp_path / "page.html", "Poses", task.look(model, shown)).read_text()
    assert page.count("<canvas") == 5
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page.html", "step_000005.npz", "step_000005.png"]
    assert task.frames(model, 4.0) == 1


def test_bodies_stand_on_the_floor(store, model):
    x, _ = model.codec.encode(store.split("test").collate(range(5), multiple_of=1))
    for view in PoseTask()._views(model, [Shown(row, str(i)) for i, row in enumerate(x)]):
        assert view.joints[..., 1].min() == 0 and view.joints.shape == (1, 22, 3)


# --------------------------------------------------------------------------------------------- attention


def test_a_sampling_run_tells_which_word_was_attended_to(model, tiny_encoder):
    """Samples are those of a run that nobody watches; maps do not depend on guidance but through the samples."""
    cond, sampling = tiny_encoder.encode(["a person kicks", "someone raises the left arm"]), Sampling(ddim, 4, 1.0)
    samples, maps = attention_maps(model, cond, [1, 1], sampling)
    assert maps.shape == (2, 22, 5)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 22))
    assert not maps[0, :, 3:].any()
    for a, b in zip(samples, model.sample(cond, [1, 1], sampling), strict=True):
        assert torch.equal(a, b)
    _, guided = attention_maps(model, cond, [1, 1], sampling._replace(guidance=2.0))
    assert guided.shape == maps.shape and not guided[0, :, 3:].any()


def test_tokens_are_put_together_to_words():
    text = "a  kickbox, left"
    spans = [(0, 0), (0, 1), (3, 7), (7, 10), (10, 11), (12, 16), (0, 0)]
    attention = torch.tensor([[0.3, 0.1, 0.1, 0.2, 0.05, 0.15, 0.1]])
    words, values = by_word(attention, text, spans)
    assert words == ["a", "kickbox,", "left"]
    torch.testing.assert_close(values, torch.tensor([[0.1, 0.35, 0.15]]))
