"""``python -m motion_lightning.prepare``: a corpus into its store. Training calls `ensure_store`."""

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from motion_lightning.config import instantiate, main
from motion_lightning.errors import UserError
from motion_lightning.paths import home, stores


@main("prepare")
def prepare(cfg) -> None:
    path = ensure_store(cfg)
    manifest = json.loads((path / "manifest.json").read_text())
    minutes = sum(manifest["minutes"].values())
    print(f"ready: {manifest['counts']['clips']} clips, {minutes:.1f} min, {len(manifest['rejected'])} left out")
    for entry in manifest["rejected"][:10]:
        print(f"  {entry['id']} ({entry['where']}): {entry['reason']}")
    if len(manifest["rejected"]) > 10:
        print(f'  … the rest is listed under "rejected" in {path / "manifest.json"}')
    chosen = [o for o in HydraConfig.get().overrides.task if not o.startswith("data.source=")]
    print(f"store: {path}\nnext:  {shlex.join(['python', '-m', 'motion_lightning.train', *chosen])}")


def ensure_store(cfg: Mapping[str, Any]) -> Path:
    """Folder of the store that ``cfg`` (data, text_encoder) describes, prepared where it is missing.

    Each setting has a store of its own, so that experiments and jobs of a sweep do not spoil each other's. A
    ``data.source`` that is given once is remembered, and put into ``cfg`` where it is left out.
    """
    _complete_source(cfg["data"])

    import filelock

    from motion_lightning.data.writer import prepare_store

    corpus, encoder = instantiate(cfg["data"]["corpus"]), instantiate(cfg["text_encoder"])
    content = json.dumps([corpus.fingerprint(), encoder.fingerprint()], sort_keys=True)
    path = stores() / f"{corpus.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    if not _is_sound(path, corpus, encoder):
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.wait"):  # other processes that want this store wait for it
            if not _is_sound(path, corpus, encoder):
                print(f"{corpus.name}: preparing the store, once", flush=True)
                print(prepare_store(corpus, encoder, path), flush=True)
    _remember_source(cfg["data"])
    return path


def _is_sound(path: Path, corpus: Any, encoder: Any) -> bool:
    """Whether the store is what ``prepare`` would write, and whole."""
    from motion_lightning.data.store import Store
    from motion_lightning.data.writer import is_current

    if not is_current(path, corpus, encoder):
        return False
    try:
        Store.open(path)
    except UserError as error:
        print(error, flush=True)
        return False
    return True


def _complete_source(data: Any) -> None:
    """Make ``data.source`` absolute; take the last good one where it is missing."""
    if not _is_of_files(data):
        return
    given = OmegaConf.select(data, "source")
    source = given or _known_sources().get(data.corpus._target_)
    if not source:
        raise UserError("this corpus is made of files: say where they are with data.source=FOLDER, once")
    paths = [Path(part).expanduser().resolve() for part in ([source] if isinstance(source, str) else source)]
    for path in paths:
        if not path.exists():
            remembered = "" if given else " (remembered from the last time)"
            raise UserError(f"data.source: {path}{remembered} does not exist; give the folder of the files")
    data.source = str(paths[0]) if isinstance(source, str) else [str(path) for path in paths]


def _remember_source(data: Any) -> None:
    known = _known_sources()
    if _is_of_files(data) and known.get(data.corpus._target_) != data.source:
        new = known | {data.corpus._target_: OmegaConf.to_object(data)["source"]}
        part = _memory().with_suffix(".part")
        part.write_text(json.dumps(new, indent=1))
        part.replace(_memory())


def _is_of_files(data: Any) -> bool:
    """Whether there is a source to ask for; the plain dicts of a finished run name theirs already."""
    return OmegaConf.is_config(data) and "source" in set(data)


def _memory() -> Path:
    """File of the sources that stores were made from, by corpus."""
    return home() / "sources.json"


def _known_sources() -> dict[str, Any]:
    return json.loads(_memory().read_text()) if _memory().is_file() else {}


if __name__ == "__main__":
    prepare()
