"""Preconditions: what the network sees, what its output means, what it should have said."""

import pytest
import torch

from motion_lightning.diffusion.precondition import Karras, Plain, Wiener
from motion_lightning.diffusion.process import SCHEDULES, TARGETS, Process
from motion_lightning.errors import UserError
from motion_lightning.metrics.skill import FrameWiener

B, T, D, STEPS = 4, 5, 6, 1000


@pytest.fixture(scope="module")
def covariance() -> torch.Tensor:
    """Correlated, with variances from 2e-3 to 9."""
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64))
    return basis @ torch.diag(torch.tensor([9, 3, 1, 0.3, 0.05, 0.002], dtype=torch.float64)) @ basis.T


@pytest.fixture(scope="module")
def mask() -> torch.Tensor:
    return torch.ones(B, T, dtype=torch.bool)


@pytest.fixture
def wiener(covariance) -> Wiener:
    """Of a single frame, fitted to frames whose second moments are exactly the covariance."""
    return fitted(covariance)


def fitted(covariance: torch.Tensor, schedule: str = "cosine") -> Wiener:
    torch.manual_seed(5)
    white = torch.randn(400, D, dtype=torch.float64)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / len(white))).T
    wiener = Wiener(Process(schedule, STEPS), D, taps=1)
    wiener.fit([*(white @ torch.linalg.cholesky(covariance).T).split(100)])
    return wiener


def draw(covariance: torch.Tensor, *shape: int) -> torch.Tensor:
    noise = torch.randn(*shape, D, dtype=torch.float64)
    return noise @ torch.linalg.cholesky(covariance).T


