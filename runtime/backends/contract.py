"""What a component promises in the manifest, held against what its graph says and against every run.

The runtime reads rows of a component's answers by their address, and lends it memory to write to. A graph
that answers otherwise than its manifest says would have it read and write what is not its own. So graphs and
plans are compared with the manifest when they are opened, and the arrays of each run, whatever the backend,
with what the symbols of the axes say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dit4sr.runtime.axes import axis_length, axis_names
from dit4sr.runtime.backends.protocol import Array, Context, Engine
from dit4sr.runtime.bundles.manifest import Component, TensorSpec
from dit4sr.runtime.errors import BadInputError, IncompatibleError

Shape = tuple[int, ...]
Kind = tuple[np.dtype[Any], Shape]
"""Type and shape of an array."""

READ = ("float32", "float16", "int64", "int32")
MADE = READ[:2]
"""Types of what components read, tokens among it, and of what they make."""
ANY = -1
"""A size that no input tells. Only outputs have one, as inner tensors do that somebody wants to see."""
FREE = ""
"""An axis of which a graph says no more than that it is there."""
FIX = "export the bundle anew"


class Contract:
    """The promises of one component: which arrays it takes, and which it makes of them."""

    def __init__(self, name: str, component: Component) -> None:
        self.name = name
        self.inputs, self.outputs = component.inputs, component.outputs
        self._dtypes = {spec.name: _dtype(name, spec, READ) for spec in component.inputs}
        self._dtypes |= {spec.name: _dtype(name, spec, MADE) for spec in component.outputs}

    def shapes(self, given: Mapping[str, Shape]) -> dict[str, Shape]:
        """The outputs' shapes for inputs of some shapes, which are refused if they contradict each other.

        An output's axis of a name that no input has is ``ANY``, and one whose shape is not known has ``()``.
        """
        sizes: dict[str, int] = {}
        for spec in self.inputs:
            shape = given[spec.name]
            if len(shape) != len(spec.shape):
                raise self._misfit(spec, spec.shape, shape)
            for axis, size in zip(spec.shape, shape, strict=True):
                if isinstance(axis, str) and axis.isidentifier():
                    sizes.setdefault(axis, size)
        for spec in self.inputs:
            if (wanted := self._measured(spec, spec.shape, sizes)) != given[spec.name]:
                raise self._misfit(spec, wanted, given[spec.name])
        made = {}
        for spec in self.outputs:
            told = [axis if axis_names(axis) <= sizes.keys() else ANY for axis in spec.shape]
            made[spec.name] = self._measured(spec, told, sizes)
        return made

    def answers(self, inputs: Mapping[str, Array]) -> dict[str, Kind]:
        """The kinds of array that the outputs will be; inputs of another kind are refused."""
        for spec in self.inputs:
            if (found := inputs[spec.name].dtype) != self._dtypes[spec.name]:
                raise IncompatibleError(
                    f"{self.name} is given {spec.name} as {found}", expected=spec.dtype, fix=FIX
                )
        shapes = self.shapes({spec.name: inputs[spec.name].shape for spec in self.inputs})
        return {name: (self._dtypes[name], shape) for name, shape in shapes.items()}

    def _measured(self, spec: TensorSpec, axes: Sequence[int | str], sizes: Mapping[str, int]) -> Shape:
        try:
            lengths = tuple(axis_length(axis, sizes) for axis in axes)
        except BadInputError as error:
            raise IncompatibleError(
                f"{self.name}: {spec.name} has no shape, {error.found}", expected=error.expected, fix=FIX
            ) from None
        if any(length < 0 and axis != ANY for axis, length in zip(axes, lengths, strict=True)):
            raise IncompatibleError(
                f"{self.name}: {spec.name} would be {shown(lengths)}", expected="sizes above zero", fix=FIX
            )
        return lengths

    def _misfit(
        self, spec: TensorSpec, wanted: Sequence[int | str], found: Sequence[int]
    ) -> IncompatibleError:
        stated = shown(spec.shape)
        expected = stated if shown(wanted) == stated else f"{shown(wanted)}, for {stated}"
        return IncompatibleError(
            f"{self.name} reads {spec.name}, and is given {shown(found)}", expected=expected, fix=FIX
        )


@dataclass(frozen=True)
class CheckedEngine:
    """An engine whose every run is held against the contract of its component."""

    engine: Engine
    contract: Contract

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it reads."""
        return self.engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors it makes."""
        return self.engine.outputs

    def context(self) -> CheckedContext:
        """A context whose runs are checked."""
        return CheckedContext(self.engine.context(), self.contract)


class CheckedContext:
    """A context that refuses arrays which the manifest does not describe, before a run and after it."""

    def __init__(self, context: Context, contract: Contract) -> None:
        self._context, self._contract = context, contract
        self._names = tuple(spec.name for spec in contract.inputs)
        # What comes step after step has the shapes of the last step, or of one before that: to compare with
        # the last costs a microsecond, to look it up ten, and the arithmetic of axes a hundred.
        self._given: list[tuple[str, np.dtype[Any], Shape]] = []
        self._promised: dict[str, Kind] = {}
        self._known: dict[tuple[Kind, ...], dict[str, Kind]] = {}

    def run(
        self, inputs: Mapping[str, Array], outputs: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """Compute, if what is given fits; give out what was made, if that fits."""
        if not self._is_as_before(inputs):
            self._promise(inputs)
        if outputs:
            self._check(outputs)
        results = self._context.run(inputs, outputs)
        if len(results) != len(self._promised):  # those of another name are refused with the rest
            raise _other_names(self._contract.name, self._promised, results)
        self._check(results)
        return results

    def _is_as_before(self, inputs: Mapping[str, Array]) -> bool:
        """True if every input is of the kind that it was in the last run."""
        for name, dtype, shape in self._given:
            array = inputs.get(name)
            if array is None or array.shape != shape or array.dtype is not dtype:
                return False
        return bool(self._given)

    def _promise(self, inputs: Mapping[str, Array]) -> None:
        """Find out what will be made of inputs of these kinds."""
        try:
            given = [inputs[name] for name in self._names]
        except KeyError as error:
            raise IncompatibleError(
                f"{self._contract.name} reads {error}, which nothing provides",
                expected=f"some of {', '.join(sorted(inputs))}",
                fix=FIX,
            ) from None
        kinds = tuple((array.dtype, array.shape) for array in given)
        if kinds not in self._known:
            self._known[kinds] = self._contract.answers(inputs)
        self._promised = self._known[kinds]
        self._given = [(name, *kind) for name, kind in zip(self._names, kinds, strict=True)]

    def _check(self, arrays: Mapping[str, Array]) -> None:
        """Refuse outputs, or places for them, that are not of the promised kinds."""
        for name, array in arrays.items():
            promised = self._promised.get(name)
            if promised is None or array.dtype is not promised[0] or array.shape != promised[1]:
                refuse_other(self._contract.name, name, (array.dtype, array.shape), promised)


def refuse_other(component: str, tensor: str, found: Kind, promised: Kind | None) -> None:
    """Refuse an answer, or the place for one, of another type or shape than was promised."""
    if promised is not None and found[0] == promised[0] and _agree(found[1], promised[1]):
        return
    expected = "no such output" if promised is None else f"{promised[0]} of {shown(promised[1])}"
    raise IncompatibleError(
        f"{component} makes {tensor} as {found[0]} of {shown(found[1])}", expected=expected, fix=FIX
    )


def refuse_another_graph(
    component: str, promised: Sequence[TensorSpec], found: Sequence[TensorSpec], *, what: str = "graph"
) -> None:
    """Refuse a graph whose tensors are not those of the manifest, in name, type, rank or a fixed size.

    Axes that are names in either say nothing here, and neither does ``()``: nothing has a shape of no axes,
    and where none is known there is no other word for it.
    """
    actual = {spec.name: spec for spec in found}
    if actual.keys() != {spec.name for spec in promised}:
        raise _other_names(component, [spec.name for spec in promised], actual, what=what)
    for spec in promised:
        own = actual[spec.name]
        same_type = own.dtype == spec.dtype
        if not same_type or (own.shape and spec.shape and not _same_sizes(own.shape, spec.shape)):
            raise IncompatibleError(
                f"{component}: its {what} has {spec.name} as {own.dtype} of {shown(own.shape)}",
                expected=f"{spec.dtype} of {shown(spec.shape)}, as the manifest says",
                fix=FIX,
            )


def shown(shape: Sequence[int | str]) -> str:
    """A shape for people, such as ``1×16×height``."""
    return "×".join("?" if axis in {FREE, ANY} else str(axis) for axis in shape) or "no axes"


def _agree(found: Shape, promised: Shape) -> bool:
    return promised == () or (
        len(found) == len(promised) and all(b in {a, ANY} for a, b in zip(found, promised, strict=True))
    )


def _same_sizes(one: Sequence[int | str], other: Sequence[int | str]) -> bool:
    return len(one) == len(other) and all(
        isinstance(a, str) or isinstance(b, str) or a == b for a, b in zip(one, other, strict=True)
    )


def _other_names(
    component: str, promised: Iterable[str], found: Iterable[str], *, what: str = "graph"
) -> IncompatibleError:
    return IncompatibleError(
        f"{component}: its {what} has the tensors {', '.join(sorted(found)) or 'of nobody'}",
        expected=f"{', '.join(sorted(promised)) or 'none'}, as the manifest says",
        fix=FIX,
    )


def _dtype(component: str, spec: TensorSpec, allowed: Sequence[str]) -> np.dtype[Any]:
    if spec.dtype not in allowed:
        raise IncompatibleError(
            f"{component} has {spec.name} as {spec.dtype!r}", expected=" or ".join(allowed), fix=FIX
        )
    return np.dtype(spec.dtype)
