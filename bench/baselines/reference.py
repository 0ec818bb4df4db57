"""The published formulation behind a bundle: what the baselines are built from."""

from __future__ import annotations

from importlib.util import find_spec

from dit4sr.export import architectures
from dit4sr.export.architectures.protocol import Reference
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, MissingDependencyError


def reference_of(bundle: Bundle) -> Reference:
    """The bundle's network as it was published; its weights do not matter to a timing, and are random."""
    require_torch()
    require_network(bundle)
    config = architectures.network_config(bundle.manifest)
    return architectures.of_bundle(bundle.manifest).reference(config)


def require_network(bundle: Bundle) -> None:
    """Refuse in one line a bundle of an older version, which does not name its network."""
    if bundle.manifest.architecture is None:
        raise BadInputError(
            f"{bundle.path} does not say of which network it was made",
            expected="a bundle that this version exported",
            fix="export it anew, or leave out --baseline and --ablate",
        )


def require_torch() -> None:
    """Refuse in one line where the baselines' libraries are missing."""
    if missing := [name for name in ("torch", "diffusers", "safetensors") if find_spec(name) is None]:
        raise MissingDependencyError(
            f"not installed: {', '.join(missing)}, which baselines and ablations run on",
            fix="pip install 'dit4sr[export]', or take --baseline none",
        )
