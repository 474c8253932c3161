"""The configuration: how a command finds it, what a user reads when it is wrong, how a run keeps it.

A command is a function of the composed configuration::

    @main("train")
    def train(cfg): ...

    if __name__ == "__main__":
        train()
"""

import difflib
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from motion_lightning.errors import UserError
from motion_lightning.paths import conf_dir

FREE_TEXT = ("prompt",)
HYDRA_VERSION = "1.3"


# ---------------------------------------------------------------------------------------------- commands


def main(config_name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make a command of a function: ``conf/<config_name>.yaml`` with the overrides in ``sys.argv`` goes in.

    Bad input ends in one line on stderr and exit status 2; ``debug=true`` shows the traceback instead.
    """

    def decorate(run: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(run)
        def job(cfg: DictConfig) -> None:
            try:
                run(cfg)
            except Exception as error:
                # In a sweep Hydra names the failed job first; a single job needs no more than the one line.
                line = explain(error, config_name)
                if line is None or cfg.get("debug") or HydraConfig.get().mode == RunMode.MULTIRUN:
                    raise
                _stop(line)

        @functools.wraps(run)
        def command() -> None:
            sys.argv[1:] = [quote_free_text(argument) for argument in sys.argv[1:]]
            for argument in sys.argv[1:]:
                if argument.startswith("resume=") and argument not in ("resume=", "resume=null"):
                    if {"-m", "--multirun"} & set(sys.argv):
                        _stop(f"{argument} goes on with one run, and -m starts several: leave one of them out")
                    # what Hydra keeps of the first start stays as it was
                    sys.argv += [f"hydra.run.dir={argument[7:]}", "hydra.output_subdir=null"]
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing and exiting
            try:
                hydra.main(version_base=HYDRA_VERSION, config_path=str(conf_dir()), config_name=config_name)(job)()
            except KeyboardInterrupt:
                sys.exit("interrupted")
            except Exception as error:
                line = explain(error, config_name)
                if line is None or "debug=true" in (argument.lower() for argument in sys.argv):
                    raise
                _stop(line)

        return command

    return decorate


def quote_free_text(argument: str) -> str:
    """Quote the value of an override that is free text, or not ASCII, so that Hydra's grammar takes it.

    Text already within one pair of quotes is left alone.
    """
    match = re.fullmatch(r"(\+{0,2}([\w./@-]+)=)(.*)", argument, re.DOTALL)
    if match is None or re.fullmatch(r"'(?:[^'\\]|\\.)*'" + r'|"(?:[^"\\]|\\.)*"', match[3], re.DOTALL):
        return argument
    if match[2] not in FREE_TEXT and (match[3].isascii() or match[3][0] in "[{"):
        return argument
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", match[3])  # OmegaConf would look up ${...}
    text = re.sub(r"(\\*)('|\Z)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), text)
    return f"{match[1]}'{text}'"


def _stop(line: str) -> None:
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def explain(error: Exception, config_name: str) -> str | None:
    """The line that a user reads, or None for an error that is not about input."""
    text = _one_line(str(error))
    match error:
        case UserError():
            return text
        case InstantiationException():
            if isinstance(error.__cause__, UserError):
                return _one_line(str(error.__cause__))
            return f"{text} (debug=true shows where)"
        case OverrideParseException():
            return f"cannot read the override {error.override}: {text.split(' See https')[0]}; quotes may help"
        case MissingConfigException() if error.missing_cfg_file and error.options:
            group, _, name = error.missing_cfg_file.rpartition("/")
            return f"there is no {group}={name}; there are {', '.join(error.options)}"
        case MissingMandatoryValue():
            key = re.search(r"full_key: (\S+)", str(error)) or re.search(r"value: (\S+)", str(error))
            return f"{key[1]} is not set: add {key[1]}=…" if key else text
        case HydraException() | OmegaConfBaseException() | yaml.YAMLError():
            unknown = re.match(r"Could not override '([^'@]+)'", str(error))
            return _unknown_setting(unknown[1], config_name) if unknown else text
    return None


def _one_line(text: str) -> str:
    """Hydra and OmegaConf spread a message over lines and end it in fields about their own insides."""
    lines = [line.strip() for line in text.splitlines()]
    return " ".join(line for line in lines if line and not re.match(r"object_type=|reference_type=", line))


def _unknown_setting(key: str, config_name: str) -> str:
    """Say which settings there are where ``key`` was looked for."""
    overrides = [argument for argument in sys.argv[1:] if "=" in argument and not argument.startswith("-")]
    others = [override for override in overrides if override.lstrip("+~").split("=")[0] != key]
    try:
        cfg = compose(config_name, others)
        parent = key
        node: Any = None
        while not OmegaConf.is_dict(node):
            parent = parent.rpartition(".")[0]
            node = OmegaConf.select(cfg, parent) if parent else cfg
    except Exception:  # another override is wrong too: say what is known
        return f"there is no setting {key}"
    names = [f"{parent}.{name}" if parent else str(name) for name in node if not str(name).startswith("_")]
    close = difflib.get_close_matches(key, names, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"there is no setting {key}; {hint}There are {', '.join(names)}".replace("; There", "; there")


# --------------------------------------------------------------------------- composing and instantiating


def compose(config_name: str, overrides: Iterable[str] = ()) -> DictConfig:
    """The configuration of a command, from Python or from within another command; its run folder is the current one."""
    overrides = [*map(quote_free_text, overrides), "hydra.runtime.output_dir=."]
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION):
            cfg = hydra.compose(config_name, overrides, return_hydra_config=True)
    finally:
        GlobalHydra.instance().hydra = running
    HydraConfig.instance().set_config(cfg)  # ${hydra:...} is looked up there
    with open_dict(cfg):
        del cfg.hydra
    return cfg


def instantiate(node: Mapping[str, Any], **objects: Any) -> Any:
    """Build what ``node`` describes; plain containers reach it as dict and list.

    ``objects`` are arguments that only Python knows. They bypass Hydra, which makes dicts of dataclasses.
    """
    if not objects:
        return hydra.utils.instantiate(node, _convert_="all")
    make = hydra.utils.instantiate(node, _convert_="all", _partial_=True)
    if node.get("_partial_"):
        return functools.partial(make, **objects)
    try:
        return make(**objects)
    except (UserError, HydraException):
        raise
    except Exception as error:
        raise InstantiationException(f"Error in call to target '{node['_target_']}':\n{error!r}") from error


def to_plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolved dicts, lists and scalars: what a checkpoint may hold. A missing value is an error."""
    return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)


# ------------------------------------------------------------------------------------------- run folders


def run_dir() -> Path:
    """Folder of the run that Hydra has started."""
    return Path(HydraConfig.get().runtime.output_dir)


def save_config(cfg: Mapping[str, Any], folder: str | Path) -> Path:
    """Write a resolved configuration to ``folder/config.yaml``."""
    plain = to_plain(cfg) if isinstance(cfg, DictConfig) else dict(cfg)
    path = Path(folder) / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    part.replace(path)
    return path


def load_config(folder: str | Path) -> dict[str, Any]:
    """Read ``folder/config.yaml``."""
    path = Path(folder) / "config.yaml"
    if not path.is_file():
        raise UserError(f"{folder} is not the folder of a run (it has no config.yaml): give run=runs/NAME")
    try:
        cfg = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {_one_line(str(error))}") from error
    if not isinstance(cfg, dict):
        raise UserError(f"{path} is not the configuration of a run")
    return cfg
