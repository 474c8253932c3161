"""Imports go one way, and each heavy library is known in one place."""

import ast
from pathlib import Path

import pytest

import motion_lightning

PACKAGE = Path(motion_lightning.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A module may import what stands on a lower floor, or in its own folder.
FLOORS = [
    {"__version__"},
    {"errors"},
    {"paths"},
    {"motion", "diffusion", "models"},
    {"text", "view"},
    {"data"},
    {"metrics"},
    {"codecs"},
    {"pipeline", "embedder", "lengths", "protocol"},
    {"tasks", "replications"},
    {"lit"},
    {"callbacks"},
    {"config"},
    {"assemble", "checks", "prepare"},
    {"first_stage"},
    {"evaluator", "realignment", "stages"},
    {"evaluation", "editing", "zoo"},
    {"protocol_runs", "retrieval", "inversion"},
    {"sample", "evaluate", "doctor", "first_action", "comparison", "judge", "retrieve", "invert"},
    {"train", "compare"},
]
FLOOR = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
COMMANDS = {room for rooms in FLOORS[-8:] for room in rooms}
GROUND = {"torch", "einops", "numpy", "scipy", "yaml"}
BACKBONES = {"models/image_backbone.py", "models/video_features.py"}  # frozen ones are the library's, imported late
KNOWN_IN = {
    "hydra": COMMANDS,
    "omegaconf": COMMANDS,
    "lightning": {"lit", "callbacks", "data/datamodule.py"} | COMMANDS,
    "wandb": {"callbacks"},
}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere, also late ones."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def room(parts: list[str]) -> str:
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_go_down(path):
    here = room(list(path.relative_to(PACKAGE).parts))
    if here == "__init__":
        assert not any(name.startswith("motion_lightning") for name in imports(path))
        return
    for name in imports(path):
        first, *rest = name.split(".")
        if first != "motion_lightning":
            continue
        there = room(rest)
        assert there == here or FLOOR[there] < FLOOR[here], f"{here} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_libraries_are_known_in_their_place(path):
    inside = path.relative_to(PACKAGE)
    places = {room(list(inside.parts)), inside.as_posix()}
    libraries = {name.split(".")[0] for name in imports(path)}
    for library, allowed in KNOWN_IN.items():
        assert library not in libraries or places & allowed, f"{inside} imports {library}"
    if room(list(inside.parts)) in FLOORS[3]:
        stdlib = __import__("sys").stdlib_module_names
        libraries -= {"transformers"} if inside.as_posix() in BACKBONES else set()
        assert libraries <= GROUND | stdlib | {"motion_lightning"}, f"{inside} imports {libraries}"


def test_every_room_has_a_floor():
    rooms = {room(list(path.relative_to(PACKAGE).parts)) for path in FILES} - {"__init__"}
    assert rooms == set(FLOOR) - {"__version__"}
