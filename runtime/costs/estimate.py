"""What a picture would take here: seconds, memory and disk, and by what that is told.

Small bundles are tried out: every engine runs once. For large ones that would take minutes, so their graphs
are counted and set against what the processor does in half a second; that is a prediction, and says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dit4sr.runtime.backends.onnxruntime import NAME as ONNXRUNTIME
from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.costs.bundle_costs import BundleCosts, sizes_of
from dit4sr.runtime.costs.demand import HOST_FLOAT, weights_of
from dit4sr.runtime.costs.probe import Sample, probe
from dit4sr.runtime.costs.rates import NOMINAL, Rates, measured_rates
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.machine.host import resident_memory
from dit4sr.runtime.plan import ENGINES, Plan

SMALL_BYTES, SMALL_SECONDS = 256 << 20, 5.0
"""Bytes of engines, and seconds of their runs on a machine of two cores, up to which they are tried out."""
LOADING = 2.9e8
"""Bytes of weights, as they lie in memory, that ONNX Runtime loads in a second: the step of the full-size
model in FP16, 6.9 GB widened, took 23.9 s on two cores (bench/results/full-size-cpu-2ca2b15.json)."""
LIBRARY_BYTES, ARENA = 65e6, 1.25
"""What sessions and allocators take whatever the graph, and how much more room than its tensors need ONNX
Runtime holds. Both were measured on dit4sr-tiny, where the sum came within 3 % of what processes held at
their worst moment, for pictures from 256² to 1024²."""
HASHED = 1 << 23
BYTES_OF_PIXEL = 3


@dataclass(frozen=True)
class Estimate:
    """What one picture would take."""

    seconds: Mapping[str, float] | None
    """By stage, opening first; None where nothing tells."""
    memory_bytes: int
    """Of the whole process, at its worst moment."""
    output_bytes: int
    """Of the picture on the disk, at most."""
    is_measured: bool
    """True if the engines have run; else the seconds are predicted."""
    factors: tuple[str, ...]
    """What the figures stand on."""

    @property
    def total_seconds(self) -> float | None:
        """Seconds of all stages."""
        return None if self.seconds is None else sum(self.seconds.values())

    @property
    def basis(self) -> str:
        """How the seconds are known; an empty word where they are not."""
        return "" if self.seconds is None else "measured" if self.is_measured else "predicted"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "seconds": self.total_seconds,
            "seconds_by_stage": None if self.seconds is None else dict(self.seconds),
            "basis": self.basis,
            "factors": list(self.factors),
            "memory_bytes": self.memory_bytes,
            "output_bytes": self.output_bytes,
        }


class Estimator:
    """Estimates pictures of one bundle on one backend; what is measured is measured once."""

    def __init__(
        self, bundle: Bundle, backend: Backend, *, threads: int = 0, keep_components: bool = False
    ) -> None:
        self._bundle, self._backend, self._threads, self._keep = bundle, backend, threads, keep_components
        self._is_host = backend.device == "cpu"
        self._costs = BundleCosts(bundle, on_host=self._is_host)
        self._before = resident_memory()
        self._tried: tuple[Plan, dict[str, Sample]] | None = None

    def of(self, plan: Plan, geometry: Geometry, pixel_bytes: int = BYTES_OF_PIXEL) -> Estimate:
        """Estimate a picture, of which a pixel has so many bytes when it is written."""
        if self._tried is None and self._is_small(plan):
            sizes = {name: sizes_of(self._bundle, plan, name) for name in self._engines}
            # Axes of names that nobody knows leave no way to make its inputs.
            with contextlib.suppress(BadInputError):
                self._tried = plan, probe(self._bundle, self._backend, sizes)
        seconds, factors = self._measured(plan) if self._tried else self._predicted(plan)
        width, height = geometry.final
        return Estimate(
            seconds,
            self.memory(plan, geometry),
            pixel_bytes * width * height,
            is_measured=self._tried is not None,
            factors=(*factors, *self._remarks()),
        )

    def memory(self, plan: Plan, geometry: Geometry) -> int:
        """Bytes of the process as it is, with its pictures, and its engines at their worst moment."""
        weights = {name: weights_of(self._costs.outline(name), on_host=self._is_host) for name in self._names}
        demands = self._costs.demands(plan)
        working = {}
        for name, (_, largest) in weights.items():
            demand = demands.get(name)
            working[name] = largest + (round(ARENA * demand.peak_bytes) if demand else 0)
        if self._keep:
            engines = sum(whole for whole, _ in weights.values()) + max(working.values(), default=0)
        else:
            engines = max((weights[name][0] + working[name] for name in weights), default=0)
        around = self._before + int(LIBRARY_BYTES)
        return around + engines + _picture_bytes(self._bundle, plan, geometry)

    @property
    def _engines(self) -> list[str]:
        return [name for name in ENGINES if name in self._bundle.components]

    def _is_small(self, plan: Plan) -> bool:
        files = {record for name in self._engines for record in self._bundle.components[name].files}
        if sum(record.bytes for record in files) > SMALL_BYTES:
            return False
        seconds = self._costs.run_seconds(plan, NOMINAL)
        return seconds is None or sum(seconds.values()) <= SMALL_SECONDS

    def _measured(self, plan: Plan) -> tuple[dict[str, float], list[str]]:
        assert self._tried is not None
        tried, samples = self._tried
        seconds = {"opening": sum(sample.opening_seconds for sample in samples.values())}
        for name, runs in self._runs(plan).items():
            seconds[name] = runs * samples[name].run_seconds * self._growth(name, tried, plan)
        return seconds, ["every engine was opened and run once"]

    def _growth(self, name: str, tried: Plan, plan: Plan) -> float:
        """How much more a run costs than the one that was timed."""
        if plan is tried:
            return 1.0
        now, then = (self._costs.run_seconds(each, NOMINAL) for each in (plan, tried))
        if now and then and then[name]:
            return now[name] / then[name]
        areas = [sizes_of(self._bundle, each, name) for each in (plan, tried)]
        now_area, then_area = (sizes["height"] * sizes["width"] for sizes in areas)
        return now_area / then_area

    def _predicted(self, plan: Plan) -> tuple[dict[str, float] | None, list[str]]:
        if not self._is_host or self._backend.name != ONNXRUNTIME:
            backend = f"{self._backend.name}/{self._backend.device}"
            return None, [f"no time is predicted for {backend}: measure it with dit4sr-bench"]
        each = self._costs.run_seconds(plan, self._rates)
        if each is None:
            return None, ["no time is predicted: the graphs do not state their shapes"]
        hashed = sum(record.bytes for name in self._engines for record in self._bundle.components[name].files)
        loaded = sum(weights_of(self._costs.outline(name), on_host=True)[0] for name in self._engines)
        seconds = {"opening": hashed / self._hash_rate + loaded / LOADING}
        seconds |= {name: runs * each[name] for name, runs in self._runs(plan).items()}
        return seconds, [
            f"arithmetic at {self._rates.arithmetic / 1e9:.0f} GFLOP/s, measured on ONNX Runtime's MatMul",
            f"traffic at {self._rates.copying / 1e9:.1f} GB/s, measured on a copy, and never overlapping",
            f"files hashed at {self._hash_rate / 1e9:.1f} GB/s, weights loaded at {LOADING / 1e9:.2f} GB/s",
        ]

    def _runs(self, plan: Plan) -> dict[str, float]:
        """Runs of each engine, those of unguided steps among guided ones by their rows."""
        runs: dict[str, float] = {name: plan.runs[name] for name in self._engines}
        schedule = plan.schedule
        rows = schedule.rows
        if "step" in runs:
            runs["step"] *= sum(rows) / (len(rows) * schedule.branches)
        return runs

    @cached_property
    def _rates(self) -> Rates:
        return measured_rates(self._threads)

    @cached_property
    def _hash_rate(self) -> float:
        content = bytes(HASHED)
        start = time.perf_counter()
        hashlib.sha256(content)
        return HASHED / (time.perf_counter() - start)

    @property
    def _names(self) -> Sequence[str]:
        """The components that are opened: encoders of text and of pictures as well."""
        manifest = self._bundle.manifest
        return [*manifest.text_encoders, *manifest.image_encoders, *self._engines]

    def _remarks(self) -> list[str]:
        remarks = ["memory: weights as they lie there, the tensors that are alive at a time, the pictures"]
        if not self._is_host:
            remarks.append("memory is mostly the device's")
        if self._bundle.manifest.text_encoders:
            remarks.append("the time of reading a new prompt is not counted")
        if self._bundle.manifest.image_encoders:
            remarks.append("the time of showing tiles to image encoders is not counted")
        return remarks


def _picture_bytes(bundle: Bundle, plan: Plan, geometry: Geometry) -> int:
    """The pictures that are held at a time, the latents, and the band that the decoder blends into."""
    card = bundle.card
    pixels = sum(width * height for width, height in (geometry.source, geometry.final))
    work = geometry.work[0] * geometry.work[1]
    band = plan.vae_tiling.tile_height * card.vae_factor * geometry.work[0]
    tile = plan.vae_tiling.tile_height * plan.vae_tiling.tile_width * card.vae_factor**2
    latent = card.latent_channels * plan.tiling.height * plan.tiling.width
    branches = plan.schedule.branches
    # Enlarged, decoded (twice as deep for a colour fix), with its colours; a tile's numbers as they come,
    # weighed, and on their way.
    in_pixels = BYTES_OF_PIXEL * (pixels + 4 * work + HOST_FLOAT * (band + 4 * tile))
    # Moments, noise, conditions, and two latents and velocities.
    return in_pixels + HOST_FLOAT * latent * (7 + branches)
