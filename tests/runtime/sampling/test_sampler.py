"""The loop itself: what it costs, what it allocates, and when it stops."""

from __future__ import annotations

import itertools
import time
import tracemalloc

import numpy as np
import pytest
from support.runtime_null import NullBackend, NullEngine
from support.runtime_system import CARD, CHANNELS, write_toy_bundle

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import AccuracyError, IncompatibleError
from dit4sr.runtime.noise.streams import NumpyStream
from dit4sr.runtime.sampling.conditions import Conditions
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.sampler import WholeSampler
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.solver import Solver
from dit4sr.runtime.sampling.tile_conditions import TileConditions
from dit4sr.runtime.sampling.tiled_sampler import TiledSampler
from dit4sr.runtime.sampling.tiles import Tiling

SIDE = 64
"""The latent of the released picture; what the loop does itself depends on no other size."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return Bundle.open(write_toy_bundle(tmp_path_factory.mktemp("null") / "toy"))


def conditions(schedule, side=SIDE):
    prompt = {"text": np.zeros((5, 12), dtype=np.float32), "pooled": np.zeros(6, dtype=np.float32)}
    latent = np.zeros((schedule.branches, CHANNELS, side, side), dtype=np.float32)
    return Conditions(latent, [prompt] * schedule.branches, schedule.timesteps)


def prepared(bundle, schedule):
    backend = NullBackend()
    sampler = WholeSampler(backend, CARD, schedule, conditions(schedule))
    sampler.prepare(NullEngine(bundle.components["prepare"], {"tokens": SIDE * SIDE // 4, "h": SIDE}))
    return sampler, backend.open(bundle, "step")


def noise(side=SIDE):
    return NumpyStream(0).normal([CHANNELS, side, side])


def test_the_loop_costs_less_than_a_fifth_of_a_millisecond_a_step(bundle):
    schedule = SamplingSchedule.of(400, 3.0, Solver.EULER, Guidance(8.0, (0.1, 0.9)))
    sampler, step = prepared(bundle, schedule)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        sampler.sample(step, noise(), lambda: None)
        times.append((time.perf_counter() - start) / schedule.steps)
    assert min(times) < 0.2e-3


def test_the_loop_allocates_nothing_from_step_to_step(bundle):
    schedule = SamplingSchedule.of(60, 3.0, Solver.AB2, Guidance(8.0))
    sampler, step = prepared(bundle, schedule)
    held: list[int] = [0] * schedule.steps
    ticks = iter(range(schedule.steps))

    def tick():
        held[next(ticks)] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    sampler.sample(step, noise(), tick)
    tracemalloc.stop()
    assert held[-1] - held[20] < 8000  # one latent alone has 65,536 bytes


def test_tiles_allocate_nothing_from_step_to_step(bundle):
    schedule = SamplingSchedule.of(30, 3.0, Solver.AB2, Guidance(8.0, (0.2, 0.9)))
    tiling = Tiling.cover(20, 20, 8, 3, 2)
    sampler = TiledSampler(NullBackend(), CARD, schedule, conditions(schedule, 20), tiling=tiling, batch=3)
    sampler.prepare(NullEngine(bundle.components["prepare"]))
    held = np.zeros(schedule.steps * len(tiling.tiles), dtype=np.int64)  # filled without allocating
    ticks = itertools.count()

    def tick():
        held[next(ticks)] = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    sampler.sample(NullBackend().open(bundle, "step"), noise(20), tick)
    tracemalloc.stop()
    count = next(ticks)
    assert max(held[count - 20 : count]) - min(held[count // 2 : count // 2 + 20]) < 4000


class Spoiler(NullEngine):
    """Writes a value over the latent at one step."""

    def __init__(self, component, step, value):
        super().__init__(component)
        self._calls, self._step, self._value = 0, step, value

    def run(self, inputs, outputs=None):
        super().run(inputs, outputs)
        self._calls += 1
        if self._calls == self._step:
            place = 0 if np.isfinite(self._value) else (0, 0, 3, 3)
            outputs["next_latent"].owner[place] = self._value
        return dict(outputs)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.5])
def test_astray_numbers_stop_the_run_at_their_step(bundle, value):
    schedule = SamplingSchedule.of(9, 3.0, Solver.EULER, Guidance(8.0))
    sampler, _ = prepared(bundle, schedule)
    ticks = []
    kind = "not finite" if not np.isfinite(value) else r"constant \(0.5\)"
    with pytest.raises(AccuracyError, match=f"{kind} after step 4 of 9, at noise level 0.8"):
        sampler.sample(Spoiler(bundle.components["step"], 4, value), noise(), lambda: ticks.append(1))
    assert len(ticks) == 3


def test_on_a_device_the_step_is_found_afterwards(bundle):
    """No copy to the host while all is well; a bad end is run again, watched."""

    class Device(NullBackend):
        device = "cuda"
        downloads = 0

        def download(self, array):
            self.downloads += 1
            return array.owner

    class Faulty(NullEngine):
        """Bad whenever the noise level's coefficients say step three."""

        def run(self, inputs, outputs=None):
            super().run(inputs, outputs)
            if outputs and inputs["coefficients"].owner[1] == schedule.coefficients[2, 1]:
                outputs["next_latent"].owner[...] = np.nan
            return dict(outputs or {})

    schedule = SamplingSchedule.of(5, 3.0, Solver.EULER, Guidance(8.0))
    backend = Device()
    sampler = WholeSampler(backend, CARD, schedule, conditions(schedule))
    sampler.prepare(NullEngine(bundle.components["prepare"]))
    sampler.sample(NullEngine(bundle.components["step"]), noise(), lambda: None)
    assert backend.downloads == 1
    with pytest.raises(AccuracyError, match="after step 3 of 5"):
        sampler.sample(Faulty(bundle.components["step"]), noise(), lambda: None)


