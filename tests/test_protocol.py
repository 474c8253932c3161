"""Protocols: what a replication draws, how figures are summed up, and what the ground-truth test catches."""

import numpy as np
import pytest
import torch
import yaml

from motion_lightning.errors import UserError
from motion_lightning.metrics.frechet import moments
from motion_lightning.paths import conf_dir
from motion_lightning.protocol import (
    Frames,
    MultiModalityPlan,
    Protocol,
    chosen_for_multimodality,
    draw,
    figures,
    generator_of,
    self_test,
    summarise,
)

NAMES = sorted(file.stem for file in (conf_dir() / "protocol").glob("*.yaml"))


class Clips:
    """A split of lengths alone; clip i has captions 3 i, 3 i + 1, 3 i + 2."""

    name = "test"

    def __init__(self, lengths: np.ndarray):
        self.lengths = lengths
        self.store = type("Store", (), {"path": "somewhere"})

    def text_ids(self, i: int) -> list[int]:
        return [3 * i, 3 * i + 1, 3 * i + 2]


@pytest.fixture
def split() -> Clips:
    return Clips(np.random.default_rng(0).integers(20, 260, 500))


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_of_the_configuration_is_one(name):
    made = Protocol.of(yaml.safe_load((conf_dir() / "protocol" / f"{name}.yaml").read_text()))
    assert made.name == name and made.pool == 32 and made.top == 3


def test_a_setting_that_there_is_not_is_named():
    with pytest.raises(UserError, match=r"protocol\.pol: there is no such setting; there are name"):
        Protocol.of({"name": "mine", "pol": 3})
    with pytest.raises(UserError, match=r"protocol\.lengths=some: give true or predicted"):
        Protocol.of({"name": "mine", "lengths": "some"})
    with pytest.raises(UserError, match=r"protocol\.diversity_pairs=0: give 1 or more"):
        Protocol.of({"name": "mine", "diversity_pairs": 0})
    with pytest.raises(UserError, match=r"protocol\.clips=31: a pool takes 32"):
        Protocol.of({"name": "mine", "clips": 31})


