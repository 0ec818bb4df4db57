"""Bundles that are tried: the step's MatMuls quantised but for some, everything else stored smaller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path

import onnx_ir as ir

from dit4sr.calibrate.config import CalibrationConfig
from dit4sr.calibrate.graph.bundle_rewriting import GraphChange, load_graph, rewrite_bundle
from dit4sr.calibrate.graph.late_scales import announce_late_steps, level_between
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.qdq import insert_qdq
from dit4sr.calibrate.graph.step_graph import STEP, layer_names, load_lighter_step, load_step
from dit4sr.calibrate.graph.weights_only import store_weights, weights_only_changes
from dit4sr.calibrate.observe.statistics import Statistics
from dit4sr.calibrate.scales.derivation import derive_qparams
from dit4sr.calibrate.scales.formats import INT8
from dit4sr.calibrate.scales.qparams import QuantParams
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Provenance
from dit4sr.runtime.files.drafts import draft_folder
from dit4sr.runtime.settings import Settings

PREPARE = "prepare"


class TrialBundles:
    """Writes one bundle anew, with more or fewer of its MatMuls quantised by the same parameters."""

    def __init__(
        self,
        bundle: Bundle,
        qparams: Mapping[str, QuantParams],
        beside: Path,
        *,
        attention: bool = False,
        late_below: float | None = None,
    ) -> None:
        """Scratch bundles are written ``beside`` what is to become of them.

        ``late_below`` is the time below which the late scales hold, where there are any.
        """
        self.bundle, self.qparams = bundle, qparams
        self._attention, self._late_below, self._beside = attention, late_below, beside

    @classmethod
    def derive(
        cls, bundle: Bundle, statistics: Statistics, config: CalibrationConfig, settings: Settings
    ) -> TrialBundles:
        """The trial bundles that follow from what was observed and the configuration's recipe."""
        matmuls = find_matmuls(load_step(bundle, attention=config.attention), layer_names(bundle))
        qparams = derive_qparams(matmuls, statistics, config.recipe)
        late_below = None
        if config.recipe.switch_at is not None:
            late_below = level_between(settings.schedule(bundle.card).timesteps, config.recipe.switch_at)
        return cls(bundle, qparams, config.output, attention=config.attention, late_below=late_below)

    @contextmanager
    def only(self, names: Set[str]) -> Iterator[Bundle]:
        """A bundle with these MatMuls quantised and nothing else touched: it shows what they cost."""
        with draft_folder(self._beside) as folder:
            changes = {STEP: GraphChange(self._step(names), "fp16"), **self._prepare(names)}
            yield rewrite_bundle(self.bundle, folder, changes)

    @contextmanager
    def complete(self, kept: Set[str]) -> Iterator[Bundle]:
        """The bundle that would be shipped with these MatMuls kept in half precision."""
        with draft_folder(self._beside) as folder:
            yield self.write(folder, kept)

    def write(
        self, folder: Path, kept: Set[str], *, provenance: Provenance | None = None, share: bool = True
    ) -> Bundle:
        """Fill an empty folder with the bundle that keeps these MatMuls in half precision."""
        quantised = self.qparams.keys() - kept
        step = self._step(quantised)
        # What is kept in half precision is not stored in halves either: its MatMuls see rounded weights.
        store_weights(step)
        formats = {self.qparams[name].format.name for name in quantised}
        precision = formats.pop() if formats else "fp16"
        lighter = self._lighter_step(quantised, precision)
        changes = weights_only_changes(
            self.bundle, INT8, without={STEP, *lighter}, instead=self._prepare(quantised)
        )
        return rewrite_bundle(
            self.bundle,
            folder,
            {**changes, **lighter, STEP: GraphChange(step, precision)},
            precision=precision,
            provenance=provenance,
            share=share,
        )

    def _step(self, names: Set[str]) -> ir.Model:
        model = load_step(self.bundle, attention=self._attention)
        chosen = {name: params for name, params in self.qparams.items() if name in names}
        insert_qdq(model, chosen, layer_names(self.bundle))
        return model

    def _lighter_step(self, names: Set[str], precision: str) -> dict[str, GraphChange]:
        """The change to the graph that stands for the step at times, by the scales of the step's layers."""
        changes = {}
        for component, model in load_lighter_step(self.bundle).items():
            # Operands of attentions are numbered by their place, which is another in another graph.
            layers = {
                each.name for each in find_matmuls(model, layer_names(self.bundle)).values() if each.weight
            }
            chosen = {name: params for name, params in self.qparams.items() if name in names & layers}
            insert_qdq(model, chosen, layer_names(self.bundle))
            store_weights(model)
            changes[component] = GraphChange(model, precision)
        return changes

    def _prepare(self, names: Set[str]) -> dict[str, GraphChange]:
        """The change to `prepare`, if it has to say which steps are late."""
        if not any(self.qparams[name].late_scale is not None for name in names):
            return {}
        assert self._late_below is not None
        model = load_graph(self.bundle, PREPARE)
        announce_late_steps(model, self._late_below)
        return {PREPARE: GraphChange(model, "fp16")}
