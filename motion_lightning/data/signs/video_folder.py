"""A folder of filmed clips with their texts: ``NAME.gif`` or ``NAME.mp4`` beside ``NAME.txt``."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motion_lightning.data.clip import Clip, Rejected
from motion_lightning.data.signs.pairs import find_pairs, fingerprint
from motion_lightning.errors import UserError

VERSION = 1  # of the conversion
FORMATS = {".gif": "gif", ".mp4": "mov"}  # named to ffmpeg, so that no file can pass for a playlist of others
RATE = 25  # frames a second that are looked at
MOST_PIXELS = 1 << 26  # of a frame
MOST_BYTES = 1 << 28  # of a resized film
SECONDS = 120  # after which a film is given up


class VideoFolderCorpus:
    """Filmed clips of a folder (see ``pairs.py``), as a corpus that ``prepare`` reads.

    A film of any length becomes ``frames`` frames, evenly from its first to its last; of any shape a square of
    ``size`` pixels, filtered so that nothing flickers, with black bars where it was not square. Features are
    (frames, 3, size, size) uint8, RGB. Films that cannot be read come out as rejected. Splits are by signer, the
    part of the name before ``_``.

    Args:
        source: the folder.
        size: sides of the pictures in pixels, 16 to 256.
        frames: of a clip, 2 to 256.
        fps: that clips are shown with; how long a film really takes is in its tags.

    Raises UserError as ``find_pairs`` does, and for wrong settings.
    """

    name, representation, skeleton, min_frames = "video_folder", "video", None, 2

    def __init__(self, source: str | Path | None, size: int = 64, frames: int = 16, fps: float = 8.0):
        if not 16 <= size <= 256 or not 2 <= frames <= 256 or not 0 < fps <= 240:
            raise UserError(f"size={size} frames={frames} fps={fps}: 16 to 256, 2 to 256 and up to 240 are possible")
        self.pairs = find_pairs(source, tuple(FORMATS))
        self.size, self.frames, self.fps = size, frames, fps
        self.about = {"title": "Folder of films", "source": "files of the user", "licence": "as obtained"}

    def __len__(self) -> int:
        return len(self.pairs)

    def fingerprint(self) -> dict[str, Any]:
        settings = {"size": self.size, "frames": self.frames, "fps": self.fps}
        return {"corpus": self.name, "version": VERSION, "files": fingerprint(self.pairs), **settings}

    def clips(self, start: int = 0) -> Iterator[Clip | Rejected]:
        for pair in self.pairs[start:]:
            try:
                film = read_film(pair.file, self.size)
            except UserError as error:
                yield Rejected(pair.id, pair.file.name, str(error).removeprefix(str(pair.file)).lstrip(": "))
                continue
            at = np.rint(np.linspace(0, len(film) - 1, self.frames)).astype(int)
            tags = pair.tags | {"seconds": round(len(film) / RATE, 2)}
            yield Clip(pair.id, film[at].transpose(0, 3, 1, 2), list(pair.captions), pair.split, tags)


def read_film(path: Path, size: int, seconds: float = SECONDS) -> np.ndarray:
    """All of a film, 25 frames a second, as (T, size, size, 3) uint8.

    ffmpeg reads it in a process of its own, which is stopped after so many seconds.

    Raises:
        UserError: the file cannot be read, is broken or cut, takes too long, has a single frame, or more than fit
            into 256 MiB.
    """
    import imageio_ffmpeg

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix.lower() == ".gif" and not _gif_is_whole(path):
        raise UserError(f"{path}: does not end as a gif does; it was cut off")  # ffmpeg would not mind
    a_frame = size * size * 3
    most = MOST_BYTES // a_frame
    square = f"scale={size}:{size}:force_original_aspect_ratio=decrease:flags=bicubic+accurate_rnd+full_chroma_int"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode",
        "-protocol_whitelist", "file,pipe", "-max_pixels", str(MOST_PIXELS), "-f", FORMATS[path.suffix.lower()],
        "-i", f"file:{path}", "-an", "-sn", "-dn",
        "-vf", f"fps={RATE},format=rgb24,{square},pad={size}:{size}:(ow-iw)/2:(oh-ih)/2,format=rgb24",
        "-frames:v", str(most + 1), "-f", "rawvideo", "pipe:1",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise UserError(f"{path}: not read after {seconds:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").replace(str(path), path.name)
        lines = re.sub(r" @ 0x[0-9a-f]+", "", said).strip().splitlines()  # addresses differ from run to run
        raise UserError(f"{path}: ffmpeg cannot read it ({lines[0][:160] if lines else done.returncode})")
    if len(done.stdout) % a_frame or len(done.stdout) < 2 * a_frame:
        raise UserError(f"{path}: {len(done.stdout) // a_frame} frames; a film has two at least")
    if len(done.stdout) > most * a_frame:
        raise UserError(f"{path}: longer than {most / RATE:.0f} s, the most at {size} pixels; cut it into sentences")
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, size, size, 3)


def _gif_is_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 256))
        return file.read().rstrip(b"\0").endswith(b";")
