"""One .npy file, whoever made it."""

import tokenize
from pathlib import Path

import numpy as np

from motion_lightning.errors import UserError

# what numpy's parser lets through where a header is damaged
BROKEN = (ValueError, TypeError, OverflowError, EOFError, MemoryError, RecursionError, SyntaxError, tokenize.TokenError)


def open_npy(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file, mapped read-only: its shape is known, its numbers are read when used.

    Raises:
        UserError: no such file, no array, cut short, or objects (pickles are never read).
    """
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except FileNotFoundError:
        raise UserError("no such file") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})") from None
    except BROKEN as error:
        if "Python objects" in str(error):
            raise UserError("holds pickled objects, which are not read; save it as an array of numbers") from None
        raise UserError(f"no array of numpy, or cut short ({' '.join(str(error).split())[:100]})") from None
