"""The command as a user meets it."""

import inspect
import subprocess
import sys

import pytest

from motion_lightning.errors import UserError
from motion_lightning.zoo import dit, guo, mdm, mld, tmr
from motion_lightning.zoo.__main__ import FAMILIES, usage


def test_the_help_names_every_family_and_every_option():
    text = usage()
    for family, module in zip(FAMILIES, (mdm, mld, tmr, dit, guo), strict=True):
        assert f"{family}: {inspect.getdoc(module).splitlines()[0]}" in text
        options = [*inspect.signature(module.convert).parameters][2:]
        assert options and all(f"{option}=" in text or option in inspect.getdoc(module.convert) for option in options)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "mdm", "x"), "give: import NAME PATH"),
        (("import", "mdm"), "give: import NAME PATH, where NAME is one of mdm, mld"),
        (("import", "gpt", "x"), "there is no gpt; there are mdm, mld"),
        (("import", "mdm", "nowhere.pt"), r"there is no nowhere\.pt"),
        (("import", "mdm", "nowhere.pt", "stats"), "stats: options are written name=value"),
    ],
)
def test_bad_arguments_are_explained(zoo, arguments, words):
    with pytest.raises(UserError, match=words):
        zoo(*arguments)


@pytest.mark.slow
def test_bad_input_is_one_line_and_status_two(tmp_path):
    (tmp_path / "model.pt").write_text("<html>")
    command = [sys.executable, "-m", "motion_lightning.zoo"]
    done = subprocess.run(
        [*command, "import", "mld", tmp_path / "model.pt"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("error: the checkpoint does not hold the mean")
    assert done.stderr.count("\n") == 1 and not done.stdout
    assert "mdm: MDM" in subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
