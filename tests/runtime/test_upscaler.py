"""The front door: deterministic, shared between threads, stoppable, and plain about what it refuses."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from support.photos import make_photo
from support.runtime_system import write_toy_bundle

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError, OutOfMemoryError
from dit4sr.runtime.image.colour import ColourFix
from dit4sr.runtime.noise.streams import Rng
from dit4sr.runtime.sampling.sampler import WholeSampler
from dit4sr.runtime.sampling.tiled_sampler import TiledSampler
from dit4sr.runtime.upscaler import CancelledError


def requests():
    """Forty different ones: sizes in one tile and in several, seeds, guidance, solvers' memory."""
    for index in range(40):
        height, width = [(8, 8), (6, 8), (13, 9), (12, 20)][index % 4]
        settings = Settings(steps=2 + index % 3, guidance=1.0 + index % 2 * 2, tile_batch=1 + index % 3)
        yield make_photo(height, width, index), index, settings


def test_the_same_request_gives_the_same_bytes(upscaler, photo):
    first, second = (upscaler.upscale(photo, seed=5).picture for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_eight_threads_make_what_one_makes_in_flat_memory(toy_bundle):
    with Upscaler(toy_bundle, threads=1, use_cache=False) as upscaler:
        work = list(requests())
        serial = [upscaler.upscale(p, seed=s, settings=o).picture for p, s, o in work]
        process, memory = psutil.Process(), []

        def request(index: int) -> bool:
            picture, seed, settings = work[index % len(work)]
            result = upscaler.upscale(picture, seed=seed, settings=settings).picture
            memory.append(process.memory_info().rss)
            return np.array_equal(result, serial[index % len(work)])

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(request, range(200)))
        assert max(memory[150:]) - max(memory[30:60]) < 16 << 20
        assert sorted(upscaler._components._engines) == ["prepare", "step", "vae_decoder", "vae_encoder"]


def test_components_are_opened_once_however_many_want_them(toy_bundle, monkeypatch):
    opened = []
    with Upscaler(toy_bundle, threads=1, use_cache=False) as upscaler:
        original = upscaler._backend.open

        def slowly(bundle, name):
            opened.append(name)
            time.sleep(0.05)
            return original(bundle, name)

        monkeypatch.setattr(upscaler._backend, "open", slowly)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda s: upscaler.upscale(make_photo(8, 8), seed=s), range(8)))
    assert sorted(opened) == ["prepare", "step", "vae_decoder", "vae_encoder"]


def test_low_memory_holds_one_component_at_a_time(toy_bundle, photo):
    held = set()
    with Upscaler(toy_bundle, keep_components=False, use_cache=False) as frugal:
        picture = frugal.upscale(
            photo, progress=lambda _: held.add(tuple(frugal._components._engines))
        ).picture
        assert frugal._components._engines == {}
    assert held == {("vae_encoder",), ("step",), ("vae_decoder",)}
    with Upscaler(toy_bundle, use_cache=False) as lavish:
        np.testing.assert_array_equal(lavish.upscale(photo).picture, picture)


def test_closing_frees_everything_and_says_so_afterwards(toy_bundle, photo):
    upscaler = Upscaler(toy_bundle, use_cache=False)
    upscaler.upscale(photo)
    sessions = [weakref.ref(engine) for engine in upscaler._components._engines.values()]
    upscaler.close()
    gc.collect()
    assert len(sessions) == 4
    assert not any(session() for session in sessions)
    with pytest.raises(BadInputError, match="closed"):
        upscaler.upscale(photo)


@pytest.mark.parametrize("size", [(8, 8), (20, 20)])
def test_cancelling_stops_before_the_next_step(upscaler, size):
    cancel, seen = threading.Event(), []

    def progress(state):
        seen.append(state)
        if len(seen) == 3:
            cancel.set()

    with pytest.raises(CancelledError):
        upscaler.upscale(make_photo(*size), settings=Settings(steps=30), progress=progress, cancel=cancel)
    assert len(seen) == 3


