"""A bundle: the folder that is all a runtime needs. Nothing is loaded that its manifest does not describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.bundles.manifest import (
    MANIFEST,
    Component,
    Engine,
    FileRecord,
    Manifest,
    ModelCard,
    read_manifest,
)
from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.reading import opened, sha256_of


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder and its manifest, which has been checked."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path | str) -> Bundle:
        """Read and check the manifest; no other file is touched."""
        path = Path(path)
        if not path.is_dir():
            raise BadInputError(f"no bundle at {path}", expected="a folder that dit4sr-export wrote")
        return cls(path, read_manifest(path / MANIFEST))

    @property
    def card(self) -> ModelCard:
        """What the bundle says of its network."""
        return self.manifest.model

    @property
    def components(self) -> Mapping[str, Component]:
        """The graphs of the bundle by component name."""
        return self.manifest.components

    @property
    def engines(self) -> tuple[Engine, ...]:
        """The compiled engines of the bundle."""
        return self.manifest.engines

    def component_file(self, name: str) -> Path:
        """Return the path of a component's graph, after checking the digest of all its files."""
        component = self.components.get(name)
        if component is None:
            raise BadInputError(
                f"{self.path} has no component {name!r}", expected=f"one of {', '.join(self.components)}"
            )
        return self.checked(component.files)[0]

    def embedding(self, name: str) -> dict[str, NDArray[np.float32]]:
        """Read a stored prompt: its tensors, named as in ``embeddings/<prompt>.<tensor>.npy``."""
        records = self.manifest.embeddings.get(name)
        if not records:
            raise BadInputError(f"{self.path} stores no prompt {name!r}")
        try:
            return {
                _tensor_name(record, name): _read_tensor(path)
                for record, path in zip(records, self.checked(records), strict=True)
            }
        except (ValueError, TypeError) as error:
            raise IntegrityError(f"{self.path}: the stored prompt {name!r} is damaged ({error})") from None

    def checked(self, records: tuple[FileRecord, ...]) -> list[Path]:
        """Return the paths of files, refusing any whose size or digest is not what the manifest says."""
        return [self._checked(record) for record in records]

    def verify(self) -> None:
        """Refuse the bundle if any file is missing or has another size or digest than the manifest says."""
        self.checked(tuple(self.manifest.files()))

    def _checked(self, record: FileRecord) -> Path:
        path = self.path / record.path
        fix = "copy the bundle again, or export it anew"
        try:
            if not path.resolve().is_relative_to(self.path.resolve()):
                raise IntegrityError(f"{path} leads out of the bundle", fix=fix)
            if not path.is_file():
                raise IntegrityError(f"{path} is missing", fix=fix)
            if (size := path.stat().st_size) != record.bytes:
                raise IntegrityError(f"{path} has {size} bytes", expected=str(record.bytes), fix=fix)
            if (digest := sha256_of(path, IntegrityError)) != record.sha256:
                raise IntegrityError(
                    f"{path} has digest {digest[:12]}…", expected=record.sha256[:12] + "…", fix=fix
                )
        except OSError as error:
            raise IntegrityError(f"{path} cannot be read ({error.strerror})", fix=fix) from None
        return path


def _tensor_name(record: FileRecord, prompt: str) -> str:
    tensor = PurePosixPath(record.path).name.removeprefix(f"{prompt}.").removesuffix(".npy")
    if record.path != f"embeddings/{prompt}.{tensor}.npy":
        raise ValueError(f"{record.path} is not named embeddings/{prompt}.<tensor>.npy")
    return tensor


def _read_tensor(path: Path) -> NDArray[np.float32]:
    # np.load would also open archives, which are no tensors.
    with opened(path, failure=IntegrityError) as file:
        return np.lib.format.read_array(file, allow_pickle=False).astype(np.float32)
