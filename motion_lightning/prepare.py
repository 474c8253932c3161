"""``python -m motion_lightning.prepare``: a corpus into its store. Training calls :func:`ensure_store` itself."""

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
    if manifest["rejected"]:
        print(f'what was left out is listed, with reasons, under "rejected" in {path / "manifest.json"}')
    chosen = [o for o in HydraConfig.get().overrides.task if not o.startswith("data.source=")]
    print(f"store: {path}\nnext:  {shlex.join(['python', '-m', 'motion_lightning.train', *chosen])}")


def ensure_store(cfg: Mapping[str, Any]) -> Path:
    """Folder of the store that ``cfg`` (with ``data`` and ``text_encoder``) describes, prepared where it is missing.

    Stores of different settings lie side by side, so that neither two experiments nor two jobs of a sweep spoil
    each other's. A ``data.source`` that is given once is remembered, and put into ``cfg`` where it is left out.
    """
    import filelock

    from motion_lightning.data.writer import is_current, prepare_store

    _complete_source(cfg["data"])
    corpus, encoder = instantiate(cfg["data"]["corpus"]), instantiate(cfg["text_encoder"])
    made_from = json.dumps([corpus.fingerprint(), encoder.fingerprint()], sort_keys=True)
    path = stores() / f"{corpus.name}-{hashlib.sha256(made_from.encode()).hexdigest()[:8]}"
    if is_current(path, corpus, encoder):
        print(f"{corpus.name}: the store is up to date", flush=True)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.wait"):  # other processes that want this store wait for it
        if not is_current(path, corpus, encoder):
            print(f"{corpus.name}: preparing {len(corpus)} clips, once", flush=True)
            print(prepare_store(corpus, encoder, path), flush=True)
    return path


def _complete_source(data: Any) -> None:
    """Make ``data.source`` absolute and remember it; take the remembered one where it is missing."""
    if "source" not in data and not (OmegaConf.is_config(data) and OmegaConf.is_missing(data, "source")):
        return
    memory = home() / "sources.json"
    known = json.loads(memory.read_text()) if memory.is_file() else {}
    corpus = data["corpus"]["_target_"]
    given = OmegaConf.select(data, "source") if OmegaConf.is_config(data) else data["source"]
    source = given or known.get(corpus)
    if not source:
        raise UserError("this corpus is made of files: say where they are with data.source=FOLDER, once")
    paths = [Path(s).expanduser().resolve() for s in ([source] if isinstance(source, str) else source)]
    for path in paths:
        if not path.exists():
            remembered = "" if given else " (remembered from the last time)"
            raise UserError(f"data.source: {path}{remembered} does not exist; give the folder of the files")
    source = str(paths[0]) if isinstance(source, str) else [str(path) for path in paths]
    data["source"] = source
    if known.get(corpus) != source:
        memory.parent.mkdir(parents=True, exist_ok=True)
        part = memory.with_suffix(".part")
        part.write_text(json.dumps(known | {corpus: source}, indent=1))
        part.replace(memory)


if __name__ == "__main__":
    prepare()
