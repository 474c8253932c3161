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
    print(f"ready: {manifest['counts']['clips']} clips, {len(manifest['rejected'])} left out")
    for entry in manifest["rejected"][:10]:
        print(f"  {entry['id']} ({entry['where']}): {entry['reason']}")
    if len(manifest["rejected"]) > 10:
        print(f'  … the rest is listed under "rejected" in {path / "manifest.json"}')
    chosen = [
        o.lstrip("+")
        for o in HydraConfig.get().overrides.task
        if not o.startswith(("data.source=", "data.motions.source="))
    ]
    print(f"store: {path}\ncard:  {path / 'card' / 'README.md'}")
    if manifest["representation"] == "motion":  # what the models are made for
        print(f"next:  {shlex.join(['python', '-m', 'motion_lightning.train', *chosen])}")


def ensure_store(cfg: Mapping[str, Any], representation: str | None = None) -> Path:
    """Folder of the store that ``cfg`` (data, text_encoder) describes, prepared where it is missing.

    Each setting has a store of its own, so that experiments and jobs of a sweep do not spoil each other's. A
    ``data.source`` that is given once is remembered, and put into ``cfg`` where it is left out. Where ``cfg`` has a
    loader, what its settings need beside the store is made too.

    Raises:
        UserError: the corpus holds something else than ``representation``; nothing is prepared then.
    """
    _complete_source(cfg["data"])

    import filelock

    from motion_lightning.data.card import write_card
    from motion_lightning.data.clusters import write_clusters
    from motion_lightning.data.store import Store
    from motion_lightning.data.writer import prepare_store

    corpus, encoder = instantiate(cfg["data"]["corpus"]), instantiate(cfg["text_encoder"])
    if representation not in (None, corpus.representation):
        made = f"this model makes {representation}; choose another of them"
        raise UserError(f"data={corpus.name} holds {corpus.representation}, {made}")
    content = json.dumps([corpus.fingerprint(), encoder.fingerprint()], sort_keys=True)
    path = stores() / f"{corpus.name}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
    if not _is_sound(path, corpus, encoder):
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.wait"):  # other processes that want this store wait for it
            if not _is_sound(path, corpus, encoder):
                print(f"{corpus.name}: preparing the store, once", flush=True)
                print(prepare_store(corpus, encoder, path), flush=True)
                write_card(Store.open(path))
                write_clusters(Store.open(path))
    _remember_source(cfg["data"])
    mode = cfg.get("loader", {}).get("first_action", "none")
    if mode != "none":
        from motion_lightning.data.cuts import prepare_cuts

        prepare_cuts(Store.open(path), mode, encoder)
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
    """Make each ``source`` in ``data`` absolute; take the last good one where it is missing."""
    for key, part in _of_files(data).items():
        given = OmegaConf.select(part, "source")
        source = given or _known_sources().get(part.corpus._target_)
        if not source:
            raise UserError(f"this corpus is made of files: say where they are with {key}.source=FOLDER, once")
        paths = [Path(p).expanduser().resolve() for p in ([source] if isinstance(source, str) else source)]
        for path in paths:
            if not path.exists():
                remembered = "" if given else " (remembered from the last time)"
                raise UserError(f"{key}.source: {path}{remembered} does not exist; give the folder of the files")
        part.source = str(paths[0]) if isinstance(source, str) else [str(path) for path in paths]


def _remember_source(data: Any) -> None:
    known = _known_sources()
    new = known | {part.corpus._target_: OmegaConf.to_object(part)["source"] for part in _of_files(data).values()}
    if new != known:
        file = _memory().with_suffix(".part")
        file.write_text(json.dumps(new, indent=1))
        file.replace(_memory())


def _of_files(data: Any) -> dict[str, Any]:
    """The parts of ``data`` that have a source to ask for, by key: itself, and the motions that poses are taken from.

    None in the plain dicts of a finished run, which name theirs already.
    """
    parts = {"data": data, "data.motions": data.get("motions")}
    return {key: part for key, part in parts.items() if OmegaConf.is_config(part) and "source" in set(part)}


def _memory() -> Path:
    """File of the sources that stores were made from, by corpus."""
    return home() / "sources.json"


def _known_sources() -> dict[str, Any]:
    return json.loads(_memory().read_text()) if _memory().is_file() else {}


if __name__ == "__main__":
    prepare()
