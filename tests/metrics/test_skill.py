"""Skill against linear estimates, and the conditioning audit."""

import numpy as np
import pytest
import torch

from motion_lightning.diffusion.process import Process
from motion_lightning.metrics.skill import (
    BINS,
    BinnedError,
    FrameWiener,
    SequenceWiener,
    audit,
    bin_timesteps,
    eps_error,
    judged,
    skill,
    squared_error,
)

N, T, D, STEPS = 600, 12, 3, 100
PROCESS = Process("cosine", STEPS)
COVARIANCE = torch.tensor([[2.0, 0.8, 0.0], [0.8, 1.0, 0.2], [0.0, 0.2, 0.1]], dtype=torch.float64)
CORRELATION = 0.95  # from one frame to the next


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    """(N, T, D) stationary Gaussian sequences: frames of that covariance, slowly changing."""
    torch.manual_seed(0)
    lag = CORRELATION ** (torch.arange(T)[:, None] - torch.arange(T)).abs().double()
    noise = torch.randn(N, T, D, dtype=torch.float64)
    return torch.linalg.cholesky(lag) @ noise @ torch.linalg.cholesky(COVARIANCE).T


def everywhere(n: int = N) -> torch.Tensor:
    return torch.ones(n, T, dtype=torch.bool)


def test_squared_error_counts_valid_frames_only():
    x0, mask = torch.zeros(2, 4, D), torch.tensor([[True] * 4, [True, True, False, False]])
    x0_hat = torch.ones(2, 4, D) * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None]
    assert squared_error(x0_hat, x0, mask).tolist() == [7.5, 2.5]


@pytest.mark.parametrize("t", [3, 30, 60, 95])
def test_frame_filter_is_the_best_linear_estimate(clips, t):
    """Closed form of its error, tr(C - a² C (a² C + s²)⁻¹ C) / D; every other linear map does worse."""
    torch.manual_seed(t)
    t = torch.full((N,), t)
    x_t = PROCESS.noise(clips, t, torch.randn_like(clips))
    a, s = PROCESS.a(t[0]), PROCESS.s(t[0])
    total = a**2 * COVARIANCE + s**2 * torch.eye(D)
    filtered = FrameWiener(COVARIANCE, PROCESS)(x_t, t)
    gain = a * COVARIANCE @ torch.linalg.inv(total)
    torch.testing.assert_close(filtered, x_t @ gain.T)
    error = squared_error(filtered, clips, everywhere()).mean()
    expected = (COVARIANCE - a * gain @ COVARIANCE).trace() / D
    assert float(error) == pytest.approx(float(expected), rel=0.1)
    fitted = x_t @ torch.linalg.lstsq(x_t.flatten(0, 1), clips.flatten(0, 1)).solution  # to these very clips
    assert float(squared_error(fitted, clips, everywhere()).mean()) == pytest.approx(float(error), rel=0.02)
    for wrong in (0.8 * gain, 1.25 * gain, torch.diag(gain.diag() * 0.9)):
        assert squared_error(x_t @ wrong.T, clips, everywhere()).mean() > error


