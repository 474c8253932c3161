"""Feeds damaged files to every reader: no crash, no hang, no NaN let through, and every refusal names the file.

    python tests/fuzz/fuzz.py --count 10000            of each kind; make fuzz
    python tests/fuzz/fuzz.py --count 500 bvh rig

Case ``i`` of a kind is a function of (seed, kind, i). Each kind runs in a process of its own, which leaves the case it
is at in a file: when the process dies, the case is there to be looked at.
"""

import argparse
import multiprocessing
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutations import mutate
from readers import READERS

from motion_lightning.errors import UserError

SECONDS = 20  # that one case may take


class Hang(BaseException):
    pass


def run(kind: str, count: int, seed: int, folder: Path, results) -> None:
    """All cases of one kind; puts ("ok" or "bad", Counter of outcomes, first failures) into ``results``."""
    signal.signal(signal.SIGALRM, _hang)
    reader = READERS[kind]
    samples, read = reader.samples(), reader.read
    outcomes, failures = Counter(), []
    for sample in samples:
        assert read(_write(folder, reader.file, sample)) is None, f"{kind}: a whole file is not read"
    for i in range(count):
        rng = random.Random(f"{seed} {kind} {i}")
        data = mutate(rng.choice(samples), rng)
        path = _write(folder, reader.file, data)
        signal.alarm(SECONDS)
        try:
            outcome = read(path) or "read"
        except UserError as error:
            outcome = "refused" if reader.file in str(error) and "\n" not in str(error) else "refused without its name"
            if outcome != "refused":
                failures.append((i, f"{outcome}: {error}"))
        except Hang:
            outcome = "hang"
            failures.append((i, outcome))
        except Exception:
            outcome = "exception"
            failures.append((i, traceback.format_exc(limit=-3)))
        finally:
            signal.alarm(0)
        if outcome == "NaN":
            failures.append((i, "a number that is none came through"))
        outcomes[outcome] += 1
    results.put((outcomes, failures[:5], len(failures)))


def _write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def _hang(*_):
    raise Hang


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="kind", help=", ".join(READERS))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if unknown := set(args.kinds) - READERS.keys():
        parser.error(f"no reader {unknown.pop()}; there are {', '.join(READERS)}")
    context, total, bad = multiprocessing.get_context("spawn"), 0, 0
    for kind in args.kinds or READERS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            results = context.SimpleQueue()
            process = context.Process(target=run, args=(kind, args.count, args.seed, Path(folder), results))
            process.start()
            process.join()
            if process.exitcode:
                keep = Path(tempfile.gettempdir()) / f"fuzz-{kind}-{READERS[kind].file}"
                keep.write_bytes((Path(folder) / READERS[kind].file).read_bytes())
                print(f"{kind:10} DIED with {process.exitcode}; the case is in {keep}", flush=True)
                bad += 1
                continue
            outcomes, failures, count = results.get()
        told = ", ".join(f"{n} {what}" for what, n in outcomes.most_common())
        print(f"{kind:10} {sum(outcomes.values()):7} cases, {time.monotonic() - began:5.0f} s: {told}", flush=True)
        for i, text in failures:
            print(f"  case {i}: {text}")
        total, bad = total + sum(outcomes.values()), bad + count
    print(f"{total} damaged files, {bad} failures")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
