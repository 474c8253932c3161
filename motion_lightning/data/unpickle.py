"""Lists of words that others pickled, read without running what may be in them."""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

from motion_lightning.errors import UserError

LARGEST = 1 << 26  # bytes of a list of words
PLAIN = {
    "PROTO", "FRAME", "STOP", "MARK", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET",
    "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
}  # fmt: skip
NAMES = {"GLOBAL", "INST", "STACK_GLOBAL"}  # instructions that fetch something by name
MEMO = {"PUT", "BINPUT", "LONG_BINPUT"}


def read_plain(path: Path) -> Any:
    """The content of a pickle of lists, dicts, strings and whole numbers.

    Its instructions are looked through before one of them is followed, and only those that make these four are.

    Raises:
        UserError: no such file, one of more than 64 MiB, damaged, or holding anything else, which is named.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} has more than {LARGEST >> 20} MiB: it is no list of words")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    try:
        _look_through(data, path)
        return _Plain(io.BytesIO(data)).load()
    except UserError:
        raise
    except Exception as error:  # pickle's parser raises whatever a damaged file makes it raise
        raise UserError(f"{path} is no pickle, or damaged ({' '.join(str(error).split())[:100]})") from None


class _Plain(pickle.Unpickler):
    """The second wall: should an instruction ask for a name after all, there is none."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("something that lies elsewhere")


def _look_through(data: bytes, path: Path) -> None:
    texts: list[str] = []
    for instruction, argument, _ in pickletools.genops(data):
        name = instruction.name
        if name in NAMES:
            what = argument.replace(" ", ".") if isinstance(argument, str) else ".".join(texts[-2:]) or "an object"
            raise UserError(f"{path} holds {what}, which is not run: lists of words and numbers are expected")
        if name not in PLAIN:
            raise UserError(f"{path} holds {name.lower()}: lists of words and numbers are expected")
        if name in MEMO and int(argument) > len(data):  # would reserve memory up to there
            raise UserError(f"{path} is damaged: it counts more objects than it has bytes")
        if isinstance(argument, str) and instruction.stack_after:
            texts.append(argument)
