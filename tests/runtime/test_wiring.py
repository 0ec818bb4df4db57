"""The runtime knows no network: each engine gets what it lists, from whatever has that name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.photos import make_photo
from support.plain_network import PLAIN_CARD, styles, velocity, write_plain_bundle
from support.runtime_null import NullBackend, NullEngine
from support.runtime_system import CARD, CHANNELS, write_toy_bundle

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, TensorSpec, record_of
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError
from dit4sr.runtime.sampling import conditions as conditions_module
from dit4sr.runtime.sampling.conditions import Conditions, GridPositions
from dit4sr.runtime.sampling.guidance import Guidance
from dit4sr.runtime.sampling.sampler import WholeSampler
from dit4sr.runtime.sampling.schedule import SamplingSchedule
from dit4sr.runtime.sampling.solver import Solver
from dit4sr.runtime.sampling.tiled_sampler import TiledSampler
from dit4sr.runtime.sampling.tiles import Tiling

SIDE = 12
GUIDANCE = 2.0


@pytest.fixture(scope="module", params=[False, True], ids=["no prompt", "a style"])
def bundle(request, tmp_path_factory):
    styled = request.param
    return Bundle.open(write_plain_bundle(tmp_path_factory.mktemp("plain") / "bundle", styled=styled))


def five_steps():
    return SamplingSchedule.of(5, 3.0, Solver.AB2, Guidance(GUIDANCE, (0.3, 0.9)))


def restored_by_hand(noise, low, prompts, schedule):
    """The loop in NumPy: guidance, then the solver's update."""
    latent, previous = noise.astype(np.float64), np.zeros(noise.shape)
    for step, time in enumerate(schedule.timesteps):
        negative, positive = (
            velocity(latent, low[row].astype(np.float64), time, prompts[row].get("style")) for row in (0, 1)
        )
        is_guided = schedule.guidance.is_on(float(schedule.levels[step]))
        found = negative + GUIDANCE * (positive - negative) if is_guided else positive
        a, b, c = schedule.coefficients[step]
        latent, previous = a * latent + b * found + c * previous, found
    return latent


@pytest.mark.parametrize("batch", [0, 1, 3], ids=["whole", "tiles", "tiles by three"])
def test_a_network_gets_exactly_what_it_lists(bundle, batch):
    rng, schedule = np.random.default_rng(0), five_steps()
    low = rng.normal(size=(2, CHANNELS, SIDE, SIDE)).astype(np.float32)
    noise = rng.normal(size=(CHANNELS, SIDE, SIDE)).astype(np.float32)
    stored = bundle.manifest.embeddings
    prompts = [bundle.embedding(side) if stored else {} for side in ("negative", "positive")]
    backend, conditions = OnnxRuntime("cpu", 1), Conditions(low, prompts, schedule.timesteps)
    if batch:
        tiling = Tiling.cover(SIDE, SIDE, 8, 3, 2)
        sampler = TiledSampler(backend, PLAIN_CARD, schedule, conditions, tiling=tiling, batch=batch)
    else:
        sampler = WholeSampler(backend, PLAIN_CARD, schedule, conditions)
    sampler.prepare(backend.open(bundle, "prepare"))
    latent = sampler.sample(backend.open(bundle, "step"), noise, lambda: None)
    np.testing.assert_allclose(latent, restored_by_hand(noise, low, prompts, schedule), atol=2e-5)


@pytest.mark.parametrize("size", [(8, 8), (20, 20)], ids=["whole", "tiles"])
def test_pictures_are_restored_by_any_network(bundle, size):
    with Upscaler(bundle, threads=1, use_cache=False) as upscaler:
        guided, plain = (
            upscaler.upscale(make_photo(*size), settings=Settings(guidance=guidance)).picture
            for guidance in (3.0, 1.0)
        )
        assert guided.shape == (4 * size[0], 4 * size[1], 3)
        assert guided.std() > 1
        assert (guided != plain).any()


def test_a_stored_prompt_with_a_name_of_its_own_reaches_the_picture(tmp_path, photo):
    path = write_plain_bundle(tmp_path / "b", styled=True)
    with Upscaler(path, use_cache=False) as upscaler:
        before = upscaler.upscale(photo).picture
    manifest = Bundle.open(path).manifest
    np.save(path / "embeddings" / "positive.style.npy", -styles()["positive"]["style"])
    records = (record_of(path / "embeddings" / "positive.style.npy", path),)
    changed = replace(manifest, embeddings={**manifest.embeddings, "positive": records})
    (path / MANIFEST).write_text(changed.to_text())
    with Upscaler(path, use_cache=False) as upscaler:
        assert (upscaler.upscale(photo).picture != before).any()


