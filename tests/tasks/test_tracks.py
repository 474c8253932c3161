"""What is drawn of tracks, and what figures say of the truth, of nothing, and of the opposite."""

import numpy as np
import pytest
import torch

from motion_lightning.codecs.tracks import TrackCodec
from motion_lightning.data.store import Store
from motion_lightning.data.tracks.condition import TrackCondition
from motion_lightning.data.tracks.corpus import TrackCorpus
from motion_lightning.data.writer import prepare_store
from motion_lightning.diffusion.precondition import Plain
from motion_lightning.diffusion.process import Process
from motion_lightning.diffusion.samplers import ddim
from motion_lightning.models.image_backbone import ConvBackbone
from motion_lightning.models.track_dit import TrackDiT
from motion_lightning.pipeline import Diffusion, Sampling
from motion_lightning.tasks.task import Scoring, Shown
from motion_lightning.tasks.tracks import TrackTask
from motion_lightning.view.fragment import write_page


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_encoder) -> Store:
    path = tmp_path_factory.mktemp("stores") / "scenes"
    corpus = TrackCorpus(train=4, val=0, test=5, size=24, workers=0)
    prepare_store(corpus, tiny_encoder, path, progress=False)
    return Store.open(path).with_condition(TrackCondition())


@pytest.fixture(scope="module")
def model(store) -> Diffusion:
    codec = TrackCodec()
    codec.fit(store)
    return Diffusion(torch.nn.Identity(), Plain(Process("cosine", 10)), codec)


@pytest.fixture(scope="module")
def scores(store, model, tiny_encoder) -> dict:
    """Of the truth itself, a little noisier at each further try; and of its mirror image."""
    part = store.split("test")
    real, _ = model.codec.encode(part.collate(range(len(part)), multiple_of=1))

    def score(samples):
        def draw(cond, lengths, seed):
            noise = torch.randn(len(lengths), *real.shape[1:], generator=torch.Generator().manual_seed(seed))
            first = next(i for i in range(len(part)) if torch.equal(cond.query[0], part.collate([i]).cond.query[0]))
            return list(samples[first : first + len(lengths)] + 0.1 * noise)

        return TrackTask(tries=3).score(Scoring(model, store, part, list(samples), draw, tiny_encoder.encode, seed=0))

    there = model.codec.encode(part.collate(range(len(part)), multiple_of=1))[0] != 0
    opposite = (2 * (-model.codec.mean / model.codec.std) - real) * there  # every displacement the other way
    return {"truth": score(real), "opposite": score(opposite)}


def test_the_truth_has_no_error(scores):
    tables = scores["truth"]["tables"]
    assert all(value < 1e-3 for value in tables["End point error"]["model"].values())
    assert tables["Hands"]["model"]["place, px"] < 1e-3 and tables["Hands"]["model"]["rotation, degrees"] < 0.05
    asked = tables["What the sentence asks for"]
    assert asked["model"] == asked["real"]
    assert asked["real"]["right way"] == 1 and asked["real"]["right object"] == 1 and asked["real"]["cases"] >= 5
    assert scores["truth"]["headline"]["FDE, × moving nothing"] < 1e-3


def test_figures_stand_beside_what_needs_no_model(scores):
    table = scores["truth"]["tables"]["End point error"]
    assert list(table) == ["model", "zero", "mean of training", "nearest caption", "best of 3"]
    assert 1 < table["zero"]["ADE, px"] < table["zero"]["FDE, px"] < table["zero"]["FDE of points that move, px"]
    assert table["zero"]["FDE, share of the picture"] == pytest.approx(table["zero"]["FDE, px"] / 24)
    assert table["best of 3"]["ADE, px"] <= table["model"]["ADE, px"] + 1e-9
    asked = scores["truth"]["tables"]["What the sentence asks for"]
    assert asked["zero"]["right way"] == 0 == asked["zero"]["right object"]
    assert asked["mean of training"]["right object"] < 1  # where all move alike, none is picked out
    assert scores["truth"]["tables"]["Hands"]["zero"]["rotation, degrees"] > 1


