"""Bundles that might do: the step's products quantised but for some, everything else stored smaller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import onnx_ir as ir

from dit4sr.calibrate.graph.bundle_rewriting import Change, load_graph, write_variant
from dit4sr.calibrate.graph.matmuls import find_products, open_attentions, weight_name
from dit4sr.calibrate.graph.qdq import Treatment, quantise_products, quantised_products
from dit4sr.calibrate.graph.scratch import scratch_folder
from dit4sr.calibrate.graph.switching import announce_late_steps
from dit4sr.calibrate.graph.weights_only import store_weights
from dit4sr.calibrate.observe.tap import STEP
from dit4sr.calibrate.scales.formats import INT8, Format
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.manifest import Provenance

PREPARE = "prepare"


class Candidates:
    """Writes variants of one bundle under one set of treatments."""

    def __init__(
        self,
        bundle: Bundle,
        treatments: Mapping[str, Treatment],
        beside: Path,
        *,
        attention: bool = False,
        late_below: float | None = None,
    ) -> None:
        """Scratch bundles are written ``beside`` what is to become of them.

        ``late_below`` is the time below which the late scales hold, where the treatments have any.
        """
        self.bundle, self.treatments = bundle, treatments
        self._attention, self._late_below, self._beside = attention, late_below, beside

    @contextmanager
    def only(self, names: Set[str]) -> Iterator[Bundle]:
        """These products quantised, nothing else touched: what each of them costs the picture."""
        with scratch_folder(self._beside) as folder:
            changes = {STEP: Change(self._step(names), "fp16"), **self._prepare(names)}
            yield write_variant(self.bundle, folder, changes)

    @contextmanager
    def complete(self, kept: Set[str]) -> Iterator[Bundle]:
        """What would be shipped with these products kept in half precision."""
        with scratch_folder(self._beside) as folder:
            yield self.write(folder, kept)

    def write(
        self, folder: Path, kept: Set[str], *, provenance: Provenance | None = None, share: bool = True
    ) -> Bundle:
        """Fill an empty folder with the complete bundle."""
        quantised = self.treatments.keys() - kept
        step = self._step(quantised)
        # What is kept in half precision is not stored in halves either: its products see rounded weights.
        store_weights(step)
        changes = smaller_components(self.bundle, INT8, without={STEP}, instead=self._prepare(quantised))
        formats = {self.treatments[name].format.name for name in quantised}
        precision = formats.pop() if formats else "fp16"
        return write_variant(
            self.bundle,
            folder,
            {**changes, STEP: Change(step, precision)},
            precision=precision,
            provenance=provenance,
            share=share,
        )

    def _step(self, names: Set[str]) -> ir.Model:
        model = load_graph(self.bundle, STEP)
        if self._attention:
            open_attentions(model)
        quantise_products(
            model, {name: treatment for name, treatment in self.treatments.items() if name in names}
        )
        return model

    def _prepare(self, names: Set[str]) -> dict[str, Change]:
        """`prepare`, if it has to say which steps are late."""
        if not any(self.treatments[name].late_scale is not None for name in names):
            return {}
        assert self._late_below is not None
        model = load_graph(self.bundle, PREPARE)
        announce_late_steps(model, self._late_below)
        return {PREPARE: Change(model, "fp16")}


def smaller_components(
    bundle: Bundle,
    format_: Format,
    *,
    without: Set[str] = frozenset(),
    instead: Mapping[str, Change] = MappingProxyType({}),
) -> dict[str, Change]:
    """Every component with its weights in fewer bits; ``instead`` has graphs that were changed already."""
    changes = dict(instead)
    for name in bundle.components:
        if name in without:
            continue
        model = instead[name].model if name in instead else load_graph(bundle, name)
        if store_weights(model, format_):
            changes[name] = Change(model, f"{format_.name} weights")
    return changes


def count_claims(bundle: Bundle, treated: Set[str]) -> set[str]:
    """Of the products that ought to be quantised, those that the written graph shows as such."""
    graph = load_graph(bundle, STEP)
    return {weight_name(name) for name in quantised_products(graph)} & treated


def product_sizes(bundle: Bundle, *, attention: bool = False) -> dict[str, int]:
    """How many weights each product of the step has."""
    model = load_graph(bundle, STEP)
    if attention:
        open_attentions(model)
    return {name: product.weights for name, product in find_products(model).items()}
