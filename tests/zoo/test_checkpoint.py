"""Files of others: nothing in them runs, and each of their keys is used or named."""

import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import pytest
import torch
from torch import nn

from motion_lightning.errors import UserError
from motion_lightning.zoo.checkpoint import fit, read, tensors


class Calls:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Setting:
    """Of a package that the reader does not have."""

    def __init__(self, value):
        self.value = value

    def __setstate__(self, state):
        raise AssertionError("code of the file's authors was run")


def saved(path: Path, content) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("function", [os.mkdir, exec, eval, os.system, Path.touch, __import__])
def test_a_malicious_file_runs_nothing(tmp_path, function):
    mark = tmp_path / "mark"
    argument = mark if function is Path.touch else {exec: f"open({str(mark)!r}, 'w')"}.get(function, str(mark))
    argument = f"__import__('os').mkdir({str(mark)!r})" if function is eval else argument
    argument = f"mkdir {mark}" if function is os.system else argument
    content = {"state_dict": {"w": torch.ones(2)}, "hyper_parameters": Calls(function, argument)}
    file = saved(tmp_path / "bad.ckpt", content)
    try:
        assert torch.equal(read(file)["state_dict"]["w"], torch.ones(2))  # the call has become a placeholder
    except UserError as error:
        assert "cannot be read" in str(error) and "\n" not in str(error)
    assert not mark.exists()
    if function is not __import__:
        torch.load(file, weights_only=False)  # the file does what it says to whoever trusts it
        assert mark.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_an_old_pickle_runs_nothing_either(tmp_path):
    mark = tmp_path / "mark"
    for file, content in (("plain.pt", Calls(os.mkdir, str(mark))), ("tensors.pt", {"w": Calls(os.mkdir, str(mark))})):
        (tmp_path / file).write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match="cannot be read as a checkpoint of tensors"):
            read(tmp_path / file)
    torch.save({"w": Calls(os.mkdir, str(mark))}, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "legacy.pt")
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore:.*TorchScript archive.*")
def test_a_file_of_torchscript_is_refused(tmp_path):
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "script.pt")


def test_settings_of_other_packages_become_placeholders(tmp_path):
    """What Lightning and OmegaConf leave in checkpoints: objects, nested dicts, numpy, classes as values."""
    settings = defaultdict(dict, {"a": {"b": Setting(3)}})
    parts = {"hyper_parameters": settings, "kind": Setting, "path": Path("/there"), "mean": torch.zeros(2).numpy()}
    content = {"state_dict": OrderedDict(w=torch.arange(3.0)), "epoch": 7, **parts}
    whole = read(saved(tmp_path / "lightning.ckpt", content))
    assert whole["epoch"] == 7 and torch.equal(whole["state_dict"]["w"], torch.arange(3.0))
    assert whole["hyper_parameters"].keys() == {"a"} and not hasattr(whole["hyper_parameters"]["a"]["b"], "value")
    assert whole["kind"] is not Setting and type(whole["path"]).__name__ == "Placeholder"


def test_tensors_are_read_also_from_an_older_format(tmp_path):
    content = {"w": torch.randn(3, 2), "b": nn.Parameter(torch.randn(2))}
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for file in (tmp_path / "old.pt", saved(tmp_path / "new.pt", content)):
        assert all(torch.equal(value, content[key]) for key, value in tensors(read(file), file).items())


def test_what_is_no_checkpoint_is_said_in_one_line(tmp_path):
    (tmp_path / "page.pt").write_text("<html>quota exceeded</html>")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    (tmp_path / "empty.pt").touch()
    cut = saved(tmp_path / "cut.pt", {"w": torch.ones(1000)})
    cut.write_bytes(cut.read_bytes()[:-500])
    for name in ("page.pt", "other.pt", "empty.pt", "cut.pt"):
        with pytest.raises(UserError, match=rf"{name} cannot be read") as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"there is no file .*none\.pt"):
        read(tmp_path / "none.pt")
    for content in ([1, 2], {}, {"w": 3}, torch.ones(2)):
        with pytest.raises(UserError, match="holds no state dict"):
            tensors(content, tmp_path)


def test_every_key_is_used_or_named_and_every_size_seen():
    expected = {"inp.weight": torch.zeros(3, 2), "inp.bias": torch.zeros(3)}
    state = {"first.weight": torch.ones(3, 2), "first.bias": torch.ones(3).half(), "clip.table": torch.ones(9)}
    names, unused, where = {r"^first\.": "inp."}, {r"clip\.": "the encoder"}, Path("file.pt")
    fitted = fit(state, expected, names, unused, where)
    assert fitted.left_out == {"the encoder": ["clip.table"]} and fitted.weights.keys() == expected.keys()
    assert fitted.weights["inp.bias"].dtype == torch.float32
    for change, words in [
        ({"second.weight": torch.ones(1)}, r"file\.pt: second\.weight is unknown"),
        ({"first.bias": torch.ones(4)}, r"first\.bias is 4, expected 3"),
        ({"first.weight": torch.ones(2, 3)}, r"first\.weight is 2 x 3, expected 3 x 2"),
        ({"first.bias": torch.tensor([0.0, float("nan"), 0.0])}, r"first\.bias holds numbers that are not finite"),
        ({"first.bias": None}, r"lacks 1 of 2 tensors, the first of them inp\.bias"),
    ]:
        changed = {key: value for key, value in (state | change).items() if value is not None}
        with pytest.raises(UserError, match=words):
            fit(changed, expected, names, unused, where)
