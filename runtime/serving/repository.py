"""A model repository of Triton's: a folder of models, each with its configuration and numbered versions."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dit4sr.runtime.bundles.built_in import sample_photographs
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.whole import atomic_directory
from dit4sr.runtime.image.photo import read_content, read_photo
from dit4sr.runtime.serving.config import ONE_STEP, WARM_UP, Instances, model_config
from dit4sr.runtime.serving.parameters import Parameters
from dit4sr.runtime.serving.triton import BUNDLE
from dit4sr.runtime.settings import MOST_PIXELS

CONFIG = "config.pbtxt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_MODEL = '''\
"""The bundle beside this file, as a model of Triton's Python backend."""

from dit4sr.runtime.serving.triton import TritonPythonModel

__all__ = ["TritonPythonModel"]
'''


@dataclass(frozen=True)
class ServedModel:
    """One version of one model, to be written into a repository."""

    bundle: Path
    repository: Path
    name: str | None = None
    """The bundle's own where it is not given."""
    version: int = 1
    instances: Instances = field(default_factory=Instances)
    is_copied: bool = False
    """True puts the bundle into the repository, its engines included; false, a link to where it is."""
    is_decoupled: bool = False
    replace: bool = False

    def write(self) -> dict[str, Any]:
        """Write the version, whole or not at all, and say where; a configuration only with the first."""
        bundle = Bundle.open(self.bundle)
        model = self.repository / self._checked_name(bundle)
        if (model / CONFIG).exists():
            self._write_version(bundle, model / str(self.version))
        elif model.exists():
            raise BadInputError(f"{model} is there, and no model", fix="choose another name with --served-as")
        else:
            with atomic_directory(model) as draft:
                self._write_config(draft, model.name)
                self._fill_version(bundle, draft / str(self.version))
        return {
            "repository": str(self.repository),
            "model": model.name,
            "version": self.version,
            "bundle": str(model / str(self.version) / BUNDLE if self.is_copied else bundle.path.resolve()),
            "copied": self.is_copied,
        }

    def _checked_name(self, bundle: Bundle) -> str:
        name = self.name or bundle.card.name
        if not _NAME.fullmatch(name):
            raise BadInputError(
                f"{name[:80]!r} cannot be a model's name",
                expected="letters, digits and . _ -",
                fix="name it with --served-as",
            )
        return name

    def _write_version(self, bundle: Bundle, version: Path) -> None:
        if version.exists() and not self.replace:
            raise BadInputError(
                f"{version} exists", fix="choose another version with --served-as, or replace it with --force"
            )
        with atomic_directory(version, replace=self.replace) as draft:
            self._fill_version(bundle, draft)

    def _fill_version(self, bundle: Bundle, version: Path) -> None:
        version.mkdir(exist_ok=True)
        (version / "model.py").write_text(_MODEL)
        if self.is_copied:
            _copy(bundle, version / BUNDLE)
        else:
            (version / BUNDLE).symlink_to(bundle.path.resolve(), target_is_directory=True)

    def _write_config(self, model: Path, name: str) -> None:
        sample = min((each.photo for each in sample_photographs()), key=lambda photo: photo.stat().st_size)
        levels = read_photo(read_content(sample), str(sample), most_pixels=MOST_PIXELS).rgb
        warm_up = model / "warmup"
        warm_up.mkdir()
        (warm_up / WARM_UP).write_bytes(levels.tobytes())
        (warm_up / ONE_STEP).write_bytes(np.int32(1).tobytes())
        text = model_config(
            name,
            self.instances,
            is_decoupled=self.is_decoupled,
            sample=levels.shape,
            parameters=Parameters(),
        )
        (model / CONFIG).write_text(text)


def _copy(bundle: Bundle, target: Path) -> None:
    """Copy a bundle's files, each as it was hashed, and nothing else that may lie in its folder."""
    for record in bundle.manifest.files():
        (copied := target / record.path).parent.mkdir(parents=True, exist_ok=True)
        with bundle.opened(record) as file:
            file.check()
            shutil.copyfile(file.path, copied)
            file.require_unchanged()
    shutil.copyfile(bundle.path / MANIFEST, target / MANIFEST)
