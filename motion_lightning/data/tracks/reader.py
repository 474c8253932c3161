"""Others' HDF5 files are read by a child process: what crashes or hangs in there is a file left out, not a run."""

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from motion_lightning.data.ahead import in_order
from motion_lightning.data.tracks.episodes import Episode
from motion_lightning.data.tracks.parsing import parse_episode
from motion_lightning.errors import UserError

START_SECONDS = 120  # for a child to begin, on a busy machine
CHILD = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve({memory})"


def read_episode(path: str | Path, timeout: float = 60) -> Episode:
    """Reads and checks one file in a process of its own; UserError names what is wrong and where."""
    with EpisodeReader(timeout) as reader:
        return reader.read(path)


def read_episodes(paths: Sequence[Path], workers: int = 2, timeout: float = 60) -> Iterator[Episode | UserError]:
    """Episodes in the order of the paths, or what is wrong with a file, read by several children at once."""
    workers = max(1, min(workers, len(paths)))
    with contextlib.ExitStack() as stack:
        idle: SimpleQueue[EpisodeReader] = SimpleQueue()
        for _ in range(workers):
            idle.put(stack.enter_context(EpisodeReader(timeout)))

        def read(path: Path) -> Episode | UserError:
            reader = idle.get()
            try:
                return reader.read(path)
            except UserError as error:
                return error
            finally:
                idle.put(reader)

        yield from in_order(ThreadPoolExecutor(workers), read, paths, ahead=2 * workers)


class EpisodeReader:
    """Reads files in a child process, which is replaced when a file ends it or keeps it too long.

    Args:
        timeout: seconds a file may take.
        memory: bytes that the child may take, where the system can limit it.
    """

    def __init__(self, timeout: float = 60, memory: int = 16 << 30):
        self.timeout, self.memory = timeout, memory
        self._child: subprocess.Popen | None = None

    def __enter__(self) -> "EpisodeReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def read(self, path: str | Path) -> Episode:
        """Raises UserError: no such file, not in the format, or the child crashed or did not come to an end."""
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path.name}: no such file in {path.parent}")
        if self._child is None:
            self._start()
        try:
            answer = self._ask(path, self.timeout)
        except TimeoutError:
            raise UserError(f"{path.name}: not read within {self.timeout:g} s; the file is damaged?") from None
        except EOFError:
            raise UserError(f"{path.name}: reading it crashed the HDF5 library; the file is damaged") from None
        if isinstance(answer, str):
            raise UserError(answer)
        return answer

    def close(self) -> None:
        """Ends the child; another ``read`` starts a new one."""
        if self._child is not None:
            self._child.kill()
            with contextlib.suppress(OSError):  # what was not sent yet
                self._child.stdin.close()
            self._child.stdout.close()
            self._child.wait()
            self._child = None

    def _start(self) -> None:
        # no multiprocessing: its children import the main script again, which takes seconds and may do anything
        code = CHILD.format(path=sys.path, module=__name__, memory=self.memory)
        self._child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self._ask(None, START_SECONDS)
        except (EOFError, TimeoutError):
            raise UserError("no process could be started to read HDF5 files; is there memory left?") from None

    def _ask(self, question: Path | None, seconds: float) -> Episode | str | None:
        """The child's answer. A child that is late is killed, which ends the reading here."""
        child, late = self._child, threading.Event()
        timer = threading.Timer(seconds, lambda: (late.set(), child.kill()))
        timer.daemon = True
        timer.start()
        try:
            pickle.dump(question, child.stdin)
            child.stdin.flush()
            return pickle.load(child.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            self.close()
            raise TimeoutError if late.is_set() else EOFError from None
        except BaseException:  # Ctrl-C: half an answer may lie in the pipe
            self.close()
            raise
        finally:
            timer.cancel()


def serve(memory: int) -> None:
    """The child: paths come on standard input, episodes or what is wrong with them go to standard output."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what a crashing library has to say
        os.dup2(nowhere, stream)
    with contextlib.suppress(ImportError):  # not on every system
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory if most == resource.RLIM_INFINITY else min(memory, most), most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(EOFError, KeyboardInterrupt, BrokenPipeError):  # the parent has gone
        while True:
            path = pickle.load(questions)
            try:
                answer = parse_episode(path) if path else None
            except UserError as error:
                answer = str(error)
            pickle.dump(answer, answers, protocol=5)
            answers.flush()
