"""Pictures in, pictures out: the library's front door."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.choice import Choice, choose
from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.backends.protocol import Backend, Engine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, ModelCard
from dit4sr.runtime.components import Components
from dit4sr.runtime.console.status import ShowStatus, show_nothing
from dit4sr.runtime.errors import BadInputError, IncompatibleError, OutOfMemoryError
from dit4sr.runtime.files.reading import sha256_of
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.image.vae import PictureCoder, posterior, scaled
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.prompt.embedding import Embedding, EmbeddingCache
from dit4sr.runtime.prompt.text_encoder import TextEncoder
from dit4sr.runtime.sampling.conditions import Conditions, reads_prompts
from dit4sr.runtime.sampling.noise import Stream
from dit4sr.runtime.sampling.sampler import Sampler, WholeSampler
from dit4sr.runtime.sampling.tiled_sampler import TiledSampler
from dit4sr.runtime.settings import Settings, TileSizes

if TYPE_CHECKING:
    from dit4sr.runtime.costs.estimate import Estimator

Floats = NDArray[np.float32]


class CancelledError(Exception):
    """The caller asked to stop: no failure, so none of the errors that have an exit code."""


@dataclass(frozen=True)
class Progress:
    """How far a picture is, counted in runs of an engine; `prepare`'s are not counted."""

    stage: str
    done: int
    total: int
    plan: Plan


@dataclass(frozen=True)
class Restored:
    """A restored picture, with its seed, the seconds of each stage, and what is to be said of it."""

    picture: Picture
    seed: int
    seconds: dict[str, float]
    warnings: tuple[str, ...] = ()


@dataclass
class _Restoration:
    """One picture on its way to being restored: what was asked for, and how far it is."""

    settings: Settings
    sizes: TileSizes
    seed: int
    prompt: str | None
    negative: str | None
    geometry: Geometry
    plan: Plan
    progress: Callable[[Progress], None]
    status: ShowStatus
    cancel: threading.Event | None
    seconds: dict[str, float] = field(default_factory=dict)
    stage: str = ""
    done: int = 0

    def tick(self) -> None:
        """Count one run of an engine; stop if asked to."""
        if self.cancel is not None and self.cancel.is_set():
            raise CancelledError("cancelled")
        self.done += 1
        self.progress(Progress(self.stage, self.done, self.plan.counted, self.plan))

    @contextmanager
    def timed(self, stage: str, begins_by: str = "") -> Iterator[None]:
        """Add a block's duration to the seconds of a stage; what it begins by doing is told."""
        self.stage, start = stage, time.perf_counter()
        self.status(begins_by or stage)
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


