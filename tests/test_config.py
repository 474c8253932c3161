"""The wrapper of the commands: composing, free text, errors, instantiating, run folders."""

import inspect
import re
from dataclasses import dataclass
from typing import NamedTuple

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue

from motion_lightning.config import (
    compose,
    instantiate,
    load_config,
    main,
    quote_free_text,
    run_dir,
    save_config,
    to_plain,
)
from motion_lightning.errors import UserError
from motion_lightning.paths import conf_dir

OPTIONS = [
    f"{folder.name}={file.stem}"
    for folder in sorted(conf_dir().iterdir())
    if folder.is_dir()
    and folder.name
    not in ("skeleton", "rig", "scoring", "representation", "protocol", "published")  # not groups of train
    for file in sorted(folder.glob("*.yaml"))
]


class Part:
    def __init__(self, size: int, options: dict | None = None, other=None):
        if size < 0:
            raise UserError("size is below zero: give a positive one")
        self.size, self.options, self.other = size, options, other


PART = f"{__name__}.Part"


# ------------------------------------------------------------------------------------------- free text


def parsed(override: str) -> str:
    """What a command reads for the key ``prompt``."""
    cfg = OmegaConf.create({"prompt": None})
    OmegaConf.update(cfg, "prompt", OverridesParser.create().parse_override(override).value())
    return cfg.prompt


@given(st.text(st.sampled_from("ab ,;:=+~'\"\\$@#%{}[]()<>\n\tßЖ手"), max_size=14))
def test_any_prompt_arrives_as_it_was_typed(text):
    quoted = quote_free_text(f"prompt={text}")
    if quoted != f"prompt={text}":  # else it was one quoted string, in the grammar of overrides
        assert parsed(quoted) == text


@pytest.mark.parametrize(
    "text", ["walks, then waves", "it's [fast] <3", "null", "1e3", "", "${oc.env:HOME}", "a \\", "{x: 1}"]
)
def test_prompts_that_the_grammar_would_take_apart(text):
    assert parsed(quote_free_text(f"prompt={text}")) == text


def test_paths_and_names_need_not_be_ascii():
    for text in ("größe", "/home/jörg/手 x"):
        assert parsed(quote_free_text(f"name={text}").replace("name", "prompt")) == text


def test_quoting_leaves_the_rest_alone():
    once = quote_free_text("prompt=it's 'me'")
    assert quote_free_text(once) == once  # a child process gets the arguments of its parent
    for argument in (
        'prompt="a, b"',
        "model.width=3",
        "--help",
        "data=bvh",
        "my_prompt=a b",
        "data.source=[ä.zip,b]",
    ):
        assert quote_free_text(argument) == argument


# ------------------------------------------------------------------------------------------- commands


