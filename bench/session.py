"""One run of the bench: what is measured, and in which order.

Cold starts come first, then warm pictures, steps against the baselines, the roofline, accuracy, and what else
was asked for. The machine's limits are measured between all of these.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from dit4sr.bench.accuracy.kept import KeptPicture
from dit4sr.bench.accuracy.rows import accuracies
from dit4sr.bench.baselines.ablations import Ablations
from dit4sr.bench.baselines.torch_start import TorchStart
from dit4sr.bench.collector import Collector
from dit4sr.bench.config import BenchConfig
from dit4sr.bench.graph.cost import Cost, total
from dit4sr.bench.graph.roofline import roofline, step_costs, step_seconds
from dit4sr.bench.measure.background_load import BackgroundLoad
from dit4sr.bench.measure.hardware import environment
from dit4sr.bench.measure.latency import SETTLE, Latency
from dit4sr.bench.measure.limit_probe import probe_for
from dit4sr.bench.measure.stopwatch import Clock, clock_for
from dit4sr.bench.pictures import InputPicture
from dit4sr.bench.record import SCHEMA_VERSION, Record, SubjectRecord
from dit4sr.bench.subject import Subject
from dit4sr.runtime.console.status import ShowStatus, show_nothing
from dit4sr.runtime.image.photo import Picture, resized


@dataclass(frozen=True)
class Findings:
    """What a run of the bench ends with: its record, and pictures to show beside it."""

    record: Record
    pictures: tuple[tuple[str, Picture], ...]


def run_session(config: BenchConfig, show: ShowStatus = show_nothing) -> Findings:
    """Measure everything that the configuration asks for."""
    background, made = BackgroundLoad(), datetime.now(timezone.utc)
    config.check()
    with (
        tempfile.TemporaryDirectory() as scratch,
        Subject(
            config.bundle,
            config.timed_picture(),
            config.settings,
            backend=config.backend,
            device=config.device,
            threads=config.threads,
            trust_engines=config.trust_engines,
        ) as subject,
    ):
        folder, device, collector = Path(scratch), subject.backend.device, Collector()
        clock = clock_for(device)
        probe = probe_for(device, subject.bundle.card.precision, threads=config.threads)
        latency = Latency(config, subject, clock, collector, show)
        torch_start = TorchStart(config, subject, folder, collector.notes)
        list(latency.swept())  # sizes that no network could take are refused now, not at the end

        latency.cold_starts(folder, torch_start.contenders())
        collector.accuracy += torch_start.compared_pictures()
        probe.measure()
        latency.warm_pictures()
        probe.measure()
        latency.steps(folder)
        probe.measure()
        show("roofline")
        costs = step_costs(subject, collector.notes)
        wants_times = bool(costs) and config.has_roofline
        seconds = step_seconds(subject, collector.notes) if wants_times else {}
        probe.measure()
        show("accuracy")
        collector.accuracy += accuracies(
            subject, config.pictures, config.reference, config.metrics, collector.notes
        )
        show("what else was asked for")
        ablations = Ablations(subject, config.rule, clock, SETTLE).run(config.ablations)
        sweep = latency.sweep()
        probe.measure()
        restored = subject.restore()

        record = Record(
            schema=SCHEMA_VERSION,
            made=made.isoformat(timespec="seconds"),
            command=config.command,
            environment=environment(probe.limits, device, background.cores()),
            subject=_subject_record(subject, clock, costs),
            series=tuple(collector.series),
            comparisons=tuple(collector.comparisons),
            groups=roofline(costs, probe.limits, seconds) if wants_times else (),
            accuracy=tuple(collector.accuracy),
            ablations=tuple(ablations),
            sweep=tuple(sweep),
            peak_bytes=collector.peaks,
            notes=(*collector.notes, *subject.upscaler.reasons),
            kept=KeptPicture.of(subject.picture.name, subject.picture.pixels, restored),
        )
        return Findings(record, _pictures(subject.picture, restored))


def _subject_record(subject: Subject, clock: Clock, costs: dict[str, Cost]) -> SubjectRecord:
    """The record of what was measured, in words and numbers."""
    workload, card = subject.workload(), subject.bundle.card
    known = subject.settings.resolved(card)
    height, width = subject.picture.size
    final = subject.upscaler.geometry(width, height, subject.settings).final
    assert known.guidance is not None
    return SubjectRecord(
        bundle=subject.bundle.path.name,
        digest=subject.upscaler.digest,
        name=card.name,
        weights=card.weights,
        precision=card.precision,
        backend=subject.upscaler.backend,
        clock=clock.name,
        threads=subject.threads,
        picture=(final[1], final[0]),
        latent=(workload.height, workload.width),
        steps=workload.steps,
        tiles=subject.tiles,
        guidance=float(known.guidance),
        rows=workload.rows,
        text_rows=workload.text,
        flops_per_picture=float(total(costs).flops * subject.whole_steps * subject.tiles) if costs else None,
        preset=known.preset,
    )


def _pictures(given: InputPicture, restored: Picture) -> tuple[tuple[str, Picture], ...]:
    """The picture before and after, and the truth where it is known, at one size."""
    low = resized(given.pixels, (restored.shape[1], restored.shape[0]))
    shown = [("given, enlarged", low), ("restored", restored)]
    if given.truth is not None:
        shown.append(("truth", given.truth))
    return tuple(shown)