def test_the_opposite_way_is_wrong(scores):
    opposite = scores["opposite"]["tables"]
    assert opposite["What the sentence asks for"]["model"]["right way"] == 0
    zero, model = (opposite["End point error"][name]["FDE, px"] for name in ("zero", "model"))
    assert model == pytest.approx(2 * zero, rel=1e-4)


def test_end_points_of_the_truth_are_right_and_those_of_another_clip_are_not(store, model):
    part, task = store.split("test"), TrackTask()
    real, _ = model.codec.encode(part.collate(range(len(part)), multiple_of=1))
    clips = [3, 0, 3, 1]
    found = task.figures(model, part, clips, [real[i] for i in clips])
    assert found == pytest.approx({"ADE (px)": 0, "FDE (px)": 0}, abs=1e-3)
    assert task.figures(model, part, clips, [real[2]] * 4)["FDE (px)"] > 0.5
    assert task.figures(model, part, clips, [], real=True) == {}


def test_clips_are_drawn_over_their_scenes(store, model, tmp_path):
    part, task = store.split("test"), TrackTask()
    batch = part.collate([0, 1], multiple_of=1)
    x, _ = model.codec.encode(batch)
    conds = [part.collate([i]).cond for i in (0, 1)]
    shown = [Shown(x[0], "a hand pushes", "sample", conds[0]), Shown(x[1], "<lifts>", "real", conds[1], real=True)]
    films = task._films(model, shown)
    assert [film.frames.shape for film in films] == [(10, 224, 224, 3)] * 2
    first, last = films[0].frames[0].astype(int), films[0].frames[-1].astype(int)
    assert np.abs(first - last).max() > 50  # something moves
    page = write_page(tmp_path / "page.html", "tracks", task.look(model, shown)).read_text()
    assert page.count("data:image/png;base64,") == 2 and "&lt;lifts&gt;" in page
    assert "//" not in page.replace("data:image/png;base64,", "").split("<img")[0]
    film, arrays = task.save(model, shown, tmp_path / "step_1")
    assert film.suffix == ".mp4" and film.stat().st_size > 1000
    kept = np.load(arrays)
    np.testing.assert_allclose(kept["displacements"][0], part.features(0), atol=1e-5)
    assert kept["hand_rotations"].shape == (2, 10, 2, 3, 3)
    assert task.prompts == [] and task.frames(model, 3.0) == 9


def test_a_guided_sampling_run(store, model):
    """One call of the denoiser a step, of both conditions together; pictures and text are read once."""
    codec, steps = model.codec, 4
    sizes = {name: codec.sizes[name] for name in ("dims", "hands")}
    net = TrackDiT(**sizes, text_dim=8, backbone=ConvBackbone(4, 16), width=16, depth=1, heads=2)
    whole, part, calls = Diffusion(net, model.precondition, codec), store.split("test"), []
    for module in (net, net.backbone, net.text):
        module.register_forward_hook(lambda m, args, _: calls.append((m, len(args[0]))))
    cond = part.collate([0, 1, 2], multiple_of=1).cond
    blind = cond._replace(moves=type(cond.moves)(*(torch.full_like(m, torch.nan) for m in cond.moves)))
    lengths = [codec.steps - 1] * 3
    samples = whole.sample(blind, lengths, Sampling(ddim, steps, 2.0), seed=0)
    assert [x.shape for x in samples] == [(9, *codec.shape)] * 3 and torch.stack(samples).isfinite().all()
    assert [n for m, n in calls if m is net] == [6] * steps
    assert [n for m, n in calls if m is net.backbone] == [12]  # three scenes of two pictures, with and without text
    assert len([m for m, _ in calls if m is net.text]) == 1
    assert not codec.decode(samples[0]).tracks[0].any()  # slot 0