@pytest.mark.parametrize("t", [3, 30, 60, 95])
def test_sequence_filter_beats_the_frame_filter_on_slow_motion(clips, t):
    torch.manual_seed(t)
    train, val = clips[: N // 2], clips[N // 2 :]
    frame = FrameWiener(COVARIANCE, PROCESS)
    sequence = SequenceWiener(frame, list(train), T)
    t, mask = torch.full((len(val),), t), everywhere(len(val))
    x_t = PROCESS.noise(val, t, torch.randn_like(val))
    errors = [squared_error(estimate(x_t, t, mask), val, mask).mean() for estimate in (frame, sequence)]
    assert errors[1] < errors[0]


def test_sequence_filter_matches_its_closed_form_and_ignores_padding(clips):
    frame = FrameWiener(torch.eye(D), PROCESS)  # components are the features themselves
    sequence = SequenceWiener(frame, [*clips[:50], *clips[50:80, :7]], T)
    t, mask = torch.tensor([10, 60]), torch.tensor([[True] * T, [True] * 5 + [False] * 7])
    x_t = torch.randn(2, T, D, dtype=torch.float64)
    got = sequence(x_t, t, mask)
    assert not got[1, 5:].any()
    torch.testing.assert_close(sequence(x_t[1:, :5], t[1:], mask[1:, :5])[0], got[1, :5])
    order = [int(i) for i in frame.basis.abs().argmax(0)]  # eigenvectors of 1 in whatever order
    for k, feature in enumerate(order):
        c = sequence.covariance[k]
        for lag in (0, 3):  # estimates that fit together are kept as they are
            pairs = [(x[lag:], x[: len(x) - lag]) for x in [*clips[:50, :, feature], *clips[50:80, :7, feature]]]
            want = sum((x * y).sum() for x, y in pairs) / sum(len(x) for x, _ in pairs)
            torch.testing.assert_close(c.diagonal(lag), want.expand(T - lag), rtol=0.02, atol=0.02)
        assert torch.linalg.eigvalsh(c).min() > -1e-9
        a, s = PROCESS.a(10), PROCESS.s(10)
        want = a * c @ torch.linalg.inv(a**2 * c + s**2 * torch.eye(T)) @ x_t[0, :, feature]
        torch.testing.assert_close(got[0, :, feature], want)


def test_eps_error_is_the_error_of_eps(clips):
    t, eps = torch.arange(50) * 2, torch.randn(50, T, D, dtype=torch.float64)
    x_t = PROCESS.noise(clips[:50], t, eps)
    guess = 0.9 * x_t

    got = eps_error(lambda x, t: 0.9 * x, clips[:50], eps, t, everywhere(50), PROCESS)
    want = (PROCESS.convert(guess, "x0", "eps", x_t, t) - eps).square().mean((1, 2))
    torch.testing.assert_close(got, want)


def test_binned_error_counts_and_means():
    metric = BinnedError(["model", "frame"])
    metric.update(torch.tensor([0, 9, 10]), STEPS, [torch.tensor([1.0, 3.0, 5.0]), torch.tensor([2.0, 2, 2])])
    metric.update(torch.tensor([99]), STEPS, [torch.tensor([7.0]), torch.tensor([0.0])])
    bins = metric.compute()
    assert metric.count.tolist() == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert bins["model"][[0, 1, 9]].tolist() == [2, 5, 7] and bins["frame"][[0, 1, 9]].tolist() == [2, 2, 0]
    assert bins["model"][2:9].isnan().all()
    metric.reset()
    assert not metric.count.any() and not metric.total.any()


def test_binned_errors_of_two_processes_add_up():
    t, error = torch.randint(0, STEPS, (40,)), torch.rand(40)
    whole, parts = BinnedError(["model"]), [BinnedError(["model"]), BinnedError(["model"])]
    whole.update(t, STEPS, [error])
    for part, rows in zip(parts, (slice(0, 13), slice(13, None)), strict=True):
        part.update(t[rows], STEPS, [error[rows]])
    for name, reduce in whole._reductions.items():  # what the states of two ranks go through
        setattr(parts[0], name, reduce(torch.stack([getattr(part, name) for part in parts])))
    torch.testing.assert_close(parts[0].compute()["model"], whole.compute()["model"], equal_nan=True)


def test_bin_timesteps_are_fixed_and_judged():
    clips = torch.arange(200)
    fine = judged(PROCESS)
    assert not fine[0] and fine[-1]
    for number in range(BINS):
        t = bin_timesteps(PROCESS, number, clips)
        assert torch.equal(t, bin_timesteps(PROCESS, number, clips))
        assert (t * BINS // STEPS == number).all()
        edges = torch.arange(STEPS).chunk(BINS)[number]
        assert set(t.tolist()) == set((edges[fine[edges]] if fine[edges].any() else edges).tolist())


def test_skill_needs_every_judged_bin():
    frame = torch.full((BINS,), 0.5, dtype=torch.float64)
    is_judged = [bool(part.any()) for part in judged(PROCESS).chunk(BINS)]
    assert is_judged[0] is False and all(is_judged[3:])
    for number in range(BINS):
        model = torch.full((BINS,), 0.4, dtype=torch.float64)
        model[number] = 0.6
        table = skill({"model": model, "frame": frame}, PROCESS)
        assert table["passed"] == (not is_judged[number]) and table["judged"] == is_judged
        assert table["model"][number] == pytest.approx(0.6)
    model[-1] = torch.nan  # a bin that saw nothing proves nothing
    assert not skill({"model": model, "frame": frame}, PROCESS)["passed"]
    clean = skill({"model": 0.1 * frame, "frame": frame}, Process("linear", 1000, cumulative=False))
    assert not any(clean["judged"]) and not clean["passed"]  # nor does a process that has no noise to judge by


def losses(null: float, wrong: float, n: int = 400) -> tuple[np.ndarray, ...]:
    """Losses of the same clips: their spread is far above the differences, and is shared."""
    rng = np.random.default_rng(0)
    clip = rng.gamma(2.0, 0.5, n)
    return clip, clip + null + rng.normal(0, 0.02, n), clip + wrong + rng.normal(0, 0.02, n)


@pytest.mark.parametrize(
    ("null", "wrong", "passed", "alarm"),
    [
        (0.02, 0.04, True, False),  # listens, and a wrong caption misleads
        (0.02, 0.02, True, False),  # a wrong caption is as good as none
        (0.0, 0.0, False, False),  # deaf
        (-0.02, 0.0, False, False),  # the caption harms
        (0.04, 0.02, False, True),  # the null is worse than a lie
    ],
)
def test_audit(null, wrong, passed, alarm):
    report = audit(*losses(null, wrong))
    assert report["passed"] == passed and (report["alarm"] is not None) == alarm


def test_audit_intervals_are_paired_and_hold_the_truth():
    mean, low, high = audit(*losses(0.02, 0.04))["null_minus_right"]
    assert low < mean < high and high - low < 0.006  # unpaired it would be 0.1 wide
    hits = 0
    for seed in range(60):
        values = np.random.default_rng(seed).exponential(1.0, 100)
        _, low, high = audit(values, values, values, draws=500, seed=seed)["right"]
        hits += low <= 1 <= high
    assert 50 <= hits <= 60
