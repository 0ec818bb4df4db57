"""How long things take: cold starts, warm pictures and their stages, single steps, other sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dit4sr.bench.baselines.calls import Baselines
from dit4sr.bench.collector import Collector, rounded
from dit4sr.bench.config import BenchConfig
from dit4sr.bench.measure.cold_start import Child, ColdStart, ours
from dit4sr.bench.measure.memory import DevicePeak
from dit4sr.bench.measure.stopwatch import Clock, measure, measure_in_turns
from dit4sr.bench.record import OURS, SweepRow
from dit4sr.bench.subject import Subject
from dit4sr.bench.workload import Workload
from dit4sr.runtime.console.status import ShowStatus
from dit4sr.runtime.errors import Dit4srError

SETTLE = 0.02
"""Seconds for which the threads of one library go on spinning when it has finished."""


@dataclass(frozen=True)
class Latency:
    """Times the subject, and hands what it finds to the collector."""

    config: BenchConfig
    subject: Subject
    clock: Clock
    collector: Collector
    show: ShowStatus

    def cold_starts(self, folder: Path, others: dict[str, ColdStart]) -> None:
        """Time processes from birth to first picture, in turns; the pictures stay in the folder."""
        contenders = {OURS: ours(self.subject, threads=self.config.threads), **others}
        children: dict[str, list[Child]] = {name: [] for name in contenders}
        for turn in range(self.config.cold_runs):
            for name, start in contenders.items():
                self.show(f"cold start {turn + 1} of {self.config.cold_runs}: {name}")
                children[name].append(start.run(self.subject.picture.pixels, folder / f"{name}.png"))
        for name, born in children.items():
            self.collector.add("cold start", name, [child.seconds for child in born])
            if peak := max((child.peak_bytes for child in born), default=0):
                self.collector.peaks[f"host, {name}, one picture"] = peak
        for name in others if self.config.cold_runs else ():
            self.collector.compare_unpaired("cold start", name)

    def warm_pictures(self) -> None:
        """Time whole pictures in this process, and the stages they pass through."""
        self.show("warm pictures")
        with DevicePeak(self.subject.backend.device) as peak:
            timing = measure(self.subject.restore_timed, self.config.rule, self.clock)
        self.collector.add("picture", OURS, timing.seconds, timing.warmups)
        if peak.bytes is not None:
            self.collector.peaks["device, one picture"] = peak.bytes
        stages, warmups = self.subject.stages, len(timing.warmups)
        for name, seconds in stages.seconds.items():
            self.collector.add(f"stage {name}", OURS, seconds[warmups:], seconds[:warmups])
        if self.subject.backend.device == "cpu":
            warm = len(stages.steps) * warmups // (warmups + len(timing.seconds))
            self.collector.add("step in the loop", OURS, stages.steps[warm:])

    def steps(self, folder: Path) -> None:
        """Time one step, in turns with the same step of every baseline."""
        workload = self.subject.workload()
        calls = {OURS: self.subject.component("step", workload)}
        baselines = Baselines(self.subject, workload, folder)
        if not self.config.baselines and self.subject.bundle.manifest.architecture is None:
            self.collector.notes.append(
                "the step in torch: this bundle does not name its network; export it anew"
            )
        for name in self.config.baselines:
            self.show(f"baseline: {name}")
            calls[name] = baselines.call(name)
        self.show("steps")
        pause = SETTLE if len(calls) > 1 else 0.0
        self.collector.add_turns("step", measure_in_turns(calls, self.config.rule, self.clock, pause=pause))

    def sweep(self) -> list[SweepRow]:
        """Time one step at other sizes and batches; what the engine cannot take is noted."""
        rows = []
        for (height, width), workload in self.swept():
            name = f"{width}×{height}, batch {workload.images}"
            self.show(f"sweep: {name}")
            if not self.subject.takes(workload):
                self.collector.notes.append(f"a step at {name}: this bundle's step is fixed to another")
                continue
            try:
                timing = measure(self.subject.component("step", workload), self.config.rule, self.clock)
            except Dit4srError as error:
                self.collector.notes.append(f"a step at {name}: {error}")
            else:
                rows.append(SweepRow(height, width, workload.images, rounded(timing.seconds)))
        return rows

    def swept(self) -> Iterator[tuple[tuple[int, int], Workload]]:
        """Every size and batch that was asked for; sizes that no network could take are refused."""
        default = self.subject.workload()
        sizes = default.sizes
        pixels = (sizes["pixel_height"], sizes["pixel_width"])
        cases = [(size, 1) for size in self.config.sizes] + [(pixels, batch) for batch in self.config.batches]
        for size, images in cases:
            yield size, self.subject.workload(pixels=size, images=images)
