"""Captions of a store cut to their first action, with embeddings of their own. Made after the store, beside it."""

import hashlib
import json
import shutil
from pathlib import Path

import filelock
import numpy as np

from motion_lightning.data.embedding import write_embeddings
from motion_lightning.data.ragged import RaggedWriter
from motion_lightning.data.store import Store
from motion_lightning.data.texts import TextCache, Texts
from motion_lightning.errors import UserError
from motion_lightning.text import first_action, tagging
from motion_lightning.text.encoders import TextEncoder


def prepare_cuts(store: Store, mode: str, encoder: TextEncoder, progress: bool = True) -> Path:
    """Cuts every caption of ``store`` and embeds those texts that it does not hold already.

    Returns the folder, ``derived/first_action-<mode>-<hash>`` in the store: the new texts with their embeddings,
    and for each caption the index of its cut, counted through the store's texts and then the new ones. It is made
    once for each version of the rules; an interrupted call goes on, and processes wait for each other.

    Raises:
        UserError: there is no such mode, or ``encoder`` is not the store's.
    """
    folder = _folder(store, mode)
    if json.loads(json.dumps(encoder.fingerprint())) != store.manifest["encoder"]:
        raise UserError(f"{store.path} was prepared with another text encoder than {encoder.name}; prepare it again")
    folder.parent.mkdir(exist_ok=True)
    with filelock.FileLock(folder.with_name(folder.name + ".lock")):
        if not folder.is_dir():
            partial = folder.with_name(folder.name + ".partial")
            _write(store, mode, encoder, partial, progress)
            partial.rename(folder)
    return folder


def open_store(store: str | Path | Store, mode: str = "none") -> Store:
    """The store (or one that is open) with its captions cut by ``mode``; UserError where they were not cut before."""
    store = Store.open(store)
    return store if mode == "none" else store.with_texts(cut_texts(store, mode))


def cut_texts(store: Store, mode: str) -> TextCache:
    """The texts of ``store`` as ``prepare_cuts`` cut them, under the indices of the whole captions.

    Raises:
        UserError: they were not cut by this mode and version.
    """
    folder = _folder(store, mode)
    if not folder.is_dir():
        raise UserError(
            f"{store.path}: its captions were not cut by first_action={mode}; "
            f"run: python -m motion_lightning.prepare data={store.manifest['corpus']} +loader.first_action={mode}"
        )
    return CutTexts(store.whole_texts, folder)


class CutTexts(TextCache):
    """A cut is a caption of the store, or one of the new texts that are counted behind them."""

    def __init__(self, whole: TextCache, folder: Path):
        self._whole, self._new, self.width = whole, TextCache(folder, whole.width), whole.width
        self.path = folder
        self._cuts = np.load(folder / "cuts.npy", allow_pickle=False)  # (texts,) int32

    def __reduce__(self):
        return CutTexts, (self._whole, self.path)

    def __len__(self) -> int:
        return len(self._cuts)

    def __getitem__(self, i: int) -> str:
        texts, k = self._find(i)
        return texts[k]

    def tokens(self, i: int) -> np.ndarray:
        texts, k = self._find(i)
        return texts.tokens(k)

    def pooled(self, i: int) -> np.ndarray:
        texts, k = self._find(i)
        return texts.pooled(k)

    def pos(self, i: int) -> str:
        """The corpus' own parts of speech of the words that are left."""
        return tagging.line_of_beginning(self[i], self._whole[i], self._whole.pos(i))

    def _find(self, i: int) -> tuple[TextCache, int]:
        cut = int(self._cuts[i])
        return (self._whole, cut) if cut < len(self._whole) else (self._new, cut - len(self._whole))


def _folder(store: Store, mode: str) -> Path:
    if mode not in first_action.MODES[1:]:
        known = ", ".join(first_action.MODES)
        raise UserError(f"first_action={mode}: there is no such way to cut captions; take one of {known}")
    depends = json.dumps([first_action.fingerprint(), tagging.MODEL_VERSION, store.manifest["encoder"]])
    return store.path / "derived" / f"first_action-{mode}-{hashlib.sha256(depends.encode()).hexdigest()[:8]}"


def _write(store: Store, mode: str, encoder: TextEncoder, folder: Path, progress: bool) -> None:
    whole = store.whole_texts
    captions = list(whole)
    tags = tagging.tag(captions, [whole.pos(i) for i in range(len(whole))], progress=progress)
    index = {caption: i for i, caption in enumerate(captions)}
    cuts = [
        index.setdefault(first_action.cut(caption, words, mode), len(index))
        for caption, words in zip(captions, tags, strict=True)
    ]
    new = list(index)[len(captions) :]
    if not (folder / "texts.ends").is_file() or list(Texts(folder)) != new:  # not the work of an interrupted call
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        file = RaggedWriter(folder, "texts")
        for text in new:
            file.append(text.encode())
        file.close()
    np.save(folder / "cuts.npy", np.array(cuts, np.int32))
    write_embeddings(new, encoder, folder, progress)
