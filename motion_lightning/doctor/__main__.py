"""``python -m motion_lightning.doctor``: examine a corpus, and show what is wrong with it."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from motion_lightning.config import instantiate, main
from motion_lightning.doctor.finding import SEVERITIES
from motion_lightning.errors import UserError
from motion_lightning.prepare import ensure_store

FAILING = {"error": SEVERITIES[:1], "warning": SEVERITIES[:2], "never": ()}


@main("doctor")
def doctor(cfg: DictConfig) -> None:
    """Exit status 1 where something of the severity ``fail_on`` was found."""
    if cfg.fail_on not in FAILING:
        raise UserError(f"fail_on={cfg.fail_on}: give one of {', '.join(FAILING)}")
    path = ensure_store(cfg)

    from tqdm import tqdm

    from motion_lightning.data.store import Store
    from motion_lightning.doctor.clips import Clips
    from motion_lightning.doctor.examine import examine
    from motion_lightning.doctor.report import terminal_table, write_json, write_page

    store = Store.open(path)
    corpus = instantiate(cfg.data.corpus)
    findings, measured = examine(store, corpus, lambda rows: tqdm(rows, "clips", leave=False))
    folder, clips = Path(cfg.out or path / "doctor").expanduser(), Clips(store)
    written = [
        write_page(folder / "doctor.html", findings, clips),
        write_json(folder / "doctor.json", findings, clips, measured),
    ]
    print(terminal_table(findings, cfg.width))
    print(f"look:  {written[0]}\nall:   {written[1]}")
    if any(finding.state in FAILING[cfg.fail_on] for finding in findings):
        sys.exit(1)


if __name__ == "__main__":
    doctor()
