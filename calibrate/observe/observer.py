"""Observing every activation that a MatMul reads, while the runtime restores photos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dit4sr.calibrate.graph.bundle_rewriting import GraphChange, rewrite_bundle
from dit4sr.calibrate.graph.matmuls import find_matmuls
from dit4sr.calibrate.graph.step_graph import STEP, layer_names, load_step
from dit4sr.calibrate.observe.photos import Case
from dit4sr.calibrate.observe.statistics import Origin, Statistics, photo_digests, resumed
from dit4sr.calibrate.observe.tapped_upscaler import fits_in_memory, tapped_upscaler
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.backends.tap import Outputs
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.status import ShowStatus, show_nothing
from dit4sr.runtime.files.drafts import draft_folder
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler

_TURNS = 4


class Observer:
    """Counts the runs of one photo, each of them a step, and hands their activations to the statistics."""

    def __init__(self, statistics: Statistics, activations: Sequence[str], show: ShowStatus) -> None:
        self._statistics, self._activations, self._show = statistics, activations, show
        self._photo, self._step = "", 0

    def begin(self, photo: str) -> None:
        """Say that the next run is the first of this photo."""
        self._photo, self._step = photo, 0

    def see(self, outputs: Outputs) -> None:
        """Take in one run of `step`: photos are one tile each, so runs are steps."""
        self._statistics.see(self._step, {name: outputs[name] for name in self._activations})
        self._step += 1
        self._show(f"observing {self._photo}: step {self._step} of {self._statistics.steps}")


def observe(
    bundle: Bundle,
    cases: Sequence[Case],
    settings: Settings,
    file: Path,
    *,
    seed: int = 0,
    attention: bool = False,
    threads: int = 0,
    show: ShowStatus = show_nothing,
) -> Statistics:
    """Restore the photos that the file has not seen yet, and keep what is learnt after each of them."""
    schedule = settings.schedule(bundle.card)
    digests = photo_digests([case.photo for case in cases])
    statistics = resumed(
        file, origin_of(bundle, digests, settings, seed, attention=attention), schedule.steps
    )
    left = [
        (case, digest) for case, digest in zip(cases, digests, strict=True) if digest not in statistics.seen
    ]
    if not left:
        return statistics

    with _observed(bundle, statistics, file, attention=attention, threads=threads, show=show) as (
        upscaler,
        observer,
    ):
        for place, (case, digest) in enumerate(left, len(cases) - len(left) + 1):
            observer.begin(f"{case.name} ({place} of {len(cases)})")
            upscaler.upscale(case.photo, seed=seed, settings=settings)
            statistics.seen.append(digest)
            statistics.save(file)
    return statistics


def observing_cost(
    bundle: Bundle, case: Case, settings: Settings, beside: Path, *, threads: int = 0
) -> float:
    """Seconds of sampling while it is observed, over seconds of sampling; nothing is kept."""
    statistics = Statistics(Origin("", (), {}), settings.schedule(bundle.card).steps)
    alone, observed = [], []
    with (
        Upscaler(bundle, backend=OnnxRuntime(threads=threads)) as plain,
        _observed(bundle, statistics, beside, threads=threads) as (observed_upscaler, observer),
    ):
        # By turns, so that whatever else the machine does falls on both; the first turn loads.
        for _ in range(_TURNS):
            alone.append(plain.upscale(case.photo, settings=settings).seconds[STEP])
            observer.begin(case.name)
            observed.append(observed_upscaler.upscale(case.photo, settings=settings).seconds[STEP])
    return min(observed) / min(alone)


@contextmanager
def _observed(
    bundle: Bundle,
    statistics: Statistics,
    beside: Path,
    *,
    attention: bool = False,
    threads: int = 0,
    show: ShowStatus = show_nothing,
) -> Iterator[tuple[Upscaler, Observer]]:
    """An Upscaler whose `step` gives away what its MatMuls read, and the observer that takes it."""
    model = load_step(bundle, attention=attention)
    activations = list(
        dict.fromkeys(
            activation
            for matmul in find_matmuls(model, layer_names(bundle)).values()
            for activation in matmul.activations
        )
    )
    given = set(model.graph.outputs)
    model.graph.outputs.extend(value for value in activations if value not in given)
    observer = Observer(statistics, [str(value.name) for value in activations], show)
    with draft_folder(beside) as scratch:
        opened = rewrite_bundle(bundle, scratch, {STEP: GraphChange(model, "fp16")})
        with tapped_upscaler(
            opened, {STEP: observer.see}, threads=threads, keep_components=fits_in_memory(bundle)
        ) as upscaler:
            yield upscaler, observer


def origin_of(
    bundle: Bundle, photos: tuple[str, ...], settings: Settings, seed: int, *, attention: bool
) -> Origin:
    """The origin that an observation of these photos would have."""
    weights = " ".join(
        record.sha256 for name in sorted(bundle.components) for record in bundle.components[name].files
    )
    chosen = json.loads(json.dumps(settings.resolved(bundle.card).to_json()))
    return Origin(weights, photos, {**chosen, "seed": seed, "attention": attention})
