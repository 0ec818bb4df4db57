"""What a picture is restored by, and how it reaches `prepare`: every input from whatever has its name.

`prepare` and `step` meet by the names of their tensors. Those with the axis of the time steps depend on the
prompts and the schedule; all others have one row for each branch and picture.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Array, Backend, Engine
from dit4sr.runtime.bundles.manifest import Component, ModelCard
from dit4sr.runtime.errors import IncompatibleError
from dit4sr.runtime.extremes import refuse_infinite
from dit4sr.runtime.prompt.embedding import Embedding
from dit4sr.runtime.sampling.positions import sine_cosine_positions
from dit4sr.runtime.sampling.tiles import Tile

Floats = NDArray[np.float32]
T = TypeVar("T")
Reader = Engine | Component
"""What states its inputs and outputs: an engine, or a component that the manifest describes."""

POSITIONS = "positions"
PICTURE_INPUTS = frozenset({"condition", "timesteps", POSITIONS})
"""Inputs of `prepare` that come from a picture and its schedule; any other is a tensor of the prompts."""

LOOP_INPUTS = frozenset({"latent", "previous_velocity", "guidance", "coefficients", POSITIONS})
"""Inputs of `step` that the loop provides; any other is an output of `prepare`."""


@dataclass(frozen=True)
class Conditions:
    """Everything a picture is restored by; the first axis is the branches, negative before positive."""

    latent: Floats
    """The low-resolution picture's scaled latent ``[branches, channels, h, w]``."""
    prompts: Sequence[Embedding]
    """One for each branch; without any tensors where the network reads no prompt."""
    timesteps: Floats
    seen: Mapping[Tile, Embedding] = field(default_factory=dict)
    """The visual prompt of each tile, the same for all branches; none for most networks."""


class GridPositions:
    """The position table's crop for a latent of one size, made when an engine first asks for it."""

    def __init__(self, backend: Backend, card: ModelCard, height: int, width: int) -> None:
        self._backend, self._card, self._size = backend, card, (height, width)

    def asked_by(self, engine: Engine) -> dict[str, Array]:
        """Return ``positions`` for an engine that lists them, and nothing for any other."""
        return {POSITIONS: self._array} if POSITIONS in input_names(engine) else {}

    @cached_property
    def _array(self) -> Array:
        table, patch = self._card.positions, self._card.patch_size
        if table is None:
            raise IncompatibleError(
                "an engine reads positions",
                expected="a model card that describes them",
                fix="export the bundle anew",
            )
        height, width = self._size
        return self._backend.upload(
            sine_cosine_positions(
                (height // patch, width // patch),
                width=table.width,
                table_size=table.table_size,
                base_size=table.base_size,
            )
        )


class Preparation:
    """Runs `prepare` on the tiles of one picture, and knows which of its outputs belong to the steps."""

    def __init__(
        self, engine: Engine, backend: Backend, conditions: Conditions, positions: GridPositions
    ) -> None:
        self._context, self._backend, self._conditions = engine.context(), backend, conditions
        self._names = input_names(engine)
        steps = _leading_axis(engine, "timesteps")
        if isinstance(steps, int) and steps != len(conditions.timesteps):
            raise IncompatibleError(
                f"this bundle is fixed to {steps} steps",
                expected=str(len(conditions.timesteps)),
                fix=f"use --steps {steps}, or export without --static",
            )
        self._is_fixed = isinstance(steps, int)
        self.of_steps = outputs_of_steps(engine)
        prompts = stacked(conditions.prompts, self._names)
        seen = {name for prompt in conditions.seen.values() for name in prompt}
        check_wiring("prepare", engine, PICTURE_INPUTS | prompts.keys() | seen)
        self._shared = {name: backend.upload(values) for name, values in prompts.items()}
        self._shared |= positions.asked_by(engine)

    def run(self, tile: Tile, *, all_steps: bool = True) -> dict[str, Array]:
        """Make a tile's tensors; where the steps' are the same for all tiles, one asks for every step."""
        latent, timesteps = tile.crop(self._conditions.latent), self._conditions.timesteps
        seen = self._conditions.seen.get(tile, {})
        if not all_steps and not self._is_fixed:
            timesteps = timesteps[:1]
        own = {"condition": latent, "timesteps": timesteps}
        own |= {name: np.repeat(values[None], len(latent), axis=0) for name, values in seen.items()}
        uploaded = {name: self._backend.upload(own[name]) for name in own if name in self._names}
        results = self._context.run({**self._shared, **uploaded})
        if self._backend.device == "cpu":  # from a device it would be a copy
            refuse_infinite(
                "prepare", {name: self._backend.download(array) for name, array in results.items()}
            )
        return results


def reads_prompts(prepare: Component, seen: Collection[str] = ()) -> bool:
    """True if a network's `prepare` has inputs that only words can fill; image encoders fill ``seen``."""
    return any(spec.name not in PICTURE_INPUTS and spec.name not in seen for spec in prepare.inputs)


def stacked(prompts: Sequence[Embedding], names: Iterable[str]) -> dict[str, Floats]:
    """Stack the named tensors that every branch's prompt has, one row for each branch."""
    common = [name for name in names if prompts and all(name in prompt for prompt in prompts)]
    for name in common:
        if len(shapes := {prompt[name].shape for prompt in prompts}) > 1:
            raise IncompatibleError(
                f"the prompts of the branches have {name} of shapes {sorted(shapes)}",
                expected="the same shape for each",
                fix="export the bundle anew",
            )
    return {name: np.stack([prompt[name] for prompt in prompts]) for name in common}


def input_names(engine: Reader) -> set[str]:
    """The names of all that an engine reads."""
    return {spec.name for spec in engine.inputs}


def read_by(engine: Reader, tensors: Mapping[str, T]) -> dict[str, T]:
    """Choose those of some tensors that an engine reads."""
    return {name: tensors[name] for name in tensors if name in input_names(engine)}


def check_wiring(component: str, engine: Engine, known: Iterable[str]) -> None:
    """Refuse an engine with an input that nothing provides."""
    known = sorted(known)
    if missing := sorted(input_names(engine).difference(known)):
        raise IncompatibleError(
            f"{component} reads {missing[0]!r}, which nothing provides",
            expected=f"some of {', '.join(known)}",
            fix="export the bundle anew",
        )


def outputs_of_steps(prepare: Reader) -> set[str]:
    """Outputs ``[steps, rows, …]``, by name; all others are ``[rows, …]``."""
    steps, rows = (_leading_axis(prepare, name) for name in ("timesteps", "condition"))
    # Fixed to as many steps as rows, the first axis alone would not tell.
    return {
        spec.name
        for spec in prepare.outputs
        if steps is not None and spec.shape[:1] == (steps,) and (steps != rows or spec.shape[1:2] == (rows,))
    }


def _leading_axis(engine: Reader, name: str) -> int | str | None:
    """Length or name of the first axis of an input, or None where an engine does not read it."""
    return next((axis for spec in engine.inputs if spec.name == name for axis in spec.shape[:1]), None)
