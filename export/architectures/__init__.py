"""The networks that can be exported, one folder each, and their registry.

A folder that offers ``ARCHITECTURE`` is an architecture; nothing else has to be told of it.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from dit4sr.runtime.errors import BadInputError

if TYPE_CHECKING:
    from dit4sr.export.architectures.protocol import Architecture, Config
    from dit4sr.export.weights.checkpoint import Checkpoint
    from dit4sr.runtime.bundles.manifest import Manifest

NETWORK, VAE = "transformer", "vae"
"""Keys of the configs in a manifest's record of its architecture, named like a checkpoint's folders."""

DEFAULT = "dit4sr"
"""The architecture where none is named: of a full-size network without a checkpoint, and of older bundles."""


def known() -> dict[str, Architecture]:
    """Every architecture by name, the default one first."""
    folders = [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]
    modules = [importlib.import_module(f"{__name__}.{folder}") for folder in folders]
    found = [module.ARCHITECTURE for module in modules if hasattr(module, "ARCHITECTURE")]
    return {each.name: each for each in sorted(found, key=lambda each: (each.name != DEFAULT, each.name))}


def named(name: str) -> Architecture:
    """The architecture with the given name."""
    architectures = known()
    if name not in architectures:
        raise BadInputError(
            f"no architecture {name!r} here",
            expected=f"one of {', '.join(architectures)}",
            fix="install the version of dit4sr that knows it",
        )
    return architectures[name]


def detect(checkpoint: Checkpoint) -> Architecture:
    """The architecture whose tensors a checkpoint holds.

    The default one is asked last, for it begins with tensors that others have too; of a checkpoint that is
    nobody's it is left to say what is missing.
    """
    default, *others = known().values()
    return next((each for each in others if each.detect(checkpoint)), default)


def of_bundle(manifest: Manifest) -> Architecture:
    """The architecture of a bundle's network; bundles of the first schema did not state it."""
    return named(manifest.architecture.name if manifest.architecture else DEFAULT)


def network_config(manifest: Manifest) -> Config:
    """The config of a bundle's network, from which its architecture can build it anew."""
    if manifest.architecture is None:
        raise BadInputError(
            "this bundle does not state its network's config",
            expected="one that this version exported",
            fix="export it anew",
        )
    config: Config = manifest.architecture.config[NETWORK]
    return config


def vae_config(manifest: Manifest) -> Config | None:
    """The config of a bundle's VAE; None if it is not one of diffusers', or the bundle does not state it."""
    return manifest.architecture.config.get(VAE) if manifest.architecture else None
