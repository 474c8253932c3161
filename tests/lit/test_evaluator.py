"""Training of evaluators: the contrast in closed form, what is left out of it, and a small training."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from motion_lightning.codecs.motion import FeatureCodec
from motion_lightning.data.datamodule import MotionDataModule
from motion_lightning.embedder import Embedder, translation
from motion_lightning.errors import UserError
from motion_lightning.lit.evaluator import Contrast, EvaluatorModule, contrast, same
from motion_lightning.models.tmr import TMR, Latent

OPTIMIZER = partial(torch.optim.AdamW, lr=3e-3)


@pytest.fixture
def make(tiny_store):
    def make(decoder: bool = False, patch: int = 4, **options) -> EvaluatorModule:
        torch.manual_seed(0)
        codec = FeatureCodec("essential")
        codec.fit(tiny_store)
        net = TMR(67, 8, width=32, depth=1, heads=2, ff=64, dropout=0.0, patch=patch, decoder=decoder)
        return EvaluatorModule(Embedder(net, codec), OPTIMIZER, warmup=2, **options)

    return make


def test_the_contrast_of_orthogonal_pairs_is_known():
    """Own cosine 1, all others 0: -log(e^(1/τ) / (e^(1/τ) + B - 1))."""
    x, none = torch.eye(5), torch.zeros(5, 5, dtype=torch.bool)
    wanted = -math.log(math.exp(2) / (math.exp(2) + 4))
    assert contrast(3 * x, 7 * x, none, temperature=0.5).item() == pytest.approx(wanted, rel=1e-5)


def test_pairs_of_one_kind_are_no_negatives():
    motions, texts = torch.randn(6, 8), torch.randn(6, 8)
    alike = torch.zeros(6, 6, dtype=torch.bool)
    alike[0, 3] = alike[3, 0] = True
    scores = F.normalize(motions, dim=-1) @ F.normalize(texts, dim=-1).T / 0.1
    rows = [[j for j in range(6) if not alike[i, j]] for i in range(6)]
    ways = [-(s[i, i] - s[i, rows[i]].logsumexp(0)) for s in (scores, scores.T) for i in range(6)]
    assert contrast(motions, texts, alike, 0.1).item() == pytest.approx(torch.stack(ways).mean().item(), rel=1e-5)


def test_kinds_and_near_sentences_are_the_same():
    pooled = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.0, -1.0]]), dim=-1)
    found = same(pooled, torch.tensor([0, 1, 2, 2]), alike=0.9)
    wanted = torch.eye(4, dtype=torch.bool)
    wanted[0, 1] = wanted[1, 0] = wanted[2, 3] = wanted[3, 2] = True
    assert torch.equal(found, wanted)


def test_divergence_is_that_of_normal_distributions():
    one, other = (Latent(torch.randn(3, 8), torch.randn(3, 8)) for _ in range(2))
    normal = [torch.distributions.Normal(q.mean, (0.5 * q.log_variance).exp()) for q in (one, other)]
    torch.testing.assert_close(one.divergence(other), torch.distributions.kl_divergence(*normal).mean(1))
    unit = torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(one.divergence(), torch.distributions.kl_divergence(normal[0], unit).mean(1))


@pytest.mark.parametrize("decoder", [False, True])
def test_every_parameter_gets_a_gradient(make, tiny_store, decoder):
    module = make(decoder)
    batch = tiny_store.split("train").collate(range(6))
    parts = module.compute_loss(batch, torch.arange(6), torch.randn_like)
    assert ("reconstruction" in parts) == decoder
    sum(parts.values()).backward()
    assert not [name for name, p in module.model.named_parameters() if p.grad is None]


def test_an_embedding_depends_on_its_clip_alone(make, tiny_store, randomise):
    """Not on padding, nor on what stands beside it."""
    model = randomise(make().model).eval()
    split = tiny_store.split("train")
    batch = split.collate(range(6))
    x, mask = model.codec.encode(batch)
    together = model.motions(x, mask)
    texts = model.texts(batch.cond)
    for i in range(6):
        alone = split.collate([i])
        x, mask = model.codec.encode(alone)
        torch.testing.assert_close(model.motions(x, mask)[0], together[i], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(model.texts(alone.cond)[0], texts[i], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(6))


def test_training_tells_kinds_apart_and_repeats_bit_for_bit(make, trainer, tiny_store):
    data = MotionDataModule(tiny_store, batch_size=8, steps_per_epoch=20)
    scores = []
    for _ in range(2):
        module, fit = make(), trainer(2)
        before = trainer().validate(module, data, verbose=False)[0]["val/loss"]
        fit.fit(module, data)
        scores.append(fit.callback_metrics["val/loss"].item())
    assert scores[0] == scores[1] < 0.7 * before


def test_the_validation_loss_does_not_depend_on_batches():
    rows = [torch.randn(10, 4) for _ in range(3)]
    whole, dealt = Contrast(0.1, 0.9), Contrast(0.1, 0.9)
    kinds, index = torch.arange(10) // 2, torch.arange(10)
    whole.update(*rows, kinds, index)
    for part in (torch.tensor([3, 1, 9]), torch.tensor([0, 2, 4, 5, 6, 7, 8, 3])):
        dealt.update(*(row[part] for row in rows), kinds[part], index[part])
    torch.testing.assert_close(whole.compute(), dealt.compute())


def test_samples_of_a_codec_with_more_parts_are_translated(make, tiny_store):
    model = make().model.eval()
    split = tiny_store.split("test")
    full = FeatureCodec("all")
    full.fit(tiny_store)
    clips = [split.collate([i], multiple_of=1) for i in range(3)]
    wanted = torch.cat([model.motions(*model.codec.encode(clip)) for clip in clips])
    samples = [full.encode(clip)[0][0] for clip in clips]
    torch.testing.assert_close(model.of_samples(samples, full, batch_size=2), wanted, atol=1e-4, rtol=1e-3)


def test_samples_of_another_layout_are_refused(tiny_store):
    less, more, other = FeatureCodec("essential"), FeatureCodec("no_rotations"), FeatureCodec("all", skeleton="kit21")
    with pytest.raises(UserError, match=r"the samples lack velocities, contacts, .* codec\.parts=essential"):
        translation(less, more)
    with pytest.raises(UserError, match="skeleton kit21, the evaluator knows humanml22"):
        translation(other, more)
    codec, swapped = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    codec.shape = swapped.shape = (3,)
    swapped.running_mean += 1
    with pytest.raises(UserError, match="differ in layout or in normalisation"):
        translation(codec, swapped)
