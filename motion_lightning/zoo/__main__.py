"""``python -m motion_lightning.zoo import NAME PATH [name=… option=…]``: a published checkpoint into a run folder."""

import importlib
import inspect
import sys
from pathlib import Path

from motion_lightning.errors import UserError

FAMILIES = ("mdm", "mld", "tmr", "dit", "guo")

USAGE = """Published checkpoints into runs that `sample` and `evaluate` take. Nothing is downloaded.

  python -m motion_lightning.zoo import mdm save/humanml-encoder-512-50steps/model000750000.pt stats=dataset/HumanML3D
  python -m motion_lightning.sample run=runs/mdm_model000750000 prompt="a person walks in a circle"

  python -m motion_lightning.zoo import NAME PATH [name=RUN] [option=value …]

name=RUN        folder of the run: runs/RUN, or a path; left out: the family's and the file's names
debug=true      a traceback instead of one line
"""


def main(arguments: list[str]) -> None:
    """Convert, or print what there is."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if arguments[0] != "import" or len(arguments) < 3:
        raise UserError("give: import NAME PATH, where NAME is one of " + ", ".join(FAMILIES) + "; --help says more")
    family, path, *rest = arguments[1:]
    if family not in FAMILIES:
        raise UserError(f"there is no {family}; there are {', '.join(FAMILIES)}")
    options = dict(option(argument) for argument in rest)
    options.pop("debug", None)
    convert = importlib.import_module(f"motion_lightning.zoo.{family}").convert
    known = [name for name in inspect.signature(convert).parameters if name not in ("source", "out")]
    if unknown := [name for name in options if name not in (*known, "name")]:
        raise UserError(f"{family} has no option {unknown[0]}; there are {', '.join(['name', *known])}")
    source = Path(path).expanduser()
    if not source.exists():
        raise UserError(f"there is no {source}: give the path of the checkpoint")
    name = options.pop("name", f"{family}_{source.stem}")
    out = convert(source, Path(name) if "/" in name else Path("runs", name), **options)
    print(report(out))


def option(argument: str) -> tuple[str, str]:
    name, equals, value = argument.partition("=")
    if not equals or not value:
        raise UserError(f"{argument}: options are written name=value")
    return name, value


def usage() -> str:
    """The help, with what each family says of itself."""
    lines = [USAGE]
    for family in FAMILIES:
        module = importlib.import_module(f"motion_lightning.zoo.{family}")
        lines.append(f"{family}: {inspect.getdoc(module).splitlines()[0]}")
        lines += [f"    {line}".rstrip() for line in inspect.getdoc(module.convert).splitlines()]
        lines.append("")
    return "\n".join(lines)


def report(out: Path) -> str:
    """What was made, and what was left out of it."""
    import json

    path = next(out / name for name in ("provenance.json", "evaluator.json") if (out / name).is_file())
    record = json.loads(path.read_text("utf-8"))
    lines = [f"{out}: {record['tensors_used']} tensors of {record['file']} (SHA-256 {record['sha256'][:16]}…)"]
    for reason, keys in record["left_out"].items():
        some = ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
        lines.append(f"left out {len(keys)}: {reason} ({some}; all in {path.name})")
    return "\n".join([*lines, *(f"next:  {command}" for command in record.get("next", []))])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        if "debug=true" in sys.argv:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
