"""Embeddings of texts in half precision, in two files of a folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from motion_lightning.data.ragged import RaggedWriter
from motion_lightning.errors import UserError
from motion_lightning.text.encoders import TextEncoder

TEXTS_A_CHUNK = 512  # embedded together; a resumed run keeps whole chunks, so that its bytes do not differ


def write_embeddings(texts: Sequence[str], encoder: TextEncoder, folder: Path, progress: bool = True) -> None:
    """Files ``tokens`` and ``pooled``, one item a text, in ``folder``; goes on with what an interrupted call wrote.

    Raises:
        UserError: an embedding that half precision cannot hold.
    """
    files = {name: RaggedWriter(folder, name) for name in ("tokens", "pooled")}
    done = min(len(file) for file in files.values()) // TEXTS_A_CHUNK * TEXTS_A_CHUNK
    for file in files.values():
        file.truncate(done)
    with tqdm(desc="captions", total=len(texts), initial=done, disable=not progress, unit="text") as bar:
        for start in range(done, len(texts), TEXTS_A_CHUNK):
            chunk = [texts[i] for i in range(start, min(start + TEXTS_A_CHUNK, len(texts)))]
            cond = encoder.encode(chunk)
            tokens, pooled = cond.tokens.numpy().astype(np.float16), cond.pooled.numpy().astype(np.float16)
            if not (np.isfinite(tokens).all() and np.isfinite(pooled).all()):
                raise UserError(f"text encoder {encoder.name}: embeddings do not fit into half precision; use another")
            for row, length, mean in zip(tokens, cond.mask.sum(1).tolist(), pooled, strict=True):
                files["tokens"].append(row[:length])
                files["pooled"].append(mean)
            for file in files.values():
                file.flush()
            bar.update(len(chunk))
    for file in files.values():
        file.close()