def test_words_for_a_network_that_reads_none_are_refused(tmp_path, photo):
    path = write_plain_bundle(tmp_path / "b", styled=False)
    with Upscaler(path, use_cache=False) as upscaler, pytest.raises(BadInputError, match="no text encoders"):
        upscaler.upscale(photo, prompt="a cat")


def test_a_prompt_without_the_tensor_that_prepare_reads_is_named(tmp_path, photo):
    path = write_toy_bundle(tmp_path / "b")
    manifest = Bundle.open(path).manifest
    texts = {name: records[:1] for name, records in manifest.embeddings.items()}
    (path / MANIFEST).write_text(replace(manifest, embeddings=texts).to_text())
    said = "prepare reads 'pooled', which nothing provides; expected some of condition, positions, text, time"
    with Upscaler(path, use_cache=False) as upscaler, pytest.raises(IncompatibleError, match=said):
        upscaler.upscale(photo)


def test_engines_that_read_positions_need_a_card_that_describes_them(tmp_path, photo):
    path = write_toy_bundle(tmp_path / "b", card=replace(CARD, positions=None))
    with Upscaler(path, use_cache=False) as upscaler, pytest.raises(IncompatibleError, match="positions"):
        upscaler.upscale(photo)


def test_positions_are_computed_once_and_only_for_engines_that_read_them(tmp_path, monkeypatch):
    computed = []
    formula = conditions_module.sine_cosine_positions

    def counted(grid, **table):
        computed.append(grid)
        return formula(grid, **table)

    monkeypatch.setattr(conditions_module, "sine_cosine_positions", counted)
    toy, plain = (
        Bundle.open(path)
        for path in (
            write_toy_bundle(tmp_path / "toy"),
            write_plain_bundle(tmp_path / "plain", styled=False),
        )
    )
    positions = GridPositions(NullBackend(), CARD, 8, 6)
    for bundle in (plain, toy):
        for component in ("prepare", "step"):
            asked = positions.asked_by(NullEngine(bundle.components[component]))
            assert set(asked) == ({"positions"} if bundle is toy else set())
    assert computed == [(4, 3)]


def test_an_embedding_is_read_by_the_names_of_its_files(tmp_path):
    bundle = Bundle.open(write_plain_bundle(tmp_path / "b", styled=True))
    for side, tensors in styles().items():
        assert bundle.embedding(side).keys() == {"style"}
        np.testing.assert_array_equal(bundle.embedding(side)["style"], tensors["style"])


@pytest.mark.parametrize(
    "path", ["embeddings/positive.npy", "embeddings/negative.style.npy", "positive.style.npy"]
)
def test_a_stored_prompt_under_another_name_is_refused(tmp_path, path):
    bundle = Bundle.open(write_plain_bundle(tmp_path / "b", styled=True))
    source = bundle.path / "embeddings" / "positive.style.npy"
    target = bundle.path / path
    target.write_bytes(source.read_bytes())
    document = json.loads((bundle.path / MANIFEST).read_text())
    document["embeddings"]["positive"][0]["path"] = path
    (bundle.path / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(IntegrityError, match="the stored prompt 'positive' is damaged"):
        Bundle.open(bundle.path).embedding("positive")


def test_a_prepare_that_reads_no_times_has_no_tensors_of_steps(tmp_path):
    bundle = Bundle.open(write_plain_bundle(tmp_path / "b", styled=False))
    engine = NullEngine(bundle.components["prepare"])
    engine.inputs = tuple(spec for spec in engine.inputs if spec.name != "timesteps")
    engine.outputs = (TensorSpec("low", "float32", ("rows", CHANNELS, "h", "w")),)
    low, schedule = np.zeros((2, CHANNELS, 8, 8), np.float32), five_steps()
    backend = NullBackend()
    preparation = conditions_module.Preparation(
        engine,
        backend,
        Conditions(low, [{}, {}], schedule.timesteps),
        GridPositions(backend, PLAIN_CARD, 8, 8),
    )
    assert preparation.of_steps == set()
