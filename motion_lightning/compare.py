"""``python -m motion_lightning.compare``: runs side by side; a sweep of ``train`` ends with it."""

import logging
import sys
import traceback
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from motion_lightning.config import explain, main
from motion_lightning.errors import UserError

log = logging.getLogger(__name__)


@main("compare")
def compare(cfg: DictConfig) -> None:
    """Compare the named runs."""
    from motion_lightning.comparison import compare_runs

    folders = [Path(cfg.runs)] if isinstance(cfg.runs, str) else [Path(run) for run in cfg.runs]
    if not folders or cfg.clips < 0:
        raise UserError(f"runs={cfg.runs} clips={cfg.clips}: name a run at least, and 0 clips or more")
    log.info("look:  %s", compare_runs(folders, Path(cfg.out), cfg.clips))


class CompareSweep(Callback):
    """Ends a sweep with a comparison of its jobs, those that failed among them.

    A job that fails leaves a line in its folder instead of ending the sweep; the sweep's exit status tells.

    Args:
        clips: whose conditions all runs sample from.
    """

    def __init__(self, clips: int = 6):
        self.clips = clips

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        from motion_lightning.comparison import FAILURE

        failure = Path(config.hydra.runtime.output_dir) / FAILURE
        if job_return.status != JobStatus.FAILED:
            failure.unlink(missing_ok=True)
        elif config.hydra.mode == RunMode.MULTIRUN and not config.get("debug"):
            error = job_return._return_value  # the property would raise it
            line = explain(error, config.hydra.job.config_name)
            if line is None:
                traceback.print_exception(error)
            failure.write_text(line or f"{type(error).__name__}: {error}")
            job_return.status, job_return.return_value = JobStatus.COMPLETED, None

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from motion_lightning.comparison import FAILURE, compare_runs, read_overrides

        sweep = Path(config.hydra.sweep.dir)
        jobs = sorted({job.parent for kind in (".hydra", FAILURE) for job in sweep.glob(f"*/{kind}")}, key=in_order)
        try:
            if jobs:
                page = compare_runs(jobs, sweep, self.clips, title=f"Sweep {sweep.name}")
                log.info("%s\ncompare:  %s", (sweep / "comparison.md").read_text(), page)
        except UserError as error:
            log.warning("no comparison: %s", error)
        failed = [job for job in jobs if (job / FAILURE).is_file()]
        for job in failed:
            print(f"error: {job} ({' '.join(read_overrides(job))}): {(job / FAILURE).read_text()}", file=sys.stderr)
        if failed:  # Hydra takes any Exception of a callback for a warning
            sys.exit(2)


def in_order(job: Path) -> tuple[int, str]:
    """Job 10 after job 9."""
    return len(job.name), job.name


if __name__ == "__main__":
    compare()