@pytest.mark.parametrize(("size", "batch"), [((8, 8), 1), ((20, 13), 1), ((20, 13), 4)])
def test_progress_counts_to_its_total(upscaler, size, batch):
    seen = []
    upscaler.upscale(make_photo(*size), settings=Settings(tile_batch=batch), progress=seen.append)
    assert [state.done for state in seen] == list(range(1, seen[-1].total + 1))
    assert list(dict.fromkeys(state.stage for state in seen)) == ["vae_encoder", "step", "vae_decoder"]


def test_what_is_opened_is_told_before_the_stage_that_it_is_for(toy_bundle, photo):
    engines = ["vae_encoder", "prepare", "step", "vae_decoder"]
    with Upscaler(toy_bundle, use_cache=False) as upscaler:
        first: list[str] = []
        upscaler.upscale(photo, status=first.append)
        opening = [word for engine in engines for word in (f"opening {engine}", engine)]
        assert first == ["text", *opening, "colour"]
        second: list[str] = []
        upscaler.upscale(photo, status=second.append)
        assert second == ["text", *engines, "colour"]


def test_the_plan_counts_down_to_nothing(upscaler):
    seen = []
    upscaler.upscale(make_photo(20, 13), progress=seen.append)
    runs = dict(seen[0].plan.runs)
    assert runs["step"] == 4 * runs["prepare"] > 4
    assert seen[0].plan.left(0) == runs
    assert seen[0].total == sum(runs.values()) - runs["prepare"]
    lefts = [sum(state.plan.left(state.done).values()) for state in seen]
    assert lefts == sorted(lefts, reverse=True)
    assert lefts[-1] == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": 10**6},
        {"tile_batch": 0},
        {"tile": 12},
        {"tile": -32},
        {"overlap": 32},
        {"overlap": -1},
        {"guidance": 0.1},
        {"guidance": float("nan")},
        {"guidance_interval": (0.9, 0.1)},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"scale": 100.0},
        {"most_pixels": 100},
    ],
)
def test_senseless_settings_are_refused(upscaler, photo, settings):
    with pytest.raises(BadInputError):
        upscaler.upscale(photo, settings=Settings(**settings))


def test_senseless_seeds_are_refused(upscaler, photo):
    for seed in (-1, 1 << 64):
        with pytest.raises(BadInputError, match="seed"):
            upscaler.upscale(photo, seed=seed)


@pytest.mark.parametrize(
    "change", [{"colour": ColourFix.WAVELET}, {"rng": Rng.TORCH_CUDA}, {"rng": Rng.NUMPY}]
)
def test_choices_change_the_picture(upscaler, photo, change):
    default = upscaler.upscale(photo).picture
    assert (upscaler.upscale(photo, settings=Settings(**change)).picture != default).any()


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4, 6])
def test_any_scale(upscaler, scale):
    photo = make_photo(21, 33)
    picture = upscaler.upscale(photo, settings=Settings(scale=scale)).picture
    assert picture.shape == (round(21 * scale), round(33 * scale), 3)


def test_prompts_need_text_encoders(upscaler, photo):
    assert not upscaler.reads_words
    for words in ({"prompt": "a cat"}, {"negative": "blur"}):
        with pytest.raises(BadInputError, match="no text encoders"):
            upscaler.upscale(photo, **words)


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError("the arena is full")])
@pytest.mark.parametrize("size", [(8, 8), (20, 20)])
def test_out_of_memory_takes_smaller_tiles_once(upscaler, monkeypatch, size, error):
    for kind in (WholeSampler, TiledSampler):
        original = kind.sample

        def sample(self, *given, original=original):
            tiling = getattr(self, "_tiling", None)
            if tiling is None or tiling.tile_height > 4:
                raise error
            return original(self, *given)

        monkeypatch.setattr(kind, "sample", sample)
    restored = upscaler.upscale(make_photo(*size))
    assert restored.warnings == ("memory ran out with tiles of 32 pixels: took 16",)
    expected = upscaler.upscale(make_photo(*size), settings=Settings(tile=16))
    assert np.abs(restored.picture.astype(int) - expected.picture).max() <= 1


