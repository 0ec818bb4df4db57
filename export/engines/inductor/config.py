"""Which packages to compile, and how."""

from __future__ import annotations

from dataclasses import dataclass

from dit4sr.runtime.backends.compatibility import AUTO


@dataclass(frozen=True)
class InductorConfig:
    """Precision is no option: packages have that of the bundle."""

    device: str = AUTO
    architecture: int | None = None
    """The GPU it must be for, as in 90; torch compiles only for the one that is here."""
    picture: tuple[int, int] | None = None
    """Height and width in pixels; the training tile by default."""
    branches: tuple[int, ...] = (2, 1)
    """Rows to compile for: two with guidance, one without."""
    max_autotune: bool = False
    components: tuple[str, ...] = ()
    verify: bool = True
