"""Words in <angle brackets> that stand for learned vectors (textual inversion, Gal et al. 2023, sec. 3)."""

import copy
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from motion_lightning.errors import UserError
from motion_lightning.text.condition import TextCond
from motion_lightning.text.encoders import FrozenEncoder

NAME = r"[A-Za-z][\w-]{0,63}"
WORD = re.compile(rf"<({NAME})>")
VERSION = "1"  # of the file
MOST = 16  # vectors of one word


class PseudoWords:
    """A frozen encoder that knows more words. Texts without one are encoded as the encoder does, to the bit.

    Args:
        encoder: of the transformers library; its weights stay as they are and get no gradient.
        words: vectors (K, E) of its table of input tokens, by name; gradients reach them. One word is K tokens.

    Raises:
        UserError: an encoder without such a table, a name that is none, vectors that do not fit.
    """

    def __init__(self, encoder: FrozenEncoder, words: Mapping[str, Tensor]):
        if not isinstance(encoder, FrozenEncoder):
            raise UserError(f"text encoder {encoder.name} has no table of tokens, so it cannot learn a <word>")
        self.encoder, self.words = encoder, dict(words)
        self.name, self.dim, self.max_tokens = encoder.name, encoder.dim, encoder.max_tokens
        for name, vectors in self.words.items():
            check_name(name)
            width = self.table.embedding_dim
            if vectors.ndim != 2 or not 1 <= len(vectors) <= MOST or vectors.shape[1] != width:
                raise UserError(f"<{name}>: vectors {tuple(vectors.shape)}, expected 1 to {MOST} of {width} numbers")

    def fingerprint(self) -> dict[str, Any]:
        return self.encoder.fingerprint() | {"words": sorted(self.words)}

    def encode(self, texts: Sequence[str]) -> TextCond:
        """As the encoder's; gradients pass to the vectors of the words.

        Raises:
            UserError: an empty text, or a pseudo-word that is not known.
        """
        marked = [i for i, text in enumerate(texts) if WORD.search(text)]
        if not marked:
            return self.encoder.encode(texts)
        new = self._encode([texts[i] for i in marked])
        plain = [i for i in range(len(texts)) if i not in set(marked)]
        return merge([(marked, new), (plain, self.encoder.encode([texts[i] for i in plain]))]) if plain else new

    def _encode(self, texts: list[str]) -> TextCond:
        for text in texts:
            for name in WORD.findall(text):
                if name not in self.words:
                    known = ", ".join(f"<{word}>" for word in self.words) or "none"
                    raise UserError(f"prompt: <{name}> is no word that was learned, known: {known}; add tokens=[FILE]")
        longer = [WORD.sub(lambda m: "".join(pieces(m[1], len(self.words[m[1]]))), text) for text in texts]
        rows = self.encoder.tokenise(longer, self._tokeniser)
        with with_table(self.encoder.model, MoreTokens(self.table, torch.cat([*self.words.values()]))):
            return self.encoder.embed(rows)

    @property
    def table(self) -> nn.Embedding:
        return self.encoder.model.get_input_embeddings()

    @cached_property
    def _tokeniser(self):
        """The encoder's, to which every vector is one more token: numbered on from the end of the table."""
        from transformers import AddedToken

        tokeniser = copy.deepcopy(self.encoder.tokeniser)
        known = self.table.num_embeddings
        if len(tokeniser) < known:  # tables may be padded
            tokeniser.add_tokens([AddedToken(f"<|row {i}|>", normalized=False) for i in range(len(tokeniser), known)])
        new = [piece for name, vectors in self.words.items() for piece in pieces(name, len(vectors))]
        tokeniser.add_tokens([AddedToken(piece, normalized=False) for piece in new])
        assert tokeniser.convert_tokens_to_ids(new) == list(range(known, known + len(new)))
        return tokeniser