class Upscaler:
    """Restores pictures with a bundle. Safe to call from several threads; close it to free everything."""

    def __init__(
        self,
        bundle: Bundle | Path | str,
        *,
        backend: str | Choice | Backend = AUTO,
        device: str = AUTO,
        threads: int = 0,
        keep_components: bool = True,
        frugal: bool = False,
        cache: Path | None = None,
        use_cache: bool = True,
        trust_engines: bool = False,
    ) -> None:
        """Open a bundle; components are loaded as they are needed.

        ``backend`` is a choice that was made, a backend that is open already, or a name to choose by; only
        with a name do ``device``, ``threads`` and ``frugal`` matter, for they say how it is opened.
        ``threads`` are those of one operator on a CPU, one a core by default; as many callers as cores
        restore more with one each. ``frugal`` leaves quantised weights in the bits they are stored in, where
        the backend can; steps are slower. ``keep_components=False`` drops each component when it is done,
        which fits the largest instead of all into memory. ``cache`` is the folder for prompt embeddings, by
        default in the user's cache. ``trust_engines`` lets the bundle's engines run although they were not
        built on this machine: they are code, so say it only of bundles from people you trust.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.bundle = replace(opened, trusts_engines=True) if trust_engines else opened
        if isinstance(backend, str):
            backend = choose(self.bundle, backend, device=device, threads=threads, frugal=frugal)
        choice = backend if isinstance(backend, Choice) else Choice(backend)
        self._backend = choice.backend
        self.reasons = tuple(choice.reasons())
        """Why better backends were passed over."""
        self.notices = choice.notices
        """Those of the reasons that a user should hear unasked."""
        self.digest = sha256_of(self.bundle.path / MANIFEST)
        """What identifies the bundle: its manifest names the digest of every other file."""
        self._components = Components(self.bundle, self._backend, keep=keep_components)
        folder = EmbeddingCache(cache) if cache else EmbeddingCache.default()
        self._text = TextEncoder(
            self.bundle, self._backend, self._components.use, folder if use_cache else None
        )

    @property
    def card(self) -> ModelCard:
        """What the bundle says of its network."""
        return self.bundle.card

    @property
    def backend(self) -> str:
        """Backend and device that run the bundle, as in ``onnxruntime/cpu``."""
        return f"{self._backend.name}/{self._backend.device}"

    @property
    def reads_words(self) -> bool:
        """True if the bundle can read prompts."""
        return self._text.reads_words

    def estimator(self, *, threads: int = 0) -> Estimator:
        """What estimates the pictures that this bundle and backend would restore, as they are opened here."""
        from dit4sr.runtime.costs.estimate import Estimator  # noqa: PLC0415 - only who asks needs it

        return Estimator(
            self.bundle, self._backend, threads=threads, keep_components=self._components.are_kept
        )

    def geometry(self, width: int, height: int, settings: Settings) -> Geometry:
        """Find the sizes that a picture will pass through; refuses one that is too large."""
        return Geometry.of(
            (width, height),
            scale=settings.scale,
            tile=self.card.training_tile * self.card.vae_factor,
            factor=self.card.vae_factor,
            most_pixels=settings.most_pixels,
        )

    def upscale(
        self,
        picture: NDArray[Any],
        *,
        prompt: str | None = None,
        negative: str | None = None,
        seed: int = 0,
        settings: Settings | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
        status: ShowStatus = show_nothing,
        cancel: threading.Event | None = None,
    ) -> Restored:
        """Restore ``[height, width, 3]`` or ``[height, width]`` bytes; the same inputs give the same bytes.

        ``prompt`` is a caption, cleaned and completed by the settings' wording. ``progress`` is called and
        ``cancel`` is looked at between runs of an engine; ``status`` is told which stage begins. If memory
        runs out, the picture is begun once more with tiles of half the side.
        """
        rgb = _as_rgb(picture)
        settings = settings or Settings()
        geometry = self.geometry(rgb.shape[1], rgb.shape[0], settings)
        sizes = TileSizes.of(settings, self.card)
        work = _Restoration(
            settings=settings,
            sizes=sizes,
            seed=_checked_seed(seed),
            prompt=prompt,
            negative=negative,
            geometry=geometry,
            plan=Plan.of(geometry, settings, self.card, sizes),
            progress=progress,
            status=status,
            cancel=cancel,
        )
        result, warnings = self._restore_within_memory(rgb, work)
        seconds = {stage: round(duration, 6) for stage, duration in work.seconds.items()}
        return Restored(result, seed, seconds, warnings)

    def close(self) -> None:
        """Free the components; calls that are under way end in peace."""
        self._components.close()

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _restore_within_memory(self, rgb: Picture, work: _Restoration) -> tuple[Picture, tuple[str, ...]]:
        """Restore a picture, with tiles of half the side if memory runs out; and say if it did."""
        outcome, smaller = self._attempt(rgb, work), work.sizes.halved(self.card)
        warnings: tuple[str, ...] = ()
        if isinstance(outcome, OutOfMemoryError) and smaller is not None:
            pixels = [size.tile * self.card.vae_factor for size in (work.sizes, smaller)]
            warnings = (f"memory ran out with tiles of {pixels[0]} pixels: took {pixels[1]}",)
            work.sizes, work.done = smaller, 0
            work.plan = replace(Plan.of(work.geometry, work.settings, self.card, smaller), tile_batch=1)
            # Engines of fixed sizes take no smaller tiles: then it is the first outcome that counts.
            with suppress(IncompatibleError):
                outcome = self._attempt(rgb, work)
        if isinstance(outcome, OutOfMemoryError):
            raise outcome
        return outcome, warnings

    def _attempt(self, rgb: Picture, work: _Restoration) -> Picture | OutOfMemoryError:
        """Return the picture, or the error that memory ran out, without the trace that would hold it."""
        try:
            return self._restore(rgb, work)
        except OutOfMemoryError as error:
            return OutOfMemoryError(error.found, expected=error.expected, fix=error.fix)
        except MemoryError:
            return OutOfMemoryError("out of memory", fix="use a smaller --tile, or close other programs")

    def _restore(self, rgb: Picture, work: _Restoration) -> Picture:
        card, settings, plan = self.card, work.settings, work.plan
        enlarged = work.geometry.enlarge(rgb)
        height, width = (side // card.vae_factor for side in enlarged.shape[:2])
        schedule = plan.schedule
        coder = PictureCoder(self._backend, card, work.tick)
        stream = settings.rng.stream(work.seed)

        with work.timed("text"):
            prompts = self._prompts(work, schedule.branches)
        with self._engine("vae_encoder", work) as engine:
            moments = coder.encode(engine.context(), enlarged, plan.vae_tiling)
        # The order of the draws is the released one: the starting noise, then one posterior per branch.
        noise = stream.normal([1, card.latent_channels, height, width])[0]
        conditions = Conditions(
            scaled(_condition(moments, stream, schedule.branches, settings), card),
            prompts,
            schedule.timesteps,
        )
        del moments
        sampler = self._sampler(plan, conditions)
        with self._engine("prepare", work) as engine:
            sampler.prepare(engine)
        with self._engine("step", work) as engine:
            latent = sampler.sample(engine, noise, work.tick)
        with self._engine("vae_decoder", work) as engine:
            picture = coder.decode(engine.context(), latent, plan.vae_tiling)
        with work.timed("colour"):
            picture = settings.colour.apply(picture, enlarged)
        return work.geometry.finish(picture)

    @contextmanager
    def _engine(self, name: str, work: _Restoration) -> Iterator[Engine]:
        """Lend the engine of a stage, and say so where that means minutes of opening it first."""
        is_open = self._components.has_open(name)
        with work.timed(name, "" if is_open else f"opening {name}"), self._components.use(name) as engine:
            if not is_open:
                work.status(name)
            yield engine

    def _sampler(self, plan: Plan, conditions: Conditions) -> Sampler:
        backend, card, schedule, tiling = self._backend, self.card, plan.schedule, plan.tiling
        if tiling.is_whole:
            return WholeSampler(backend, card, schedule, conditions)
        return TiledSampler(backend, card, schedule, conditions, tiling=tiling, batch=plan.tile_batch)

    def _prompts(self, work: _Restoration, branches: int) -> list[Embedding]:
        """Make the embeddings of the branches, negative before positive."""
        wording = work.settings.wording
        sides = [("positive", work.prompt, wording.positive(work.prompt or ""))]
        if branches == 2:
            sides.insert(0, ("negative", work.negative, work.negative or wording.negative))
        return [self._prompt(name, asked, words) for name, asked, words in sides]

    def _prompt(self, name: str, asked: str | None, words: str) -> Embedding:
        """Make the embedding of one branch: of its words, or the stored one where nobody asked for any."""
        if asked is None and not self._reads_prompts:
            return {}
        if asked is None and not self._text.reads_words:
            return self._text.stored(name)
        return self._text.encode(words)

    @property
    def _reads_prompts(self) -> bool:
        prepare = self.bundle.components.get("prepare")
        return prepare is not None and reads_prompts(prepare)


def _condition(moments: Floats, stream: Stream, branches: int, settings: Settings) -> Floats:
    """Draw the low-resolution latent of each branch."""
    if not settings.sample_posterior:
        return np.repeat(posterior(moments, None), branches, axis=0)
    channels, height, width = moments.shape
    return posterior(moments, stream.normal([branches, channels // 2, height, width]))


def _as_rgb(picture: NDArray[Any]) -> Picture:
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = np.stack([picture] * 3, axis=-1)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise BadInputError(
            f"an array of {picture.dtype} with shape {picture.shape}",
            expected="bytes (uint8) of shape [height, width, 3] or [height, width]",
        )
    return picture


def _checked_seed(seed: int) -> int:
    if not 0 <= seed < 1 << 64:
        raise BadInputError(f"seed {seed}", expected="a whole number from 0 to 2⁶⁴-1")
    return seed
