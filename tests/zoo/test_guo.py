"""Guo et al.'s published files → one folder that is read as it was written, or refused."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from motion_lightning.errors import UserError
from motion_lightning.models.guo import WIDTHS, GuoEvaluator
from motion_lightning.zoo.__main__ import main
from motion_lightning.zoo.guo import convert, load_guo, read_words

WORDS = ["sos", "eos", "unk", *(f"word{'abcdefghij'[i]}" for i in range(9)), "kick"]
ROWS = np.random.default_rng(0).permutation(len(WORDS))  # the vector of a word lies where the index says
NETWORKS = ("movement_encoder", "text_encoder", "motion_encoder")


def published(folder: Path, dataset: str = "humanml3d") -> Path:
    """The authors' files in the authors' places, of random weights."""
    name, width = {"humanml3d": "t2m", "kit": "kit"}[dataset], WIDTHS[dataset]
    root = folder / "checkpoints" / name
    (root / "text_mot_match" / "model").mkdir(parents=True)
    (root / "Comp_v6_KLD01" / "meta").mkdir(parents=True)
    (folder / "glove").mkdir(exist_ok=True)
    torch.manual_seed(width)
    network = GuoEvaluator(width)
    parts = {part: getattr(network, part).state_dict() for part in NETWORKS}
    state = {**parts, "opt_text_encoder": {"state": {}, "param_groups": []}, "epoch": 27, "iter": 14000}
    torch.save(state, root / "text_mot_match" / "model" / "finest.tar")
    rng = np.random.default_rng(width)
    mean, std = rng.uniform(0, 1, width), rng.uniform(0.001, 0.05, width)
    np.save(root / "Comp_v6_KLD01" / "meta" / "mean.npy", mean)
    np.save(root / "Comp_v6_KLD01" / "meta" / "std.npy", std)
    vectors = rng.normal(size=(len(WORDS), 300))
    np.save(folder / "glove" / "our_vab_data.npy", vectors)
    (folder / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps(WORDS, 3))
    index = {word: int(row) for word, row in zip(WORDS, ROWS, strict=True)}
    (folder / "glove" / "our_vab_idx.pkl").write_bytes(pickle.dumps(index, 3))
    return folder


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def copy(folder: Path, to: Path) -> Path:
    """A folder whose large files are links."""
    large = (".tar", ".safetensors")
    link = lambda a, b: os.link(a, b) if str(a).endswith(large) else shutil.copy(a, b)  # noqa: E731
    return Path(shutil.copytree(folder, to, copy_function=link))


@pytest.fixture(scope="module")
def untouched(tmp_path_factory) -> Path:
    return published(tmp_path_factory.mktemp("guo") / "published")


@pytest.fixture
def source(untouched, tmp_path) -> Path:
    return copy(untouched, tmp_path / "source")


@pytest.fixture(scope="module")
def converted(untouched) -> Path:
    return convert(untouched, untouched.parent / "evaluator", "humanml3d")


def change(source: Path, edit) -> None:
    path = next(source.rglob("finest.tar"))
    state = torch.load(path, weights_only=True)
    edit(state)
    path.unlink()
    torch.save(state, path)


def test_a_converted_evaluator_embeds_as_the_published_one(untouched, converted):
    state = torch.load(next(untouched.rglob("finest.tar")), weights_only=True)
    expected = GuoEvaluator()
    for part in NETWORKS:
        getattr(expected, part).load_state_dict(state[part])
    for of in ("mean", "std"):
        getattr(expected, of).copy_(torch.from_numpy(np.load(next(untouched.rglob(f"{of}.npy")))))
    guo = load_guo(converted)
    motion, lengths = torch.rand(3, 60, 263), torch.tensor([60, 40, 47])
    assert torch.equal(guo.network.embed_motion(motion, lengths), expected.embed_motion(motion, lengths))
    tokens = guo.words(["x", "y"], ["worda/NOUN kick/VERB", "wordb/ADV"])
    vectors = np.load(untouched / "glove" / "our_vab_data.npy").astype(np.float32)
    assert np.array_equal(tokens.vectors[0, 2], vectors[ROWS[WORDS.index("kick")]])
    assert torch.equal(guo.network.embed_text(*tokens), expected.embed_text(*tokens))
    assert guo.network.std.dtype == torch.float64 and not any(p.requires_grad for p in guo.network.parameters())


def test_it_says_what_it_was_made_of_and_what_was_left_out(untouched, converted):
    about = json.loads((converted / "evaluator.json").read_text())
    assert about["kind"] == "guo" and about["dataset"] == "humanml3d" and about["words"] == WORDS
    assert about["left_out"] == {"of training alone": ["epoch", "iter", "opt_text_encoder"]}
    assert about["tensors_used"] == 42 and about["file"] == "finest.tar"
    assert about["sizes"]["movement_encoder.main.0.weight"] == [512, 259, 4]
    assert about["sizes"]["word_vectors"] == [len(WORDS), 300]
    files = {str(path.relative_to(untouched)) for path in untouched.rglob("*") if path.is_file()}
    assert set(about["sources"]) == files and len(files) == 6
    assert load_guo(converted).sha256 == about["evaluator_sha256"]
    assert [path.name for path in sorted(converted.iterdir())] == ["evaluator.json", "evaluator.safetensors"]


def test_the_command_makes_the_same_folder(source, tmp_path, converted, capsys):
    main(["import", "guo", str(source), f"name={tmp_path / 'out'}", "dataset=humanml3d"])
    assert load_guo(tmp_path / "out").sha256 == load_guo(converted).sha256
    told = capsys.readouterr().out
    assert "42 tensors of finest.tar" in told and "opt_text_encoder" in told


def test_the_same_files_give_the_same_hash(source, converted, tmp_path):
    again = convert(source, tmp_path / "again", "humanml3d")
    assert load_guo(again).sha256 == load_guo(converted).sha256
    with (again / "evaluator.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(UserError, match="was changed"):
        load_guo(again)
    with pytest.raises(UserError, match="again"):
        convert(source, again, "humanml3d")  # takes no place that is taken


@pytest.mark.slow
def test_two_data_sets_may_lie_side_by_side(source, tmp_path):
    published(source, "kit")
    about = {name: load_guo(convert(source, tmp_path / name, name)).about for name in WIDTHS}
    assert about["kit"]["sizes"]["mean"] == [251] and about["humanml3d"]["sizes"]["mean"] == [263]


def test_words_may_be_json(source, tmp_path, converted):
    for name in ("words", "idx"):
        path = source / "glove" / f"our_vab_{name}.pkl"
        path.with_suffix(".json").write_text(json.dumps(pickle.loads(path.read_bytes())))
        path.unlink()
    assert load_guo(convert(source, tmp_path / "out", "humanml3d")).sha256 == load_guo(converted).sha256


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop("motion_encoder"), "expected movement_encoder, text_encoder, motion_encoder"),
        (lambda state: state["text_encoder"].pop("hidden"), r"lacks 1 of 42 tensors.*text_encoder\.hidden"),
        (lambda state: state["text_encoder"].update(more=torch.ones(1)), r"text_encoder\.more is unknown"),
        (
            lambda state: state["motion_encoder"].update({"hidden": torch.zeros(2, 1, 512)}),
            r"motion_encoder\.hidden is 2 x 1 x 512, expected 2 x 1 x 1024",
        ),
        (
            lambda state: state["text_encoder"]["hidden"].fill_(float("nan")),
            r"text_encoder\.hidden holds numbers that are not finite",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(source, tmp_path, edit, message):
    change(source, edit)
    with pytest.raises(UserError, match=message):
        convert(source, tmp_path / "out", "humanml3d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize("where", ["epoch", "text_encoder"])
def test_nothing_in_a_checkpoint_is_run(source, tmp_path, where):
    def lay(state):
        state[where] = Trap(tmp_path / "sprung")

    change(source, lay)
    with pytest.raises(UserError, match=r"finest\.tar"):
        convert(source, tmp_path / "out", "humanml3d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_the_evaluator_of_another_data_set_is_refused(source, tmp_path):
    with pytest.raises(UserError, match="expected 251 finite numbers"):
        convert(source, tmp_path / "out", "kit")
    for of in ("mean", "std"):
        path = next(source.rglob(f"{of}.npy"))
        np.save(path, np.load(path)[:251])
    with pytest.raises(UserError, match=r"main\.0\.weight is 512 x 259 x 4, expected 512 x 247 x 4"):
        convert(source, tmp_path / "out", "kit")


def test_statistics_of_the_data_set_are_refused(source, tmp_path):
    path = next(source.rglob("std.npy"))
    std = np.load(path)
    std[-4:] = 0.356  # HumanML3D's own
    np.save(path, std)
    with pytest.raises(UserError, match="is the data set's, not the evaluator's"):
        convert(source, tmp_path / "out", "humanml3d")


@pytest.mark.slow
def test_the_published_statistics_are_taken_and_the_data_sets_are_not(source, tmp_path, shared_data):
    reference = shared_data / "humanml3d_reference"
    meta = next(source.rglob("meta"))
    published(source, "kit")
    for name, dataset in (("t2m", "humanml3d"), ("kit", "kit")):
        meta = source / "checkpoints" / name / "Comp_v6_KLD01" / "meta"
        for of in ("mean", "std"):
            shutil.copy(reference / "evaluator_stats" / f"{name}_{of}.npy", meta / f"{of}.npy")
        network = load_guo(convert(source, tmp_path / name, dataset)).network
        assert np.array_equal(network.std, np.load(reference / "evaluator_stats" / f"{name}_std.npy"))
    meta = source / "checkpoints" / "t2m" / "Comp_v6_KLD01" / "meta"
    shutil.copy(reference / "Std.npy", meta / "std.npy")
    with pytest.raises(UserError, match=r"contacts is 0\.356"):
        convert(source, tmp_path / "out", "humanml3d")


def test_mean_and_std_swapped_are_refused(source, tmp_path):
    mean, std = (next(source.rglob(f"{of}.npy")) for of in ("mean", "std"))
    values = np.load(mean)
    values[0] = -0.1
    np.save(mean, np.load(std))
    np.save(std, values)
    with pytest.raises(UserError, match="swapped"):
        convert(source, tmp_path / "out", "humanml3d")


@pytest.mark.parametrize("name", ["finest.tar", "mean.npy", "std.npy", "our_vab_data.npy", "our_vab_words.pkl"])
def test_a_missing_file_is_named(source, tmp_path, name):
    next(source.rglob(name)).unlink()
    with pytest.raises(UserError, match=name.split(".")[0]):
        convert(source, tmp_path / "out", "humanml3d")


def test_two_that_differ_are_refused(source, tmp_path):
    other = source / "checkpoints" / "t2m" / "Comp_v6_KLD05" / "meta"
    shutil.copytree(other.parent.parent / "Comp_v6_KLD01" / "meta", other)
    convert(source, tmp_path / "alike", "humanml3d")  # two that are alike are one
    np.save(other / "std.npy", np.load(other / "std.npy") * 1.01)
    with pytest.raises(UserError, match=r"several of .*differ"):
        convert(source, tmp_path / "out", "humanml3d")


@pytest.mark.parametrize("where", ["nowhere", "source", "dataset"])
def test_places_that_are_no_places_are_refused(source, tmp_path, where):
    with pytest.raises(UserError):
        convert(
            tmp_path / "nowhere" if where == "nowhere" else source,
            source if where == "source" else tmp_path / "out",
            "mars" if where == "dataset" else "humanml3d",
        )
    assert next(source.rglob("finest.tar")).is_file()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("our_vab_words.pkl", ["sos", 3], "expected a list of words"),
        ("our_vab_words.pkl", WORDS[:-1], "13 numbers and 13 vectors"),
        ("our_vab_idx.pkl", dict.fromkeys(WORDS, 99), "no vector for 'sos'"),
        ("our_vab_idx.pkl", dict.fromkeys(WORDS, "1"), "expected a number"),
        ("our_vab_data.npy", np.zeros((13, 50)), r"expected \(words, 300\)"),
        ("our_vab_data.npy", np.full((13, 300), np.nan), "not finite"),
    ],
)
def test_words_that_do_not_fit_are_refused(source, file, content, message):
    path = source / "glove" / file
    np.save(path, content) if file.endswith("npy") else path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=message):
        read_words(path.parent)


def test_the_published_words_are_read(shared_data, tmp_path):
    glove = shutil.copytree(shared_data / "humanml3d_reference" / "glove", tmp_path / "glove")
    vectors = np.random.default_rng(0).normal(size=(4199, 300))
    np.save(glove / "our_vab_data.npy", vectors)
    words, files = read_words(Path(glove))
    assert len(words) == 4199 and words.words[:4] == ["sos", "eos", "unk", "a"] and len(files) == 3
    assert np.array_equal(words.vectors, vectors.astype(np.float32))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "guo"}', '{"kind": "tmr", "version": 1}'])
def test_a_folder_that_is_no_evaluator_is_refused(converted, tmp_path, text):
    folder = copy(converted, tmp_path / "copy")
    (folder / "evaluator.json").write_text(text)
    with pytest.raises(UserError):
        load_guo(folder)
    with pytest.raises(UserError, match="gone"):
        load_guo(tmp_path / "gone")


def test_words_that_were_changed_are_refused(converted, tmp_path):
    folder = copy(converted, tmp_path / "copy")
    about = json.loads((folder / "evaluator.json").read_text())
    about["words"][3:5] = about["words"][4:2:-1]
    (folder / "evaluator.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match="words are others"):
        load_guo(folder)