@pytest.fixture
def command(call, monkeypatch, capsys, tmp_path):
    """Run a function as the command ``sample`` with arguments; returns (exit status, lines on stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(run, *arguments: str, root: str = "sample") -> tuple[int, list[str]]:
        return call(main(root)(run), *arguments), capsys.readouterr().err.splitlines()

    return command


def nothing(cfg) -> None:
    pass


def refuse(cfg) -> None:
    raise UserError("the moon is missing in the sky: put it back")


def read_run(cfg) -> None:
    assert cfg.run != cfg.prompt


def build(size) -> None:
    def run(cfg) -> None:
        instantiate({"_target_": PART, **size})

    return run


BAD_INPUT = [
    (nothing, ["promt=x"], "there is no setting promt; did you mean prompt?"),
    (nothing, ["scoring=x"], "there is no setting scoring"),
    (nothing, ["steps=["], "cannot read the override steps=["),
    (nothing, ["--config-dir", "nowhere"], "nowhere' not found"),
    (nothing, ["--config-name", "nothing"], "nothing"),
    (read_run, ["prompt=x"], "run is not set: add run=…"),
    (refuse, [], "the moon is missing"),
    (build({"size": -1}), [], "size is below zero: give a positive one"),
    (build({"sice": 1}), [], "unexpected keyword argument 'sice'"),
]


@pytest.mark.parametrize(("run", "arguments", "says"), BAD_INPUT, ids=[case[2] for case in BAD_INPUT])
def test_bad_input_is_one_line(command, run, arguments, says):
    status, lines = command(run, *arguments)
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert says in lines[0]


@pytest.mark.parametrize(("run", "arguments"), [(nothing, ["promt=x"]), (refuse, []), (build({"sice": 1}), [])])
def test_debug_shows_where(command, run, arguments):
    with pytest.raises(Exception) as caught:
        command(run, "debug=true", *arguments)
    assert not isinstance(caught.value, SystemExit)


def test_unknown_option_lists_the_known_ones(command):
    _, lines = command(nothing, "model=dot", root="train")
    assert lines[0].startswith("error: there is no model=dot; there are dit, ")
    _, lines = command(nothing, "model.widht=3", root="train")
    assert "did you mean model.width?" in lines[0]
    assert "model.depth" in lines[0]


def test_a_defect_is_not_taken_for_bad_input(command):
    def divide(cfg) -> None:
        1 / 0  # noqa: B018

    with pytest.raises(ZeroDivisionError):
        command(divide)


def test_a_sweep_runs_every_job(command, tmp_path):
    seen = []

    def run(cfg) -> None:
        seen.append((cfg.seed, run_dir().resolve()))

    assert command(run, "-m", "seed=3,5", "sweep=trial", root="train") == (0, [])
    assert seen == [(3, tmp_path / "sweeps/trial/0"), (5, tmp_path / "sweeps/trial/1")]


def test_a_failed_job_of_a_sweep_is_named(command):
    status, lines = command(refuse, "-m", "seed=3,5", "sweep=trial", root="train")
    assert status == 2
    assert [re.sub(r"\(.*\)", "", line) for line in lines] == [
        f"error: sweeps/trial/{job} : the moon is missing in the sky: put it back" for job in (0, 1)
    ]
    assert "seed=3" in lines[0] and "seed=5" in lines[1]


def test_a_run_lies_in_runs_and_can_be_started_again(command, tmp_path):
    seen = []

    def run(cfg) -> None:
        seen.append((cfg.seed, cfg.model.width, run_dir().resolve()))

    command(run, "name=first", "seed=7", "model=dit_xs", root="train")
    command(run, "--config-path", str(tmp_path / "runs/first/.hydra"), "--config-name", "config", root="train")
    assert [(seed, width) for seed, width, _ in seen] == [(7, 64), (7, 64)]
    assert seen[0][2] == tmp_path / "runs/first"


def test_users_add_their_own_groups(command, tmp_path):
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/slim.yaml").write_text("defaults: [dit, _self_]\nwidth: 48\n")
    widths = []
    status, _ = command(
        lambda cfg: widths.append((cfg.model.width, cfg.model.heads)),
        *("--config-dir", str(tmp_path / "mine"), "model=slim"),
        root="train",
    )
    assert (status, widths) == (0, [(48, 4)])


# ---------------------------------------------------------------------------- the configuration itself


def targets(node, path: str = ""):
    """(path, node) of everything that names a ``_target_``."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, child in node.items():
            yield from targets(child, f"{path}.{key}")


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_names_what_exists(option):
    """Each ``_target_`` of each option of each group is there and takes the arguments that YAML gives it."""
    extra = ["model=vivit"] if option.startswith("skip=") else []
    of_files = OmegaConf.is_missing(compose("train", [*extra, option]).data, "source")
    extra += ["data.source=somewhere"] if of_files else []
    cfg = to_plain(compose("train", [option, *extra]))
    found = dict(targets(cfg))
    assert found
    for path, node in found.items():
        arguments = {key: value for key, value in node.items() if not key.startswith("_")}
        try:
            inspect.signature(hydra.utils.get_object(node["_target_"])).bind_partial(**arguments)
        except Exception as error:
            pytest.fail(f"{option}: {path.lstrip('.')}: {error}")


def test_numbers_that_parts_share_are_written_once():
    cfg = compose("train", ["seed=5", "diffusion.process.steps=50", "sampler=ddpm", "name=x"])
    assert cfg.loader.seed == cfg.training.seed == 5
    assert cfg.sampler.steps == 50
    assert cfg.logger.wandb.name == "x"


# --------------------------------------------------------------------------------------- instantiating


@dataclass
class Statistics:
    mean: float


class Pair(NamedTuple):
    first: int
    second: int


def test_objects_pass_as_they_are():
    node = OmegaConf.create({"_target_": PART, "size": 1, "options": {"a": [1, 2]}})
    for thing in (Statistics(1.0), Pair(1, 2), object(), [Statistics(2.0)]):
        part = instantiate(node, other=thing)
        assert part.other is thing
        assert type(part.options) is dict
        assert type(part.options["a"]) is list


def test_partials_take_objects_too():
    thing = Statistics(1.0)
    make = instantiate({"_target_": PART, "_partial_": True, "size": 1}, other=thing)
    assert make().other is thing
    assert make(size=4).size == 4


def test_containers_without_a_target_become_plain():
    values = instantiate(OmegaConf.create({"a": {"b": [1, 2]}}))
    assert values == {"a": {"b": [1, 2]}}
    assert type(values["a"]["b"]) is list


# ----------------------------------------------------------------------------------------- run folders


def test_a_configuration_comes_back(tmp_path):
    cfg = compose("train", ["name=größe", "seed=3"])
    save_config(cfg, tmp_path / "run")
    assert load_config(tmp_path / "run") == to_plain(cfg)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("text", [None, "a: [", "just words"])
def test_a_folder_that_is_no_run(tmp_path, text):
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_config(tmp_path)


def test_a_missing_value_is_not_saved():
    with pytest.raises(MissingMandatoryValue):
        to_plain(compose("sample"))
