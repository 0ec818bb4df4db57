"""Every optimisation switched off in turn, so that each carries its own price tag."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dit4sr.bench.baselines.graphs import StepGraph
from dit4sr.bench.baselines.reference import reference_of
from dit4sr.bench.measure.statistics import paired_ratio
from dit4sr.bench.measure.stopwatch import Call, Clock, StopRule, measure_in_turns
from dit4sr.bench.record import OURS, AblationRow
from dit4sr.bench.subject import Subject
from dit4sr.bench.workload import Workload
from dit4sr.export import architectures
from dit4sr.runtime.backends.onnxruntime.backend import session_options
from dit4sr.runtime.backends.onnxruntime.stopping import stoppable_opening, stoppable_run
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.metrics import psnr_y

INTERVAL = (0.1, 0.9)
"""Noise levels that the limited guidance of the ablation guides."""

GENERAL = {
    "prepare": "AdaLN, text and LR tokens computed in every step",
    "graph": "the graph as written, without the library's passes",
    "guidance-interval": f"every step guided, not only noise levels {INTERVAL[0]:g} to {INTERVAL[1]:g}",
}
"""Optimisations that hang on no architecture, and what runs instead."""


def ablations_of(bundle: Bundle) -> dict[str, str]:
    """Every optimisation that can be switched off in a bundle, and what runs instead."""
    return {**architectures.of_bundle(bundle.manifest).ablations, **GENERAL}


@dataclass(frozen=True)
class Ablations:
    """Measures the subject with and without."""

    subject: Subject
    rule: StopRule
    clock: Clock
    pause: float

    def run(self, names: Sequence[str]) -> list[AblationRow]:
        """A row for each; the steps take turns, so that all meet the same machine."""
        if not names:
            return []
        workload = self.subject.workload()
        with tempfile.TemporaryDirectory() as folder:
            calls: dict[str, Call] = {OURS: self.subject.component("step", workload)}
            rows = []
            for name in names:
                if name == "guidance-interval":
                    rows.append(self._guidance())
                elif name == "graph" and self.subject.backend.name != "onnxruntime":
                    rows.append(self._row(name, "step", note=f"not measured on {self.subject.backend.name}"))
                else:
                    calls[name] = self._step_without(name, workload, Path(folder))
            if len(calls) > 1:
                timings = measure_in_turns(calls, self.rule, self.clock, pause=self.pause)
                ours = timings.pop(OURS).seconds
                found = {name: paired_ratio(timing.seconds, ours) for name, timing in timings.items()}
                rows += [self._row(name, "step", ratio=ratio) for name, ratio in found.items()]
        return sorted(rows, key=lambda row: names.index(row.optimisation))

    def _step_without(self, name: str, workload: Workload, folder: Path) -> Call:
        if name == "prepare":
            return self._step_with_prepare(workload)
        if name == "graph":
            return unoptimised_step(self.subject, workload)
        card = self.subject.bundle.card
        step = reference_of(self.subject.bundle).ablated_step(name)
        (folder / name).mkdir()
        return StepGraph.write(step, card, folder / name).call(self.subject, workload)

    def _step_with_prepare(self, workload: Workload) -> Call:
        prepare = self.subject.component("prepare", replace(workload, steps=1))
        step = self.subject.component("step", workload)

        def call() -> None:
            prepare()
            step()

        return call

    def _row(self, name: str, scope: str, *, ratio: Any = None, note: str = "") -> AblationRow:
        return AblationRow(name, ablations_of(self.subject.bundle)[name], scope, ratio, note)

    def _guidance(self) -> AblationRow:
        """At the scope of a picture, and with what it does to it: this optimisation is not exact."""
        subject, name = self.subject, "guidance-interval"
        if subject.workload().branches == 1:
            return self._row(name, "picture", note="this bundle's guidance is off")
        limited = replace(subject.settings, guidance_interval=INTERVAL)
        calls: dict[str, Call] = {
            "limited": lambda: subject.restore(limited),
            "all": subject.restore,
        }
        timings = measure_in_turns(calls, self.rule, self.clock)
        ratio = paired_ratio(timings["all"].seconds, timings["limited"].seconds)
        closeness = psnr_y(subject.restore(limited), subject.restore())
        return self._row(
            name,
            "picture",
            ratio=ratio,
            note=f"off by default: it changes the picture, here to a PSNR (Y) of {closeness:.1f} dB",
        )


def unoptimised_step(subject: Subject, workload: Workload) -> Call:
    """The bundle's step in ONNX Runtime without its passes."""
    import onnxruntime  # noqa: PLC0415

    options = session_options(subject.threads)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    file = subject.bundle.component_file("step")
    providers = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    with stoppable_opening(options):
        session = onnxruntime.InferenceSession(file, options, providers=[providers[subject.backend.device]])
    feeds = workload.arrays(subject.bundle.components["step"].inputs)

    def run() -> object:
        with stoppable_run() as how:
            return session.run(None, feeds, how)

    return run
