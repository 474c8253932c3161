"""Geometric losses through the codec, in metres."""

import pytest
import torch

from motion_lightning.data.batch import Batch
from motion_lightning.errors import UserError
from motion_lightning.lit.losses import foot, position, velocity
from motion_lightning.motion.features import joints_to_features
from motion_lightning.motion.skeleton import load_skeleton

LOSSES = [position, velocity, foot]


@pytest.fixture(scope="module")
def codec(make_model):
    return make_model().codec


@pytest.fixture
def real(walk, codec) -> tuple:
    """x (2, 60, D) of a walk with planted feet, cut to 41 frames in the second row, and its batch."""
    features = torch.from_numpy(joints_to_features(walk, load_skeleton()))
    mask = torch.arange(len(features)) < torch.tensor([[len(features)], [41]])
    batch = Batch(features.repeat(2, 1, 1) * mask[..., None], mask, None, None)
    return codec.encode(batch)[0], mask, batch


@pytest.mark.parametrize("loss", LOSSES)
def test_real_motion_costs_nothing_and_a_perturbed_one_does(codec, real, loss):
    x0, mask, batch = real
    torch.testing.assert_close(loss(codec, x0, x0, mask, batch), torch.zeros(2), rtol=0, atol=1e-10)
    torch.manual_seed(0)
    near, far = (loss(codec, x0 + size * torch.randn_like(x0), x0, mask, batch) for size in (0.1, 1.0))
    assert near.shape == (2,) and (near > 0).all() and (far > 3 * near).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_padding_is_not_seen(codec, real, loss):
    x0, mask, batch = real
    torch.manual_seed(0)
    x0_hat = x0 + torch.randn_like(x0)
    want = loss(codec, x0_hat, x0, mask, batch)
    spoiled = torch.where(mask[..., None], x0_hat, 1e6)
    torch.testing.assert_close(loss(codec, spoiled, x0, mask, batch), want)
    alone = loss(codec, x0_hat[1:, :41], x0[1:, :41], mask[1:, :41], batch)
    torch.testing.assert_close(alone, want[1:])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_leads_to_less(codec, real, loss):
    x0, mask, batch = real
    torch.manual_seed(0)
    x0_hat = (x0 + 0.3 * torch.randn_like(x0)).requires_grad_()
    before = loss(codec, x0_hat, x0, mask, batch).sum()
    (gradient,) = torch.autograd.grad(before, x0_hat)
    assert gradient.isfinite().all() and not gradient[~mask].any()
    after = loss(codec, x0_hat - 0.05 * gradient / gradient.norm(), x0, mask, batch).sum()
    assert after < before


def test_units_are_metres(codec, real):
    """A root that rises by 2 m: every joint's height moves with it, or stays, by what the features say."""
    x0, mask, batch = real
    risen, height = x0.clone(), codec.slices["root_height"]
    risen[..., height] += 2 / codec.std[height]
    torch.testing.assert_close(position(codec, risen, x0, mask, batch), torch.full((2,), 4 / 22), rtol=1e-3, atol=0)
    torch.testing.assert_close(velocity(codec, risen, x0, mask, batch), torch.zeros(2), rtol=0, atol=1e-8)


def test_as_published_a_real_foot_may_not_move_at_all(codec, real):
    x0, mask, batch = real
    assert (foot(codec, x0, x0, mask, batch, tolerance=0.0) >= 0).all()
    drift = x0.clone()
    drift[..., codec.slices["root_velocity"]] += 0.005 / codec.std[codec.slices["root_velocity"]]  # 7 mm a frame
    strict, lenient = (foot(codec, drift, x0, mask, batch, tolerance=t) for t in (0.0, None))
    assert (strict > lenient).all() and (strict > 2e-5).all()


def test_without_contacts_there_are_no_feet_to_hold(make_model, real):
    codec = make_model(parts="essential").codec
    x0, mask = codec.encode(real[2])
    with pytest.raises(UserError, match=r"codec\.parts"):
        foot(codec, x0, x0, mask, real[2])
