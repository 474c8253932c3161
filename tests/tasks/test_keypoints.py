"""What is drawn, kept and scored of signers."""

import numpy as np
import pytest
import torch

from motion_lightning.assemble import build_denoiser, build_model, encoded, fit_statistics
from motion_lightning.data.signs.keypoints import to_layout
from motion_lightning.data.signs.pose_file import read_pose
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.tasks.keypoints import KeypointTask, as_mediapipe, same_signs, speed
from motion_lightning.tasks.task import Scoring, Shown

PACKAGE = "motion_lightning."


@pytest.fixture(scope="module")
def model(sign_store, tiny_encoder):
    config = {
        "codec": {"_target_": PACKAGE + "codecs.keypoints.KeypointCodec"},
        "diffusion": {
            "process": {"_target_": PACKAGE + "diffusion.process.Process", "steps": 20},
            "precondition": {"_target_": PACKAGE + "diffusion.precondition.Wiener", "taps": 5},
        },
        "model": {"_target_": PACKAGE + "models.dit.DiT", "width": 16, "depth": 1, "heads": 2, "readers": 1},
    }
    model = build_model(config, text_dim=tiny_encoder.dim)
    fit_statistics(model, sign_store)
    return model.eval()


@pytest.fixture(scope="module")
def real(model, sign_store):
    """x of real clips as if they were samples."""
    part = sign_store.split("test").first(6)
    return part, encoded(model.codec, part, list(range(len(part))))


@pytest.mark.parametrize(
    "denoiser",
    [
        {"_target_": PACKAGE + "models.dit.DiT", "width": 16, "depth": 1, "heads": 2, "patch": 8},
        {"_target_": PACKAGE + "models.mdm.MDM", "width": 16, "depth": 1, "heads": 2},
        {"_target_": PACKAGE + "models.unet1d.UNet1d", "width": 16},
    ],
    ids=["dit", "mdm", "unet1d"],
)
def test_any_denoiser_of_flat_frames_makes_keypoints(denoiser, model, tiny_encoder):
    denoiser = build_denoiser(denoiser, model.codec.sizes, tiny_encoder.dim).eval()
    cond = tiny_encoder.encode(["there is fog in the west", "rain"])
    samples = Diffusion(denoiser, model.precondition, model.codec).sample(cond, [40, 23], Sampling(ddim, 2, 2.0))
    for x, frames in zip(samples, (40, 23), strict=True):
        assert model.codec.keypoints(x).shape == (frames, 50, 4) and torch.isfinite(x).all()


def scored(model, store, part, samples, encoder) -> dict:
    return KeypointTask().score(Scoring(model, store, part, samples, None, encoder.encode, 0))


def test_real_clips_as_samples_reach_the_ceiling_and_noise_does_not(model, real, sign_store, tiny_encoder):
    part, samples = real
    scores = scored(model, sign_store, part, samples, tiny_encoder)
    table = scores["tables"]["Signs"]
    assert list(table) == ["model", "lexicon", "retrieval", "real", "another text"]
    assert table["model"]["DTW-MJE"] < 1e-4 and table["model"]["wer"] == table["real"]["wer"] == 0
    assert table["model"]["speed, × real"] == pytest.approx(1, abs=1e-3)
    assert table["another text"]["wer"] > 0.5 and table["another text"]["DTW-MJE"] > 0.2
    assert table["lexicon"]["signs"] == 1 and table["lexicon"]["DTW-MJE"] < table["another text"]["DTW-MJE"] / 2
    assert scores["headline"]["sign error rate"] == 0
    torch.manual_seed(0)
    noise = scored(model, sign_store, part, [torch.randn_like(x) for x in samples], tiny_encoder)["headline"]
    assert noise["DTW-MJE"] > 0.3 and noise["sign error rate"] > 0.5


def test_the_real_row_is_another_signer_of_the_same_signs(sign_store):
    train = sign_store.split("train")
    glosses = [train.tags(i)["gloss"] for i in range(20)]
    for i, (gloss, twin) in enumerate(zip(glosses, same_signs(glosses, train), strict=True)):
        first = next(j for j in range(20) if glosses[j] == gloss)
        np.testing.assert_array_equal(twin, train.features(first))
        assert first < i or np.array_equal(twin, train.features(i))
    assert same_signs([["RAIN", "RAIN"]], train) == [None]


def test_a_table_gets_the_distance_to_the_real_clip(model, real):
    (part, clips), task = real, KeypointTask()
    own = task.figures(model, part, [4, 0], [clips[4], clips[0]])
    other = task.figures(model, part, [4, 0], [clips[1], clips[2]])
    assert own["DTW-MJE"] < 1e-3 < 0.05 < other["DTW-MJE"]
    assert task.figures(model, part, [4, 0], [], real=True) == {}


def test_files_are_a_film_and_poses_that_read_back(model, real, tmp_path):
    part, samples = real
    shown = [
        Shown(samples[0], part.captions(0)[0], "sample"),
        Shown(samples[0], part.captions(0)[0], "real", real=True),
    ]
    files = KeypointTask(every=8).save(model, shown, tmp_path / "step_000001")
    assert [file.name for file in files] == ["step_000001.mp4", "00.pose"] and all(
        file.stat().st_size for file in files
    )
    read = to_layout(read_pose(files[1]))
    clip = part.features(0)
    assert read.points.shape == (len(clip), 50, 3) and read.fps == 25
    points = (read.points - (256, 215, 0)) / 135
    others = [k for k in range(50) if k != 1]  # the neck is the middle of the shoulders
    np.testing.assert_allclose(points[:, others], clip[:, others, :3], atol=1e-3)


def test_a_page_shows_samples_beside_real_clips(model, real):
    part, samples = real
    shown = [
        Shown(samples[i], part.captions(i)[0], title, real=title == "real")
        for i in (0, 1)
        for title in ("sample", "real")
    ]
    fragment = KeypointTask().look(model, shown)
    assert fragment.body.count("<canvas") == 4 and part.captions(1)[0] in fragment.body and fragment.script
    assert KeypointTask().frames(model, 2.0) == 50


def test_samples_of_a_model_are_scored_without_tags_of_times(model, tiny_encoder, tmp_path):
    """A corpus that says neither gloss nor spans still has DTW-MJE."""
    from motion_lightning.data.signs.pose_corpus import PoseFolderCorpus, SignPoseCorpus
    from motion_lightning.data.store import Store
    from motion_lightning.data.writer import prepare_store

    SignPoseCorpus(train=6, val=3, test=6).export(tmp_path / "files", progress=False)
    prepare_store(PoseFolderCorpus(tmp_path / "files", dims=3), tiny_encoder, tmp_path / "store", progress=False)
    store = Store.open(tmp_path / "store")
    part = max((store.split(name) for name in ("val", "test")), key=len)
    scores = scored(model, store, part, encoded(model.codec, part, list(range(len(part)))), tiny_encoder)
    assert set(scores["tables"]["Signs"]) == {"model", "retrieval", "real", "another text"}
    assert scores["tables"]["Signs"]["real"]["DTW-MJE"] is None and set(scores["headline"]) == {"DTW-MJE"}


def test_unseen_points_are_unseen_in_the_file_and_speed_is_that_of_the_wrists():
    clip = np.ones((3, 50, 4), np.float32)
    clip[1, 10, 3] = 0
    assert as_mediapipe(clip, 25.0).confidence[1, 9] == 0 and as_mediapipe(clip, 25.0).points.shape == (3, 49, 3)
    clip[:, 4, 0] += np.array([0, 0.3, 0.6])
    assert speed(clip) == pytest.approx(0.15) and speed(clip[:1]) == 0