class MoreTokens(nn.Module):
    """A table of tokens with more rows at its end: the table's own get no gradient, the new ones do."""

    def __init__(self, table: nn.Embedding, vectors: Tensor):
        super().__init__()
        self.table, self.vectors = table, vectors

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) → (B, L, E)."""
        known = self.table.num_embeddings
        new = self.vectors.to(self.table.weight)[(ids - known).clamp(min=0)]
        return torch.where((ids < known)[..., None], self.table(ids.clamp(max=known - 1)), new)


@contextmanager
def with_table(model: nn.Module, table: nn.Module):
    """The model with another table of input tokens for a while."""
    own = model.get_input_embeddings()
    model.set_input_embeddings(table)
    try:
        yield
    finally:
        model.set_input_embeddings(own)


def pieces(name: str, count: int) -> list[str]:
    """What stands in a text for each vector of a word."""
    return [f"<{name}>" if k == 0 else f"<{name}/{k}>" for k in range(count)]


def merge(parts: Sequence[tuple[Sequence[int], TextCond]]) -> TextCond:
    """Rows of several conditions, each at its places, in one."""
    first, count = parts[0][1], sum(len(places) for places, _ in parts)
    longest = max(cond.mask.shape[1] for _, cond in parts)
    tokens = first.tokens.new_zeros(count, longest, first.tokens.shape[2])
    mask = first.mask.new_zeros(count, longest)
    pooled = first.pooled.new_zeros(count, first.pooled.shape[1])
    for places, cond in parts:
        length = cond.mask.shape[1]
        tokens[places, :length], mask[places, :length], pooled[places] = cond
    return TextCond(tokens, mask, pooled)


def check_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise UserError(f"token={name}: a name is a letter, then letters, digits, - and _, 64 at most")


def first_vectors(encoder: FrozenEncoder, count: int, word: str | None = None) -> Tensor:
    """Where learning starts: the mean of the tokens of a word, or of the whole table, (count, E)."""
    table = encoder.model.get_input_embeddings()
    if word is None:
        mean = table.weight.mean(0)
    else:
        ids = encoder.tokeniser(word, add_special_tokens=False, verbose=False)["input_ids"]
        if not ids:
            raise UserError(f"init={word!r} has no token; give a word")
        mean = table.weight[ids].mean(0)
    return mean.detach().clone().expand(count, -1).contiguous()


# ------------------------------------------------------------------------------------------------ files


class LearnedWord(NamedTuple):
    """A pseudo-word: its vectors (K, E), and what is known of them (JSON)."""

    name: str
    vectors: Tensor
    about: dict[str, Any]  # encoder (fingerprint), mode, exemplars, run, loss


def save_word(path: str | Path, word: LearnedWord) -> Path:
    """Write a word as safetensors, all at once."""
    from safetensors.torch import save_file

    check_name(word.name)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    about = json.dumps({"name": word.name, **word.about}, ensure_ascii=False)
    save_file({"vectors": word.vectors.detach().float().cpu().contiguous()}, part, {"word": about, "version": VERSION})
    return part.replace(path)


def load_word(path: str | Path, encoder: FrozenEncoder) -> LearnedWord:
    """Read a word for an encoder; UserError for anything but a word that was learned in that encoder's table."""
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise UserError(f"tokens: there is no file {path}; python -m motion_lightning.invert makes one")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            about, version = json.loads(header["word"]), header["version"]
            name, vectors = about.pop("name"), file.get_tensor("vectors").float()
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError):
        raise UserError(f"tokens: {path} is no token file; give one that motion_lightning.invert wrote") from None
    if version != VERSION:
        raise UserError(f"tokens: {path} is of version {version}, this one reads {VERSION}; invert again")
    mine, theirs = (named(table) for table in (encoder.fingerprint(), about.get("encoder")))
    if mine != theirs:
        raise UserError(f"tokens: {path} is of another text encoder: expected {mine}, found {theirs}; invert again")
    if not isinstance(name, str) or not vectors.isfinite().all():
        raise UserError(f"tokens: {path} holds no finite numbers, or no name; invert again")
    return LearnedWord(name, vectors, about)


def load_words(paths: Sequence[str | Path], encoder: FrozenEncoder) -> PseudoWords:
    """The encoder with the words of several files."""
    words: dict[str, Tensor] = {}
    for path in paths:
        word = load_word(path, encoder)
        if word.name in words:
            raise UserError(f"tokens: {path} holds <{word.name}>, which another file holds, too; leave one out")
        words[word.name] = word.vectors
    return PseudoWords(encoder, words)


def with_words(encoder: Any, paths: Sequence[str | Path] | str, text: str) -> Any:
    """The encoder for a text: with the words of files, or of one, where there are any or the text has such words."""
    paths = [paths] if isinstance(paths, str) else paths
    return load_words(paths, encoder) if paths or WORD.search(text) else encoder


def named(fingerprint: Any) -> str:
    """Which table of tokens it is: an encoder's name and the start of its weights' hash."""
    known = fingerprint if isinstance(fingerprint, dict) else {}
    return f"{known.get('name', 'unknown')} {str(known.get('weights', 'unknown'))[:12]}"
