"""Guo et al.'s evaluator: the files that its authors published → one folder that describes itself.

evaluator.safetensors   weights, statistics, word vectors
evaluator.json          data set, words, sizes, SHA-256 of that file and of every file that it was made of
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from motion_lightning.data.npy import open_npy
from motion_lightning.data.store import file_sha256
from motion_lightning.data.unpickle import read_plain
from motion_lightning.errors import UserError
from motion_lightning.models.guo import CONTACTS, WIDTHS, WORD, GuoEvaluator
from motion_lightning.text.word_vectors import WordVectors
from motion_lightning.zoo.checkpoint import fit, read, tensors
from motion_lightning.zoo.run import check_free, provenance, written

VERSION = 1  # of the folder
TENSORS, ABOUT = "evaluator.safetensors", "evaluator.json"
VECTORS = "word_vectors"
NETWORKS = ("movement_encoder", "text_encoder", "motion_encoder")  # keys of the published checkpoint
PUBLISHED = {"humanml3d": "t2m", "kit": "kit"}  # the authors' names of the two
CHECKPOINTS = ("**/{name}/text_mot_match/model/finest.tar", "**/text_mot_match/model/finest.tar", "**/finest.tar")
# those of "Comp_v6_KLD01" (HumanML3D) and "Comp_v6_KLD005" (KIT) are what the evaluator was trained with
STATISTICS = ("**/{name}/Comp_v6_KLD*/meta/{of}.npy", "**/Comp_v6_KLD*/meta/{of}.npy", "**/meta/{of}.npy")
STATISTICS = (*STATISTICS, "**/{name}_{of}.npy")  # as GuyTevet/motion-diffusion-model has them
WIDEST_CONTACT = 0.1  # std; the evaluator's are 0.014 and 0.005, the data sets' 25 times that


class Guo(NamedTuple):
    """An evaluator that was read: networks, words, and what ``evaluator.json`` says."""

    network: GuoEvaluator
    words: WordVectors
    about: dict[str, Any]

    @property
    def sha256(self) -> str:
        """Names the evaluator in the provenance of a number."""
        return self.about["evaluator_sha256"]


def convert(source: Path, out: Path, dataset: str = "humanml3d") -> Path:
    """Published files → an evaluator for ``evaluate … evaluator=``, in a folder that is there as a whole or not at all.

    PATH is a folder that holds, at any depth, text_mot_match/model/finest.tar, Comp_v6_KLD*/meta/mean.npy and std.npy
    (or t2m_mean.npy and t2m_std.npy), and our_vab_data.npy with our_vab_words and our_vab_idx as .pkl or .json. A
    file that is missing, there twice, damaged or of another size is refused, and so are the data set's own statistics.

    dataset=NAME  humanml3d or kit
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    if dataset not in WIDTHS:
        raise UserError(f"there is no evaluator of {dataset!r}; take one of {', '.join(WIDTHS)}")
    if not source.is_dir():
        raise UserError(f"{source} is no folder; one with the evaluator's published files is expected")
    check_free(out)
    checkpoint = _find(source, CHECKPOINTS, dataset)
    statistics = {of: _find(source, STATISTICS, dataset, of) for of in ("mean", "std")}
    words, word_files = read_words(_find(source, ("**/our_vab_data.npy",), dataset).parent)

    network = GuoEvaluator(WIDTHS[dataset])
    own = _statistics(statistics, network.features)
    published = read(checkpoint)
    expected = {name: value for name, value in network.state_dict().items() if name not in own}
    weights = fit(_weights(published, checkpoint), expected, {}, {}, checkpoint).weights
    kept = {**weights, **own, VECTORS: words.vectors}
    left_out = {"of training alone": sorted(str(key) for key in published if key not in NETWORKS)}
    follows = f"python -m motion_lightning.evaluate 'runs=[RUN]' protocol=t2m evaluator={out}"
    about = {
        "kind": "guo",
        "version": VERSION,
        "dataset": dataset,
        **provenance("guo", checkpoint, left_out, len(weights), next=[follows]),
        "sources": {
            str(path.relative_to(source)): {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
            for path in (checkpoint, *statistics.values(), *word_files)
        },
        "sizes": {name: list(tensor.shape) for name, tensor in kept.items()},
        "words": words.words,
    }
    with written(out) as part:
        save_file({name: tensor.contiguous() for name, tensor in kept.items()}, part / TENSORS, _metadata(words.words))
        about["evaluator_sha256"] = file_sha256(part / TENSORS)
        (part / ABOUT).write_text(json.dumps(about, indent=1, ensure_ascii=False), "utf-8")
    return out


def load_guo(folder: Path) -> Guo:
    """The evaluator of a folder that `convert` wrote, its file checked against its hash.

    Raises:
        UserError: no such folder, one that is damaged, or was changed.
    """
    folder = Path(folder).expanduser()
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        if about["kind"] != "guo" or about["version"] != VERSION:
            raise UserError(f"{folder / ABOUT} is of kind {about['kind']!r}, version {about['version']}; convert again")
        if file_sha256(folder / TENSORS) != about["evaluator_sha256"]:
            raise UserError(f"{folder / TENSORS} was changed since it was written; convert the published files again")
        with safe_open(folder / TENSORS, "pt") as file:
            if file.metadata() != _metadata(about["words"]):
                raise UserError(f"{folder / ABOUT} was changed: its words are others; convert again")
            kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network, words = GuoEvaluator(WIDTHS[about["dataset"]]), WordVectors(about["words"], kept.pop(VECTORS))
        network.load_state_dict(kept)
    except OSError as error:
        raise UserError(f"{folder} is no evaluator: {error.filename} cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} is no evaluator, or damaged ({reason}); convert the published files again") from None
    return Guo(network.requires_grad_(False), words, about)


def read_words(folder: Path) -> tuple[WordVectors, list[Path]]:
    """Words and vectors of ``our_vab_data.npy`` and, as .pkl or .json, ``our_vab_words`` and ``our_vab_idx``.

    Returns the files too.

    Raises:
        UserError: one is missing, damaged, or does not fit the others.
    """
    data = folder / "our_vab_data.npy"
    vectors = _read_npy(data)
    (words, words_file), (index, index_file) = _read_list(folder / "our_vab_words"), _read_list(folder / "our_vab_idx")
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise UserError(f"{words_file}: expected a list of words")
    if not isinstance(index, dict) or not all(isinstance(row, int) for row in index.values()):
        raise UserError(f"{index_file}: expected a number for each word")
    if vectors.ndim != 2 or vectors.shape[1] != WORD or vectors.dtype.kind != "f":
        raise UserError(f"{data}: expected (words, {WORD}) of floats, got {vectors.shape} of {vectors.dtype}")
    if not len(words) == len(index) == len(vectors):
        sizes = f"{len(words)} words, {len(index)} numbers and {len(vectors)} vectors"
        raise UserError(f"{folder}: {sizes}; take the three files of one download")
    if wrong := [word for word in words if not 0 <= index.get(word, -1) < len(vectors)]:
        raise UserError(f"{index_file}: no vector for {wrong[0]!r}; take the three files of one download")
    try:
        rows = torch.from_numpy(vectors[[index[word] for word in words]].astype(np.float32))
        return WordVectors(words, rows), [data, words_file, index_file]
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None


def _weights(checkpoint: Any, path: Path) -> dict[str, Tensor]:
    """The three networks' tensors by their whole names."""
    if not isinstance(checkpoint, dict) or not all(isinstance(checkpoint.get(name), dict) for name in NETWORKS):
        found = ", ".join(map(str, checkpoint)) if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise UserError(f"{path}: expected {', '.join(NETWORKS)}, found {found[:200] or 'nothing'}")
    named = {f"{part}.{name}": tensor for part in NETWORKS for name, tensor in checkpoint[part].items()}
    return tensors(named, path)


def _statistics(files: Mapping[str, Path], width: int) -> dict[str, Tensor]:
    values = {of: torch.from_numpy(_read_npy(path).astype(np.float64)) for of, path in files.items()}
    for of, path in files.items():
        if values[of].shape != (width,) or not values[of].isfinite().all():
            raise UserError(f"{path}: expected {width} finite numbers, got shape {tuple(values[of].shape)}")
    mean, std = values["mean"], values["std"]
    if not (std > 0).all() or not ((mean >= 0) & (mean <= 1))[-CONTACTS:].all():
        raise UserError(f"{files['std']}: a std is not positive, or a mean contact not of 0 to 1: are the two swapped?")
    if (std[-CONTACTS:] > WIDEST_CONTACT).any():
        raise UserError(
            f"{files['std']} is the data set's, not the evaluator's: its std of the contacts is {std[-1]:.3f}, while "
            "the evaluator's are 25 times smaller; take those of Comp_v6_KLD*/meta"
        )
    return values


def _find(source: Path, patterns: Sequence[str], dataset: str, of: str = "") -> Path:
    """The file of the first pattern that there is; several are one where their bytes are the same."""
    patterns = [pattern.format(name=PUBLISHED[dataset], of=of) for pattern in patterns]
    for pattern in patterns:
        found = sorted(path for path in source.glob(pattern) if path.is_file())
        if len({file_sha256(path) for path in found}) > 1:
            raise UserError(
                f"{source} holds several of {pattern}, which differ: {found[0]}, {found[1]}; name one's folder"
            )
        if found:
            return found[0]
    raise UserError(f"{source} lacks a file of the evaluator; looked for {', '.join(patterns)}")


def _read_list(stem: Path) -> tuple[Any, Path]:
    pickled, path = stem.with_suffix(".pkl"), stem.with_suffix(".json")
    if pickled.is_file() or not path.is_file():
        return read_plain(pickled), pickled
    try:
        return json.loads(path.read_text("utf-8")), path
    except ValueError as error:
        raise UserError(f"{path}: no JSON, or damaged ({error})") from None


def _read_npy(path: Path) -> np.ndarray:
    try:
        return open_npy(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _metadata(words: Sequence[str]) -> dict[str, str]:
    """Of the tensors' file, whose hash so vouches for the words, too."""
    return {"words_sha256": hashlib.sha256("\n".join(words).encode()).hexdigest()}