@pytest.mark.parametrize("tensor", ["text_tokens", "modulation"])
def test_numbers_astray_in_prepare_name_it_and_no_step(bundle, tensor):
    class Astray(NullEngine):
        def run(self, inputs, outputs=None):
            results = super().run(inputs, outputs)
            results[tensor].owner.flat[-1] = np.nan
            return results

    schedule = SamplingSchedule.of(3, 3.0, Solver.EULER, Guidance(8.0))
    sampler = WholeSampler(NullBackend(), CARD, schedule, conditions(schedule))
    with pytest.raises(AccuracyError, match=f"{tensor}, which prepare has made, is not finite"):
        sampler.prepare(Astray(bundle.components["prepare"]))


def test_a_step_that_nobody_feeds_is_refused(bundle):
    schedule = SamplingSchedule.of(3, 3.0, Solver.EULER, Guidance(8.0))
    sampler, step = prepared(bundle, schedule)
    step.inputs = (*step.inputs, step.inputs[0].__class__("control", "float32", ("rows",)))
    with pytest.raises(IncompatibleError, match="step reads 'control'"):
        sampler.sample(step, noise(), lambda: None)


def test_tile_conditions_keep_shared_tensors_once_and_spill_large_ones(monkeypatch):
    monkeypatch.setattr("dit4sr.runtime.sampling.tile_conditions.SPILL", 1000)
    kept = TileConditions(4)
    rng = np.random.default_rng(0)
    own = rng.normal(size=(4, 2, 100)).astype(np.float32)
    for index in range(4):
        kept.put(index, {"text": np.ones((2, 3), dtype=np.float32), "image": own[index]})
    assert set(kept.shared) == {"text"}
    for index in range(4):
        np.testing.assert_array_equal(kept.get(index)["image"], own[index])
    assert isinstance(kept.get(0)["image"].base, np.memmap) or isinstance(kept.get(0)["image"], np.memmap)


def test_what_many_small_tensors_take_together_is_bounded(monkeypatch):
    monkeypatch.setattr("dit4sr.runtime.sampling.tile_conditions.SPILL", 1000)
    kept = TileConditions(2)
    for index in range(2):
        kept.put(index, {f"modulation.{n}": np.full((1, 100), n + index, np.float32) for n in range(2)})
    assert [isinstance(values.base, np.memmap) for values in kept.get(1).values()] == [False, True]


def test_tensors_of_tiles_of_one_size_have_one_shape():
    kept = TileConditions(3)
    kept.put(0, {"image": np.zeros((2, 3), dtype=np.float32)})
    with pytest.raises(IncompatibleError, match="prepare makes image of shape"):
        kept.put(1, {"image": np.zeros((2, 4), dtype=np.float32)})
