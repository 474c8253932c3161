"""The wheel in a fresh environment, from a folder that knows nothing of the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def check(*command: str | Path, cwd: Path) -> str:
    """Run a command without the checkout on its path; its standard output."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["MOTION_LIGHTNING_HOME"] = str(cwd / "home")
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    check(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    """Interpreter of an environment that holds the wheel, and borrows what it depends on from this one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env/bin/python"
    check(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=folder)
    site = check(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_the_wheel_carries_what_is_not_code(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("conf", "motion_lightning"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                inside = path.relative_to(ROOT).as_posix()
                assert (f"motion_lightning/{inside}" if folder == "conf" else inside) in names
    assert not any(name.startswith(("tests", "conf")) for name in names)


def test_it_composes_from_another_folder(python, tmp_path):
    script = (
        "from motion_lightning.config import compose; from motion_lightning.paths import conf_dir;"
        "print(conf_dir()); print(compose('train', ['model=dit_xs', 'sampler=ddpm']).model.width)"
    )
    folder, width = check(python, "-c", script, cwd=tmp_path).splitlines()
    assert Path(folder).parent.parent.name == "site-packages"
    assert str(ROOT) not in folder
    assert width == "64"
    assert "model: dit" in check(python, "-m", "motion_lightning.train", "--help", cwd=tmp_path)


def test_it_trains_and_samples_from_another_folder(python, tmp_path):
    small = [
        *("data.corpus.train=8", "data.corpus.val=4", "data.corpus.test=4", "data.corpus.workers=0"),
        *("model=dit_xs", "logger=csv", "loader.batch_size=4", "loader.steps_per_epoch=2", "sampler.steps=2"),
        *(
            "trainer.max_epochs=1",
            "trainer.accelerator=cpu",
            "callbacks.samples.seconds=1",
            "evaluate.shown=1",
        ),
    ]
    check(python, "-m", "motion_lightning.train", "name=small", *small, cwd=tmp_path)
    assert (tmp_path / "runs/small/report.html").is_file()
    check(python, "-m", "motion_lightning.sample", "run=runs/small", "prompt=jumps, then bows", cwd=tmp_path)
    assert list((tmp_path / "runs/small/samples").glob("*.npz"))