def test_out_of_memory_twice_is_the_end(upscaler, photo, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(WholeSampler, "sample", fail)
    monkeypatch.setattr(TiledSampler, "sample", fail)
    with pytest.raises(OutOfMemoryError, match="smaller --tile"):
        upscaler.upscale(photo)


def test_a_damaged_component_is_never_loaded(tmp_path, photo):
    bundle = write_toy_bundle(tmp_path / "b")
    file = bundle / "onnx" / "step.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with Upscaler(bundle, use_cache=False) as upscaler, pytest.raises(IntegrityError, match=r"step\.onnx"):
        upscaler.upscale(photo)


def test_a_step_fixed_to_two_rows_still_skips_guidance(tmp_path):
    """An engine built for both branches gives the negative no weight."""
    bundle = write_toy_bundle(tmp_path / "b", fixed={"branches": 2})
    settings = Settings(guidance_interval=(0.2, 0.9))
    photo = make_photo(8, 8)
    with Upscaler(bundle, use_cache=False) as fixed:
        picture = fixed.upscale(photo, settings=settings).picture
        with pytest.raises(IncompatibleError, match="fixed to 2 branches"):
            fixed.upscale(photo, settings=Settings(guidance=1.0))
    free = write_toy_bundle(tmp_path / "c")
    with Upscaler(free, use_cache=False) as upscaler:
        assert np.abs(upscaler.upscale(photo, settings=settings).picture.astype(int) - picture).max() <= 1


def test_a_bundle_fixed_to_some_steps_says_so(tmp_path, photo):
    bundle = write_toy_bundle(tmp_path / "b", fixed={"steps": 4})
    with Upscaler(bundle, use_cache=False) as upscaler:
        assert upscaler.upscale(make_photo(20, 20)).picture.shape == (80, 80, 3)
        with pytest.raises(IncompatibleError, match="fixed to 4 steps"):
            upscaler.upscale(photo, settings=Settings(steps=5))


@pytest.mark.parametrize("size", [(8, 8), (20, 20)])
def test_a_bundle_fixed_to_as_many_steps_as_rows_tells_them_apart(tmp_path, upscaler, size):
    bundle = write_toy_bundle(tmp_path / "b", fixed={"steps": 2, "rows": 2, "branches": 2, "images": 1})
    settings, photo = Settings(steps=2), make_photo(*size)
    expected = upscaler.upscale(photo, settings=settings).picture.astype(int)
    with Upscaler(bundle, use_cache=False) as fixed:
        assert np.abs(fixed.upscale(photo, settings=settings).picture - expected).max() <= 1


def test_a_backend_is_given_by_name_as_a_choice_or_open(toy_bundle, photo):
    """A choice keeps its reasons; nothing is opened that is open already."""
    bundle = Bundle.open(toy_bundle)
    choice = choose(bundle, threads=1)
    made = []
    for given in ("onnxruntime", choice, choice.backend):
        with Upscaler(bundle, backend=given, threads=1, use_cache=False) as upscaler:
            made.append((upscaler.upscale(photo).picture, upscaler.reasons, upscaler._backend))
    assert [reasons for _, reasons, _ in made] == [(), tuple(choice.reasons()), ()]
    assert len(choice.reasons()) == 3  # TensorRT, TensorRT for RTX and Inductor have nothing to run
    assert [backend is choice.backend for *_, backend in made] == [False, True, True]
    for picture, *_ in made:
        np.testing.assert_array_equal(picture, made[0][0])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_photo_of_one_colour_is_restored(upscaler, level):
    """Flat is no fault where the photo is flat."""
    flat = np.full((10, 12, 3), level, np.uint8)
    assert upscaler.upscale(flat).picture.shape == (40, 48, 3)
    with Upscaler(tiny_bundle(), threads=1, use_cache=False) as built_in:
        assert np.abs(built_in.upscale(flat).picture.astype(int) - level).max() < 30
