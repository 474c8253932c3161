"""Where configuration and prepared corpora lie."""

import os
from pathlib import Path

from motion_lightning.errors import UserError


def conf_dir() -> Path:
    """Folder of the Hydra configuration: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise UserError(f"no configuration: neither {package}/conf nor {package.parent}/conf holds train.yaml; reinstall")


def home() -> Path:
    """Cache folder; ``MOTION_LIGHTNING_HOME`` moves it."""
    if folder := os.environ.get("MOTION_LIGHTNING_HOME"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "motion_lightning"


def stores() -> Path:
    """Folder of the prepared corpora, one store each."""
    return home() / "stores"
