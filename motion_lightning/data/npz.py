"""One .npz file, whoever made it."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from motion_lightning.data.npy import BROKEN
from motion_lightning.errors import UserError

BROKEN_ARCHIVE = (*BROKEN, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


def read_npz(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The named arrays of an archive, and no others; -1 stands for any size.

    Raises:
        UserError: no such file, no archive, an array that is missing, of another shape or of objects (pickles are
            never read).
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = set(archive.namelist())
            if missing := [name for name in shapes if f"{name}.npy" not in members]:
                have = ", ".join(sorted(name.removesuffix(".npy") for name in members)[:12])
                raise UserError(f"{path.name} has no {missing[0]}, only {' '.join(have.split()) or 'nothing'}")
            arrays = {}
            for name in shapes:
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    except FileNotFoundError:
        raise UserError("no such file") from None
    except OSError as error:
        raise UserError(f"{path.name} cannot be read ({error.strerror or error})") from None
    except BROKEN_ARCHIVE as error:
        if "Object arrays" in str(error):
            raise UserError(f"{path.name}: {name} holds pickled objects, which are not read") from None
        said = " ".join(str(error).split())[:100]
        raise UserError(f"{path.name} is no .npz archive of numbers, or cut short ({said})") from None
    for name, shape in shapes.items():
        found = arrays[name].shape
        if len(found) != len(shape) or any(a not in (-1, b) for a, b in zip(shape, found, strict=True)):
            raise UserError(f"{path.name}: {name} has shape {found}, should be {shape} (-1: any)")
        if shape and arrays[name].dtype.kind not in "fiu":
            raise UserError(f"{path.name}: {name} holds {arrays[name].dtype}, should hold numbers")
    return arrays
