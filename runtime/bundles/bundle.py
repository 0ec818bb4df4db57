"""A bundle: the folder that is all a runtime needs. Nothing is loaded that its manifest does not describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.bundles import trust
from dit4sr.runtime.bundles.checked_files import CheckedComponent, CheckedFile
from dit4sr.runtime.bundles.external_data import check_external_data
from dit4sr.runtime.bundles.manifest import (
    MANIFEST,
    Component,
    Engine,
    FileRecord,
    Manifest,
    ModelCard,
    read_manifest,
)
from dit4sr.runtime.bundles.tensor_file import read_tensor
from dit4sr.runtime.errors import BadInputError, IntegrityError


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder and its manifest, which has been checked."""

    path: Path
    manifest: Manifest
    trusts_engines: bool = field(default=False, kw_only=True)
    """True where the user said that the bundle's engines, which are code, may run."""

    @classmethod
    def open(cls, path: Path | str, *, trust_engines: bool = False) -> Bundle:
        """Read and check the manifest; no other file is touched.

        ``trust_engines`` lets engines run that were not built on this machine.
        """
        path = Path(path)
        if not path.is_dir():
            raise BadInputError(f"no bundle at {path}", expected="a folder that dit4sr-export wrote")
        return cls(path, read_manifest(path / MANIFEST), trusts_engines=trust_engines)

    @property
    def card(self) -> ModelCard:
        """What the bundle says of its network."""
        return self.manifest.model

    @property
    def components(self) -> Mapping[str, Component]:
        """The graphs of the bundle by component name."""
        return self.manifest.components

    @cached_property
    def engines(self) -> tuple[Engine, ...]:
        """The compiled engines that may run; whatever else the manifest lists is code of strangers."""
        may_run = self.trusts_engines or trust.is_given_by_environment()
        return tuple(
            engine for engine in self.manifest.engines if may_run or trust.was_built_here(engine.files)
        )

    def withholds_engines(self, backend: str) -> bool:
        """True if the bundle has engines for a backend that may not run."""
        return any(
            engine.backend == backend and engine not in self.engines for engine in self.manifest.engines
        )

    def component_file(self, name: str) -> Path:
        """Return the path of a component's graph, after checking all its files."""
        with self.opened_component(name) as component:
            return component.graph.path

    @contextmanager
    def opened_component(self, name: str) -> Iterator[CheckedComponent]:
        """Open a component's files and check them: digests, and that the graph refers to no others.

        What was read by its path within the block, and has changed since, is refused at its end.
        """
        component = self.components.get(name)
        if component is None:
            raise BadInputError(
                f"{self.path} has no component {name!r}", expected=f"one of {', '.join(self.components)}"
            )
        with ExitStack() as stack:
            graph, *data = (stack.enter_context(self.opened(record)) for record in component.files)
            for file in data:
                file.check()
            content = graph.content() if graph.is_small else None
            if content is None:
                graph.check()
            opened = CheckedComponent(graph, tuple(data), content)
            try:
                check_external_data(opened.graph_bytes(), component.graph, component.files[1:], graph.path)
                yield opened
            finally:
                opened.require_unchanged()

    def embedding(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Read a stored prompt: its tensors, named as in ``embeddings/<prompt>.<tensor>.npy``."""
        records = self.manifest.embeddings.get(name)
        if not records:
            raise BadInputError(f"{self.path} stores no prompt {name!r}")
        try:
            return {_tensor_name(record, name): read_tensor(self.content(record)) for record in records}
        except ValueError as error:
            raise IntegrityError(f"{self.path}: the stored prompt {name!r} is damaged ({error})") from None

    def opened(self, record: FileRecord) -> CheckedFile:
        """Open a file that the manifest names; whoever uses it checks it."""
        return CheckedFile(self.path, record)

    def content(self, record: FileRecord) -> bytes:
        """Return the bytes of a file, which are those that were hashed."""
        with self.opened(record) as file:
            return file.content()

    def checked(self, records: tuple[FileRecord, ...]) -> list[Path]:
        """Return the paths of files, refusing any whose size or digest is not what the manifest says.

        For copying: what is loaded or run is `opened`, for another file may be at its path the moment after.
        """
        paths = []
        for record in records:
            with self.opened(record) as file:
                file.check()
                paths.append(file.path)
        return paths

    def verify(self) -> None:
        """Refuse the bundle if any file is not what the manifest says, or a graph refers to any other."""
        for name in self.components:
            self.component_file(name)
        done = {record for component in self.components.values() for record in component.files}
        self.checked(tuple(record for record in self.manifest.files() if record not in done))


def _tensor_name(record: FileRecord, prompt: str) -> str:
    tensor = PurePosixPath(record.path).name.removeprefix(f"{prompt}.").removesuffix(".npy")
    if record.path != f"embeddings/{prompt}.{tensor}.npy":
        raise ValueError(f"{record.path} is not named embeddings/{prompt}.<tensor>.npy")
    return tensor
