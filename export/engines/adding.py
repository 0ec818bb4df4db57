"""Adding engines to a bundle that is there: whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from dit4sr.runtime.bundles import trust
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Engine, Manifest
from dit4sr.runtime.files.whole import atomic_directory

Progress = Callable[[str], None]


class Build(Protocol):
    """A function that compiles components: a builder module's ``build`` with its config bound."""

    def __call__(self, bundle: Bundle, *, folder: Path, progress: Progress) -> tuple[Engine, ...]:
        """Write ``folder/engines/<backend>-<target>/<component>.<suffix>``; return the manifest's records."""
        ...


def add_engines(bundle: Bundle, build: Build, *, progress: Progress = lambda _: None) -> Manifest:
    """Build beside the bundle and swap the result in; until then, or on any failure, the bundle is as it was.

    The engines that are there stay, but for those that are built anew. What was built is remembered, and so
    may run here.
    """
    # Where the name is a link, it is the folder that changes.
    root = bundle.path.resolve()
    recorded = {root / record.path for engine in bundle.manifest.engines for record in engine.files}
    with atomic_directory(root, replace=True) as folder:
        # Old engines come last: a link to one, written through, would change it in the bundle as well.
        _link_files((path for path in _files(root) if path not in recorded), root, folder)
        built = build(bundle, folder=folder, progress=progress)
        kept = tuple(engine for engine in bundle.manifest.engines if not _is_replaced(engine, built))
        _link_files((root / record.path for engine in kept for record in engine.files), root, folder)
        manifest = replace(bundle.manifest, engines=(*kept, *built))
        (folder / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    for engine in built:
        trust.remember(engine.files)
    return manifest


def _files(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*")) if path.is_file() and path != root / MANIFEST]


def _is_replaced(engine: Engine, built: Iterable[Engine]) -> bool:
    """True if a new engine does the same work on the same machine, or took one of its files."""
    files = {record.path for record in engine.files}
    return any(
        _place(engine) == _place(new) or not files.isdisjoint(record.path for record in new.files)
        for new in built
    )


def _place(engine: Engine) -> tuple[str, ...]:
    return engine.backend, engine.component, engine.gpu_architecture, engine.precision


def _link_files(paths: Iterable[Path], root: Path, folder: Path) -> None:
    """The same files in another folder: links, not to copy gigabytes, or copies where links fail."""
    for path in paths:
        target = folder / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)