def test_zero_output_is_the_linear_filter(wiener, covariance, mask):
    torch.manual_seed(1)
    t = torch.tensor([0, 17, 500, STEPS - 1])
    x_t = torch.randn(B, T, D)
    got = wiener(x_t, t, mask).x0(torch.zeros(B, T, D))
    torch.testing.assert_close(got.double(), FrameWiener(covariance, wiener.process)(x_t, t), atol=2e-6, rtol=1e-5)
    a, s = (c(t).view(-1, 1, 1) for c in (wiener.process.a, wiener.process.s))
    closed = x_t.double() @ torch.linalg.inv(a**2 * covariance + s**2 * torch.eye(D)) @ (covariance * a)
    torch.testing.assert_close(got.double(), closed, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("t", [0, 60, 500, 940, STEPS - 1])
def test_target_has_unit_variance(wiener, covariance, t):
    """On data of that covariance, for every component, uncorrelated; the input is what the filter explains."""
    torch.manual_seed(2)
    wiener = wiener.double()
    x0, t, mask = draw(covariance, 20_000, 1), torch.full((20_000,), t), torch.ones(20_000, 1, dtype=torch.bool)
    view = wiener(wiener.process.noise(x0, t, torch.randn_like(x0)), t, mask)
    torch.testing.assert_close(view.target(x0)[:, 0].T.cov(), torch.eye(D, dtype=torch.float64), atol=0.06, rtol=0)
    explained = torch.linalg.eigvalsh(covariance) - wiener.error[t[0]] ** 2
    torch.testing.assert_close(view.inputs[:, 0].var(0), explained, atol=1e-4, rtol=0.05)


def test_with_a_centre_zero_output_is_the_posterior_mean(wiener, covariance, mask):
    """Of a Gaussian with that mean: known in closed form; and the target is what is left of it."""
    torch.manual_seed(8)
    t = torch.tensor([0, 17, 500, STEPS - 1])
    centre, x0 = torch.randn(B, T, D), torch.randn(B, T, D)
    x_t = wiener.process.noise(x0, t, torch.randn_like(x0))
    view = wiener(x_t, t, mask, centre)
    a, s = (c(t).view(-1, 1, 1) for c in (wiener.process.a, wiener.process.s))
    gain = torch.linalg.inv(a**2 * covariance + s**2 * torch.eye(D)) @ (covariance * a)
    closed = centre + (x_t.double() - a * centre) @ gain
    torch.testing.assert_close(view.x0(torch.zeros(B, T, D)).double(), closed, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(view.x0(view.target(x0)), x0, atol=1e-5, rtol=1e-5)
    far = wiener(x_t, t, mask, torch.zeros(B, T, D)).inputs
    torch.testing.assert_close(far, wiener(x_t, t, mask).inputs)


def test_target_round_trip(wiener, covariance, mask):
    torch.manual_seed(3)
    x0, t = draw(covariance, B, T).float(), torch.tensor([0, 5, 500, STEPS - 1])
    x_t = wiener.process.noise(x0, t, torch.randn_like(x0))
    torch.testing.assert_close(wiener(x_t, t, mask).x0(wiener(x_t, t, mask).target(x0)), x0, atol=1e-5, rtol=1e-5)


def test_constant_features_stay_finite(mask):
    """A component without variance is lifted to the floor; neither end of the chain divides by zero."""
    wiener = Wiener(Process("cosine", STEPS), D)
    wiener.fit([torch.zeros(30, D)])
    x, t = torch.randn(B, T, D), torch.tensor([0, 1, STEPS - 2, STEPS - 1])
    for value in (wiener(x, t, mask).inputs, wiener(x, t, mask).x0(x), wiener(x, t, mask).target(0 * x)):
        assert value.isfinite().all()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_extreme_timesteps_are_finite(covariance, mask, schedule):
    wiener = fitted(covariance, schedule)
    x0, t = draw(covariance, B, T).float(), torch.tensor([0, 0, STEPS - 1, STEPS - 1])
    x_t = wiener.process.noise(x0, t, torch.randn_like(x0))
    target = wiener(x_t, t, mask).target(x0)
    assert wiener(x_t, t, mask).inputs.isfinite().all() and target.isfinite().all() and target.abs().max() < 8


def test_statistics_travel_in_the_state(wiener, mask):
    other = Wiener(Process("cosine", STEPS), D, taps=1)
    other.load_state_dict(wiener.state_dict())
    x, t = torch.randn(B, T, D), torch.tensor([0, 5, 500, 999])
    assert torch.equal(other(x, t, mask).x0(x), wiener(x, t, mask).x0(x))


def test_autocast_does_not_round(wiener, mask):
    """At t = 0 the noise is 0.006 of the data's scale; bfloat16 would round x0_hat to 0.004 of it."""
    x, t = torch.randn(B, T, D), torch.tensor([0, 5, 500, 999])
    want = wiener(x, t, mask).inputs, wiener(x, t, mask).x0(x), wiener(2 * x, t, mask).target(x)
    with torch.autocast("cpu", torch.bfloat16):
        got = wiener(x, t, mask).inputs, wiener(x, t, mask).x0(x), wiener(2 * x, t, mask).target(x)
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32 and torch.equal(a, b)


def walks(clips: int, frames: int, memory: torch.Tensor) -> torch.Tensor:
    """First-order autoregressive signals (clips, frames, features) of unit variance."""
    x = [torch.randn(clips, len(memory), dtype=torch.float64)]
    for _ in range(frames - 1):
        x.append(memory * x[-1] + (1 - memory**2).sqrt() * torch.randn_like(x[-1]))
    return torch.stack(x, dim=1)


def test_the_filter_over_time_is_the_best_linear_one():
    """Of the middle frame of 9, for signals of known autocovariance: closed form, its error, and below one frame's."""
    torch.manual_seed(6)
    memory = torch.tensor([0.97, 0.6], dtype=torch.float64)
    size = torch.tensor([1.0, 0.5], dtype=torch.float64)  # apart, so that components are features
    train, test = walks(3000, 60, memory) * size, walks(4000, 9, memory) * size
    wide, narrow = (Wiener(Process("cosine", STEPS), 2, taps=taps) for taps in (9, 1))
    for wiener in (wide, narrow):
        wiener.fit([*train])
    t = torch.full((len(test),), 400)
    a, s = wide.process.a(t[0]), wide.process.s(t[0])
    x_t, mask = wide.process.noise(test, t, torch.randn_like(test)), torch.ones(len(test), 9, dtype=torch.bool)
    zero, middle = torch.zeros_like(test), 4
    got = wide.double()(x_t, t, mask).x0(zero)[:, middle]
    lag = (torch.arange(9)[:, None] - torch.arange(9)).abs()
    for i, m in enumerate(memory):
        covariance = size[i] ** 2 * m**lag
        best = x_t[..., i] @ torch.linalg.solve(a**2 * covariance + s**2 * torch.eye(9), a * covariance[:, middle])
        assert (got[:, i] - best).square().mean() < 1e-3 * (best - test[:, middle, i]).square().mean()
    error, single = ((w.double()(x_t, t, mask).x0(zero) - test)[:, middle].square().mean() for w in (wide, narrow))
    assert error < 0.7 * single
    target = wide(x_t, t, mask).target(test)[:, middle]
    torch.testing.assert_close(target.std(0), torch.ones(2, dtype=torch.float64), atol=0.05, rtol=0)


def test_padding_does_not_reach_a_clip():
    """A clip is filtered alike alone and beside a longer one, whatever the padding holds."""
    torch.manual_seed(7)
    wiener = Wiener(Process("cosine", STEPS), D)
    wiener.fit([torch.randn(40, D).cumsum(0) / 5 for _ in range(5)])
    x, t = torch.randn(1, 12, D), torch.tensor([300])
    alone = wiener(x, t, torch.ones(1, 12, dtype=torch.bool)).x0(torch.zeros_like(x))
    padded = torch.cat([x, torch.full((1, 8, D), 50.0)], dim=1)
    mask = torch.arange(20)[None] < 12
    torch.testing.assert_close(wiener(padded, t, mask).x0(torch.zeros_like(padded))[:, :12], alone)


def test_the_axes_of_x_are_the_components_turned_back(covariance, mask):
    """The same filter and the same target, seen along x's own axes: what the network says is turned, no more."""
    torch.manual_seed(3)
    one, other = fitted(covariance), fitted(covariance)
    other.axes = "features"
    t, x_t, x0, y = torch.tensor([0, 17, 500, STEPS - 1]), *torch.randn(3, B, T, D)
    components, features = one(x_t, t, mask), other(x_t, t, mask)
    for a, b in ((features.inputs, components.inputs), (features.target(x0), components.target(x0))):
        torch.testing.assert_close(a, b @ one.basis.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(features.x0(y @ one.basis.T), components.x0(y), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(features.x0(features.target(x0)), x0, atol=1e-4, rtol=1e-4)
    # What the network sees is the linear estimate itself.
    torch.testing.assert_close(features.inputs, features.x0(torch.zeros_like(y)), atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match="axes=joints is unknown; choose components or features"):
        Wiener(Process("cosine", STEPS), D, axes="joints")


def test_an_even_filter_is_refused():
    with pytest.raises(UserError, match="taps=8"):
        Wiener(Process("cosine", STEPS), D, taps=8)


@pytest.mark.parametrize(
    ("schedule", "target"), [("cosine", target) for target in TARGETS] + [("flow", t) for t in ("x0", "v", "velocity")]
)
def test_plain_round_trips(schedule, target, mask):
    torch.manual_seed(4)
    process = Process(schedule, STEPS)
    plain = Plain(process, D, target)
    x0, t = torch.randn(B, T, D, dtype=torch.float64), torch.tensor([0, 5, 500, STEPS - 1])
    eps = torch.randn_like(x0)
    x_t = process.noise(x0, t, eps)
    view = plain(x_t, t, mask)
    said = view.target(x0)
    a, s = (c(t).view(-1, 1, 1) for c in (process.a, process.s))
    expected = {"eps": eps, "x0": x0, "v": a * eps - s * x0, "velocity": eps - x0}[target]
    torch.testing.assert_close(said, expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(view.x0(said), x0, atol=1e-7, rtol=0)
    assert view.inputs is x_t and view.time is t and view.x0(torch.zeros_like(x0)).isfinite().all()


def test_the_network_is_told_t_or_the_logarithm_of_sigma(wiener, mask):
    t, x_t = torch.tensor([0, 5, 500, STEPS - 1]), torch.randn(B, T, D)
    assert wiener(x_t, t, mask).time is t
    for schedule in SCHEDULES:
        process = Process(schedule, STEPS)
        time = Karras(process)(x_t, t, mask).time
        torch.testing.assert_close(time[:3], 250 * process.sigma(t[:3]).log().float())
        everything = Karras(process).time(torch.arange(STEPS))
        assert everything.isfinite().all() and (everything.diff() > 0).all() and everything.abs().max() < 2000


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("shape", [(D,), (3, 4, 4)])
@pytest.mark.parametrize("t", [0, 60, 500, 940, STEPS - 1])
def test_karras_keeps_unit_variance_at_both_ends_of_the_network(schedule, shape, t):
    """Of its input and of its target, on data of deviation 0.5 and any shape of frame."""
    torch.manual_seed(2)
    x0 = 0.5 * torch.randn(4000, 1, *shape, dtype=torch.float64)
    karras = Karras(Process(schedule, STEPS))
    karras.fit([*x0])
    assert karras.sigma_data.item() == pytest.approx(0.5, abs=0.01)
    t = torch.full((len(x0),), t)
    view = karras(karras.process.noise(x0, t, torch.randn_like(x0)), t, torch.ones(len(x0), 1, dtype=torch.bool))
    assert view.inputs.std().item() == pytest.approx(1, abs=0.02)
    assert view.target(x0).std().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(view.x0(view.target(x0)), x0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_karras_is_the_published_table(schedule, mask):
    """Table 1 of Karras et al. 2022, in x / a and sigma."""
    torch.manual_seed(3)
    karras, t = Karras(Process(schedule, STEPS)), torch.tensor([0, 60, 500, 940])
    karras.sigma_data.fill_(0.7)
    x_t, output = torch.randn(2, B, T, D, dtype=torch.float64)
    sigma, data = karras.process.sigma(t).view(-1, 1, 1), karras.sigma_data.double()
    x, total = x_t / karras.process.a(t).view(-1, 1, 1), sigma**2 + data**2
    view = karras(x_t, t, mask)
    torch.testing.assert_close(view.inputs, x / total.sqrt())
    torch.testing.assert_close(view.x0(output), data**2 / total * x + sigma * data / total.sqrt() * output)


def test_karras_at_zero_output_is_the_best_estimate_by_one_variance(mask):
    """Never the input itself: at high noise the skip is shut, at low noise open; around a centre it adds to it."""
    torch.manual_seed(5)
    karras, x_t, t = Karras(Process("cosine", STEPS)), torch.randn(B, T, D), torch.tensor([0, 60, 500, STEPS - 1])
    zero = karras(x_t, t, mask).x0(torch.zeros_like(x_t))
    torch.testing.assert_close(zero, karras.process.a(t).float().view(-1, 1, 1) * x_t, atol=1e-6, rtol=0)
    centre = torch.randn_like(x_t)
    a = karras.process.a(t).float().view(-1, 1, 1)
    around = karras(x_t, t, mask, centre)
    torch.testing.assert_close(around.x0(0 * x_t), centre + a * (x_t - a * centre), atol=1e-6, rtol=0)
    torch.testing.assert_close(around.x0(around.target(x_t)), x_t, atol=1e-5, rtol=0)


def test_autocast_does_not_round_any_precondition(mask):
    x, t = torch.randn(B, T, D), torch.tensor([0, 5, 500, STEPS - 1])
    output = torch.randn(B, T, D).bfloat16()
    for precondition in (Karras(Process("flow", STEPS)), *(Plain(Process("linear", STEPS), D, k) for k in TARGETS)):
        with torch.autocast("cpu", torch.bfloat16):
            view = precondition(x, t, mask)
            got = view.x0(output), view.target(2 * x)
        view = precondition(x, t, mask)
        for a, b in zip(got, (view.x0(output.float()), view.target(2 * x)), strict=True):
            assert a.dtype == torch.float32 and torch.equal(a, b)


def test_sigma_data_travels_in_the_state_and_constant_data_stay_finite(mask):
    karras, other = Karras(Process("flow", STEPS)), Karras(Process("flow", STEPS))
    karras.fit([torch.zeros(5, 3, 2, 2), torch.zeros(7, 3, 2, 2)])
    other.load_state_dict(karras.state_dict())
    x, t = torch.randn(B, T, D), torch.tensor([0, 5, 500, STEPS - 1])
    view = other(x, t, mask)
    assert torch.equal(view.x0(x), karras(x, t, mask).x0(x))
    assert all(value.isfinite().all() for value in (view.inputs, view.x0(x), view.target(0 * x)))


@pytest.mark.parametrize("t", [0, 10, 25, 48])
def test_the_identity_predictor_has_the_errors_that_look_like_learning(t):
    """eps_hat = x_t, whatever the data of unit variance: 1.916 at t = 0 and 9.7e-4 at t = 48 of a cosine chain of 50.

    The mean square of x_t - eps = a x0 - (1 - s) eps is alpha_bar + (1 - sqrt(1 - alpha_bar))².
    """
    process, n = Process("cosine", 50), 100_000
    x0, eps = torch.randn(2, n, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    steps, mask = torch.full((n,), t), torch.ones(n, 1, dtype=torch.bool)
    x_t = process.noise(x0, steps, eps)
    view = Plain(process, 1, "eps")(x_t, steps, mask)
    error = (view.inputs - view.target(x0)).square().mean().item()
    alpha_bar = process.alpha_bar[t].item()
    assert error == pytest.approx(alpha_bar + (1 - (1 - alpha_bar) ** 0.5) ** 2, rel=0.02)
    known = {0: (1.916, 5e-4), 48: (9.7e-4, 5e-6)}
    if t in known:
        assert alpha_bar + (1 - (1 - alpha_bar) ** 0.5) ** 2 == pytest.approx(known[t][0], abs=known[t][1])


def test_bad_targets_are_refused_when_they_are_put_together():
    with pytest.raises(UserError, match="eps, x0, v, velocity"):
        Plain(Process("cosine"), D, "noise")
    with pytest.raises(UserError, match="schedule=flow"):
        Plain(Process("flow"), D, "eps")
    with pytest.raises(UserError, match="3x2x2"):
        Wiener(Process("flow"), 12).fit([torch.zeros(5, 3, 2, 2)])
