"""Videos along poses: the pose is shown first, and hands are held against it."""

import pytest
import torch

from motion_lightning.assemble import build_model, encoded, fit_statistics
from motion_lightning.data.signs.skeleton_maps import PairCondition, SignPairCorpus
from motion_lightning.data.store import Store
from motion_lightning.data.writer import prepare_store
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.errors import UserError
from motion_lightning.pipeline import Sampling
from motion_lightning.tasks.sign_pairs import SignPairTask, films
from motion_lightning.tasks.task import Scoring, Shown

PACKAGE = "motion_lightning."


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_encoder) -> Store:
    path = tmp_path_factory.mktemp("stores") / "pairs"
    prepare_store(SignPairCorpus(train=12, val=3, test=6), tiny_encoder, path, progress=False)
    return Store.open(path).with_condition(PairCondition())


@pytest.fixture(scope="module")
def model(store, tiny_encoder):
    config = {
        "codec": {"_target_": PACKAGE + "codecs.video.VideoCodec"},
        "diffusion": {
            "process": {"_target_": PACKAGE + "diffusion.process.Process", "steps": 20},
            "precondition": {"_target_": PACKAGE + "diffusion.precondition.Karras"},
        },
        "model": {
            "_target_": PACKAGE + "models.pose2video.Pose2Video", "width": 16, "pairs": 1, "heads": 2, "readers": 1,
        },
    }  # fmt: skip
    model = build_model(config, text_dim=tiny_encoder.dim)
    fit_statistics(model, store)
    return model.eval()


def test_real_videos_as_samples_have_their_hands_in_place(model, store, tiny_encoder):
    part = store.split("test")
    samples = encoded(model.codec, part, list(range(len(part))))
    scores = SignPairTask().score(Scoring(model, store, part, samples, None, tiny_encoder.encode, 0))
    table = scores["tables"]["Hands"]
    assert (
        table["model"]["distance"] == pytest.approx(table["real"]["distance"], abs=2e-3) and table["model"]["near"] == 1
    )
    assert table["pose of another clip"]["distance"] > 10 * table["real"]["distance"]
    assert scores["headline"]["hands in place"] == 1 and scores["headline"]["sign clips, all right"] > 0.9


def test_a_model_samples_along_the_poses_of_a_batch(model, store):
    cond = store.split("val").collate([0, 2]).cond
    samples = model.sample(cond, [16, 16], Sampling(ddim, 2, 2.0))
    assert [x.shape for x in samples] == [(16, 3, 32, 32)] * 2 and all(torch.isfinite(x).all() for x in samples)


def test_the_pose_is_shown_before_what_follows_it(model, store, tmp_path):
    part = store.split("val")
    shown = []
    for i, x in enumerate(encoded(model.codec, part, [0, 1])):
        cond = part.collate([i]).cond
        shown += [Shown(x, f"clip {i}", "sample", cond), Shown(x, f"clip {i}", "real", cond, real=True)]
    drawn = films(model, shown)
    assert [film.title for film in drawn] == ["pose", "sample", "real"] * 2
    assert (drawn[3].frames.transpose(0, 3, 1, 2) == part.extras(1)["pose"]).all()
    assert abs(drawn[2].frames.transpose(0, 3, 1, 2).astype(int) - part.features(0)).max() <= 1
    assert SignPairTask().look(model, shown).body.count("<img") == 6
    assert SignPairTask().save(model, shown, tmp_path / "x")[0].stat().st_size


def test_prompts_without_a_pose_are_refused():
    with pytest.raises(UserError, match="says no pose"):
        SignPairTask(prompts=["both hands wave"])
