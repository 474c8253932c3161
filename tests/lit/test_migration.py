"""A run from when the null condition was a buffer goes on."""

import logging
from copy import deepcopy

import pytest
import torch
from torch import nn

from motion_lightning.errors import UserError
from motion_lightning.lit.migration import migrate


class Denoiser(nn.Module):
    """The null lies between two layers, so that the numbers of the parameters behind it change."""

    def __init__(self, learned: bool):
        super().__init__()
        torch.manual_seed(0)
        null = torch.zeros(4)
        if learned:
            self.null_token = nn.Parameter(null)
        else:
            self.register_buffer("null_token", null)
        self.first, self.last = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.first(x + self.null_token).tanh())


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> None:
    torch.manual_seed(1)
    x = torch.randn(8, 4)
    for _ in range(steps):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()


@pytest.fixture
def old() -> tuple[Denoiser, dict]:
    model = Denoiser(learned=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    trained(model, optimizer)
    return model, {"state_dict": model.state_dict(), "optimizer_states": [deepcopy(optimizer.state_dict())]}


@pytest.mark.parametrize("fused", [False, True])
def test_a_checkpoint_with_the_null_as_a_buffer_goes_on(old, caplog, fused):
    before, checkpoint = old
    model = Denoiser(learned=True)
    model.load_state_dict(checkpoint["state_dict"], strict=True)  # the key is the same
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=fused)
    with pytest.raises(ValueError, match="parameter group"):
        optimizer.load_state_dict(checkpoint["optimizer_states"][0])
    with caplog.at_level(logging.WARNING):
        assert migrate(checkpoint, model) == ["null_token"]
    assert "null_token" in caplog.text
    optimizer.load_state_dict(checkpoint["optimizer_states"][0])
    moments = old_moments(before, checkpoint)
    for name, parameter in model.named_parameters():
        if name == "null_token":
            assert parameter not in optimizer.state
        else:  # each its own, not its neighbour's
            torch.testing.assert_close(optimizer.state[parameter]["exp_avg"], moments[name])
    trained(model, optimizer, steps=2)
    assert model.null_token.any() and optimizer.state[model.null_token]["step"] == 2
    assert optimizer.state[model.last.weight]["step"] == 7


def old_moments(model: nn.Module, checkpoint: dict) -> dict[str, torch.Tensor]:
    """By name, of an optimizer's state that has been renumbered: the null is number 0."""
    state = checkpoint["optimizer_states"][0]["state"]
    return {name: state[i + 1]["exp_avg"] for i, (name, _) in enumerate(model.named_parameters())}


def test_the_first_step_is_the_old_runs_own(old):
    """Apart from the null nothing moves otherwise than it would have done."""
    before, checkpoint = old
    optimizer = torch.optim.AdamW(before.parameters(), lr=0.1)
    optimizer.load_state_dict(deepcopy(checkpoint["optimizer_states"][0]))  # the tensors would be shared
    model = Denoiser(learned=True)
    model.load_state_dict(deepcopy(checkpoint["state_dict"]))
    migrate(checkpoint, model)
    after = torch.optim.AdamW(model.parameters(), lr=0.1)
    after.load_state_dict(checkpoint["optimizer_states"][0])
    for net, opt in ((before, optimizer), (model, after)):
        trained(net, opt, steps=1)
    for name, parameter in before.named_parameters():
        torch.testing.assert_close(model.get_parameter(name), parameter)


def test_checkpoints_that_fit_are_left_alone():
    model = Denoiser(learned=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    trained(model, optimizer)
    checkpoint = {"optimizer_states": [optimizer.state_dict()]}
    want = deepcopy(checkpoint)
    assert migrate(checkpoint, model) == [] == migrate({}, model)
    torch.testing.assert_close(checkpoint["optimizer_states"][0]["state"], want["optimizer_states"][0]["state"])


def test_another_model_is_refused(old):
    _, checkpoint = old
    with pytest.raises(UserError, match="has 4 parameters, the model 7"):
        migrate(checkpoint, nn.ModuleList([Denoiser(learned=True), nn.Linear(2, 2)]))


def test_a_run_goes_on_from_an_old_checkpoint(make_module, data, trainer, tmp_path, caplog):
    """By the trainer's own hooks: weights load strictly, and the optimizer's moments stay with their parameters."""
    first = trainer(1, limit_val_batches=0)
    module = make_module()
    first.fit(module, data)
    first.save_checkpoint(tmp_path / "new.ckpt")
    checkpoint = torch.load(tmp_path / "new.ckpt", weights_only=True)
    names = [name for name, _ in module.named_parameters()]
    (state,) = checkpoint["optimizer_states"]
    kept = [i for i, name in enumerate(names) if not name.endswith(("null_token", "null_pooled"))]
    moments = {names[i]: state["state"][i]["exp_avg"].clone() for i in kept}
    state["state"] = {new: state["state"][i] for new, i in enumerate(kept)}  # as of a model with two parameters less
    state["param_groups"][0]["params"] = list(range(len(kept)))
    torch.save(checkpoint, tmp_path / "old.ckpt")

    again, seen = make_module(), {}

    def start():
        (optimizer,) = again.trainer.optimizers
        seen.update({n: deepcopy(optimizer.state[p].get("exp_avg")) for n, p in again.named_parameters()})

    again.on_train_start = start
    second = trainer(2, limit_val_batches=0)
    with caplog.at_level(logging.WARNING):
        second.fit(again, data, ckpt_path=tmp_path / "old.ckpt", weights_only=True)
    assert "null_token" in caplog.text and second.global_step == 2 * first.global_step
    for name, moment in moments.items():
        torch.testing.assert_close(seen[name], moment)
    assert [name.rpartition(".")[2] for name in seen if seen[name] is None] == ["null_token", "null_pooled"]