def test_a_draw_keeps_to_the_clips_that_take_part_and_cuts_within_them(split):
    protocol = Protocol("mine", diversity_pairs=100, frames=Frames(40, 199, multiple_of=4, shorten=1 / 3))
    shorter = []
    for number in range(20):
        drawn = draw(protocol, split, number)
        own = split.lengths[drawn.clips]
        assert len(drawn.clips) % 32 == 0 and len(np.unique(drawn.clips)) == len(drawn.clips)
        assert own.min() >= 40 and own.max() <= 199
        assert (drawn.lengths % 4 == 0).all() and (drawn.starts >= 0).all()
        assert (drawn.starts + drawn.lengths <= own).all()
        assert (drawn.texts // 3 == drawn.clips).all()
        shorter.append((own // 4 * 4 - drawn.lengths == 4).mean())
    assert np.mean(shorter) == pytest.approx(1 / 3, abs=0.03)


def test_a_draw_is_a_function_of_seed_and_number(split):
    protocol = Protocol("mine")
    one, same, other, seeded = (draw(protocol, split, *which) for which in ((3, 0), (3, 0), (4, 0), (3, 1)))
    assert all(map(np.array_equal, one, same))
    assert not np.array_equal(one.clips, other.clips) and not np.array_equal(one.clips, seeded.clips)
    assert len(set(one.texts % 3)) == 3  # any of the captions


def test_shuffled_pools_keep_every_clip_for_fid(split):
    assert len(draw(Protocol("mine", pools="shuffled"), split, 0).clips) == 500
    assert len(draw(Protocol("mine", pools="loader"), split, 0).clips) == 480
    assert len(draw(Protocol("mine", pools="loader"), split, 0, clips=100).clips) == 96


def test_fewer_clips_than_a_pool_are_refused(split):
    with pytest.raises(UserError, match="a pool of protocol=mine takes 32"):
        draw(Protocol("mine", frames=Frames(min=255)), split, 0)


@pytest.mark.parametrize(
    ("settings", "scored"), [({}, 480), ({"pools": "shuffled"}, 500), ({"clips": 100}, 96), ({"pool": 300}, 300)]
)
def test_fewer_clips_than_pairs_are_refused_and_what_fits_is_named(split, settings, scored):
    with pytest.raises(UserError, match=rf"500 clips, .* scores {scored}: too few for the {scored + 1} pairs") as error:
        Protocol("mine", diversity_pairs=scored + 1, **settings).eligible(split)
    assert str(error.value).endswith(f"protocol.diversity_pairs={scored}")
    assert len(Protocol("mine", diversity_pairs=scored, **settings).eligible(split)) == 500


def test_fewer_embeddings_than_pairs_get_no_figure():
    texts, motions = world(clips=64)
    with pytest.raises(UserError, match="64 embeddings are fewer than the 300 that are drawn for pairs"):
        figures(Protocol("mine"), texts, motions, moments(motions), generator_of(0, 0))


def test_captions_of_several_samples_are_the_first_or_drawn_anew(split):
    protocol = Protocol("mine", multimodality=MultiModalityPlan(captions=40, choose="first_batches"))
    drawn = draw(protocol, split, 0)
    assert chosen_for_multimodality(protocol, drawn, 0, 0).tolist() == list(range(40))
    protocol = Protocol("mine", multimodality=MultiModalityPlan(captions=40))
    one, other = (chosen_for_multimodality(protocol, drawn, number, 0) for number in (0, 1))
    assert len(set(one)) == 40 and set(one) != set(other)


def test_the_interval_is_the_fields():
    rows = [{"FID": 1.0}, {"FID": 2.0, "MultiModality": 3.0}]
    found = summarise(rows)
    assert found["FID"] == {"mean": 1.5, "interval": pytest.approx(1.96 * 0.5 / 2**0.5), "replications": 2}
    assert found["MultiModality"] == {"mean": 3.0, "interval": None, "replications": 1}
    assert summarise([{"FID": float("nan")}, {"FID": 1.0}])["FID"] is None


# ------------------------------------------------------------------------------- the ground-truth test


def world(clips: int = 4384, seed: int = 0, noise: float = 1.2) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts and motions (N, 16) that match about as well as HumanML3D's: R-precision 3 near .8."""
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randn(clips, 16, generator=generator, dtype=torch.float64)
    return texts, texts + noise * torch.randn(clips, 16, generator=generator, dtype=torch.float64)


def replications(texts: torch.Tensor, motions: torch.Tensor, count: int = 20, seed: int = 0) -> dict:
    protocol, real = Protocol("mine", pools="shuffled"), moments(motions)
    drawn = (generator_of(number, seed) for number in range(count))
    return summarise([figures(protocol, texts, motions, real, generator) for generator in drawn])


@pytest.fixture(scope="module")
def truth() -> tuple[tuple[torch.Tensor, torch.Tensor], dict]:
    texts, motions = world()
    found = replications(texts, motions)
    return (texts, motions), {name: [row["mean"], row["interval"]] for name, row in found.items()}


def test_sound_data_pass_with_other_pools(truth):
    (texts, motions), expected = truth
    assert 0.7 < expected["R-precision 3"][0] < 0.9
    for seed in range(1, 6):
        assert self_test(replications(texts, motions, seed=seed), expected) == []


@pytest.mark.parametrize("seed", range(5))
def test_one_percent_of_shuffled_captions_is_caught(truth, seed):
    (texts, motions), expected = truth
    wrong = torch.from_numpy(np.random.default_rng(seed).permutation(len(texts))[: len(texts) // 100])
    spoilt = texts.clone()
    spoilt[wrong] = texts[wrong.roll(1)]
    assert any(
        "R-precision" in line or "MM-Dist" in line for line in self_test(replications(spoilt, motions), expected)
    )


def test_motions_of_another_scale_are_caught(truth):
    """As of a normaliser with another deviation, or velocities of another frame rate."""
    (texts, motions), expected = truth
    assert self_test(replications(texts, motions * torch.linspace(0.9, 1.1, 16)), expected)


def test_a_figure_that_is_not_there_is_no_pass():
    assert self_test({"FID": None}, {"FID": [0.1, 0.0]}) == ["real motions have no FID, expected 0.1"]
