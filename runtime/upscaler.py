"""Pictures in, pictures out: the library's front door."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.card_fit import check_card
from dit4sr.runtime.backends.choice import Choice, choose
from dit4sr.runtime.backends.compatibility import AUTO
from dit4sr.runtime.backends.protocol import Backend, Engine
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, ModelCard
from dit4sr.runtime.choices import check_names
from dit4sr.runtime.components import Components
from dit4sr.runtime.console.status import ShowStatus, show_nothing
from dit4sr.runtime.errors import BadInputError, IncompatibleError, OutOfMemoryError
from dit4sr.runtime.files.reading import sha256_of
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.image.inputs import AnyPicture, photo_of
from dit4sr.runtime.image.photo import Picture
from dit4sr.runtime.image.restored import Restored
from dit4sr.runtime.image.transparency import enlarged_alpha, spread_colours
from dit4sr.runtime.image.vae import PictureCoder, posterior, scaled
from dit4sr.runtime.noise.streams import Stream
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.prompt.embedding import Embedding, EmbeddingCache
from dit4sr.runtime.prompt.sight import Sight
from dit4sr.runtime.prompt.text_encoder import TextEncoder
from dit4sr.runtime.restoration import CancelledError, Progress, Restoration
from dit4sr.runtime.sampling.conditions import Conditions, reads_prompts
from dit4sr.runtime.sampling.lighter import Lighter
from dit4sr.runtime.sampling.sampler import Sampler, WholeSampler
from dit4sr.runtime.sampling.tiled_sampler import TiledSampler
from dit4sr.runtime.settings import Settings, TileSizes

if TYPE_CHECKING:
    from dit4sr.runtime.costs.estimate import Estimator

__all__ = ["CancelledError", "Progress", "Restored", "Upscaler"]

Floats = NDArray[np.float32]

_OF_ONE_PICTURE = ("prompt", "negative", "seed", "progress", "status", "cancel")
"""Keywords of a call that are no settings."""


class Upscaler:
    """Restores pictures with a bundle: call it with a path, a Pillow image, an array, or a list of these.

        with Upscaler() as upscaler:
            upscaler("photo.jpg", steps=20, solver="dpmpp-2m").save("restored.png")

    Safe to call from several threads; close it to free everything.
    """

    def __init__(
        self,
        bundle: Bundle | Path | str | None = None,
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
        """Open a bundle, or the model in the box; components are loaded as they are needed.

        ``backend`` is a choice that was made, a backend that is open already, or a name to choose by; only
        with a name do ``device``, ``threads`` and ``frugal`` matter, for they say how it is opened.
        ``threads`` are those of one operator on a CPU, one a core by default; as many callers as cores
        restore more with one each. ``frugal`` leaves quantised weights in the bits they are stored in, where
        the backend can; steps are slower. ``keep_components=False`` drops each component when it is done,
        which fits the largest instead of all into memory. ``cache`` is the folder for prompt embeddings, by
        default in the user's cache. ``trust_engines`` lets the bundle's engines run although they were not
        built on this machine: they are code, so say it only of bundles from people you trust.
        """
        bundle = tiny_bundle() if bundle is None else bundle
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.bundle = replace(opened, trusts_engines=True) if trust_engines else opened
        check_card(self.bundle.manifest)
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
        self._sight = Sight(self.bundle.manifest, self._backend)
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

    def embeddings(
        self, settings: Settings, branches: int, prompt: str | None = None, negative: str | None = None
    ) -> list[Embedding]:
        """Make what the network reads of the prompts, for each branch, negative before positive."""
        wording, rows = settings.wording, settings.text_tokens
        sides = [("positive", prompt, wording.positive(prompt or ""))]
        if branches == 2:
            sides.insert(0, ("negative", negative, negative or wording.negative))
        return [self._prompt(name, asked, words, rows) for name, asked, words in sides]

    def geometry(self, width: int, height: int, settings: Settings) -> Geometry:
        """Find the sizes that a picture will pass through; refuses one that is too large."""
        return Geometry.of(
            (width, height),
            scale=settings.scale,
            tile=self.card.training_tile * self.card.vae_factor,
            factor=self.card.vae_factor,
            most_pixels=settings.most_pixels,
        )

    @overload
    def __call__(
        self, picture: AnyPicture, *, settings: Settings | None = None, **choices: Any
    ) -> Restored: ...

    @overload
    def __call__(
        self, picture: Sequence[AnyPicture], *, settings: Settings | None = None, **choices: Any
    ) -> list[Restored]: ...

    def __call__(
        self, picture: Any, *, settings: Settings | None = None, **choices: Any
    ) -> Restored | list[Restored]:
        """Restore a picture, or each of a list, as ``upscale`` does.

        Keywords are those of ``upscale``, and the fields of ``Settings`` by name: ``steps=20``,
        ``solver="dpmpp-2m"``, ``scale=2``. All pictures of a list share them, the seed included.
        """
        names = [field.name for field in fields(Settings)]
        check_names(choices, [*_OF_ONE_PICTURE, *names], "keyword")
        chosen = {name: choices.pop(name) for name in names if name in choices}
        shared = {"settings": replace(settings or Settings(), **chosen), **choices}
        if isinstance(picture, (list, tuple)):
            return [self.upscale(each, **shared) for each in picture]
        return self.upscale(picture, **shared)

    def upscale(
        self,
        picture: AnyPicture,
        *,
        prompt: str | None = None,
        negative: str | None = None,
        seed: int = 0,
        settings: Settings | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
        status: ShowStatus = show_nothing,
        cancel: threading.Event | None = None,
    ) -> Restored:
        """Restore one picture; the same inputs give the same bytes.

        It may be a path, a Pillow image (orientation, colour profile and EXIF count) or an array of
        ``[height, width]`` or ``[height, width, channels]``: bytes, 16 bits, bool, or floats from 0 to 1.
        Grey stays grey, transparency stays, and more than 8 bits become 16.

        ``prompt`` is a caption, cleaned and completed by the settings' wording. ``progress`` is called and
        ``cancel`` is looked at between runs of an engine; ``status`` is told which stage begins. If memory
        runs out, the picture is begun once more with tiles of half the side.
        """
        settings = settings or Settings()
        photo = photo_of(picture, most_pixels=settings.most_pixels)
        geometry, sizes = self.geometry(*photo.size, settings), TileSizes.of(settings, self.card)
        work = Restoration(
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
        seen, alpha = photo.rgb, photo.alpha
        if alpha is not None:
            seen, alpha = spread_colours(seen, alpha), enlarged_alpha(alpha, work.geometry.final)
        rgb, warnings = self._restore_within_memory(seen, work)
        seconds = {stage: round(duration, 6) for stage, duration in work.seconds.items()}
        restored = replace(photo, rgb=rgb, alpha=alpha)
        return Restored(restored, seed, seconds, (*photo.warnings, *warnings))

    def close(self) -> None:
        """Free the components; calls that are under way end in peace."""
        self._components.close()

    def __enter__(self) -> Upscaler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _restore_within_memory(self, rgb: Picture, work: Restoration) -> tuple[Picture, tuple[str, ...]]:
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

    def _attempt(self, rgb: Picture, work: Restoration) -> Picture | OutOfMemoryError:
        """Return the picture, or the error that memory ran out, without the trace that would hold it."""
        try:
            return self._restore(rgb, work)
        except OutOfMemoryError as error:
            return OutOfMemoryError(error.found, expected=error.expected, fix=error.fix)
        except MemoryError:
            return OutOfMemoryError("out of memory", fix="use a smaller --tile, or close other programs")

    def _restore(self, rgb: Picture, work: Restoration) -> Picture:
        card, settings, plan = self.card, work.settings, work.plan
        enlarged = work.geometry.enlarge(rgb)
        height, width = (side // card.vae_factor for side in enlarged.shape[:2])
        schedule = plan.schedule
        is_flat = bool((rgb == rgb[0, 0]).all())
        coder = PictureCoder(self._backend, card, work.tick, is_flat=is_flat)
        stream = settings.rng.stream(work.seed)

        with work.timed("text"):
            prompts = self.embeddings(settings, schedule.branches, work.prompt, work.negative)
        seen = self._sight.prompts(enlarged, plan.tiling, lambda name: self._engine(name, work))
        with self._engine("vae_encoder", work) as engine:
            moments = coder.encode(engine.context(), enlarged, plan.vae_tiling)
        # The order of the draws is the released one: the starting noise, then one posterior per branch.
        noise = stream.normal([1, card.latent_channels, height, width])[0]
        conditions = Conditions(
            scaled(_condition(moments, stream, schedule.branches, settings), card),
            prompts,
            schedule.timesteps,
            seen,
        )
        del moments
        sampler = self._sampler(plan, conditions)
        with self._engine("prepare", work) as engine:
            sampler.prepare(engine)
        with self._engine("step", work) as engine, self._lighter_step() as lighter:
            latent = sampler.sample(engine, noise, work.tick, lighter)
        depth = settings.colour.depth(enlarged, cuts_off=settings.cuts_off)
        with self._engine("vae_decoder", work) as engine:
            picture = coder.decode(engine.context(), latent, plan.vae_tiling, depth)
        with work.timed("colour"):
            picture = settings.colour.apply(picture, enlarged, cuts_off=settings.cuts_off)
        return work.geometry.finish(picture)

    @contextmanager
    def _engine(self, name: str, work: Restoration) -> Iterator[Engine]:
        """Lend the engine of a stage, and say so where that means minutes of opening it first."""
        is_open = self._components.has_open(name)
        with work.timed(name, "" if is_open else f"opening {name}"), self._components.use(name) as engine:
            if not is_open:
                work.status(name)
            yield engine

    @contextmanager
    def _lighter_step(self) -> Iterator[Lighter | None]:
        """Lend the engine for steps in which part of the network is not heard, where there is one."""
        stated = self.bundle.manifest.lighter_step
        if stated is None:
            yield None
            return
        with self._components.use(stated.component) as engine:
            yield Lighter(engine, stated.where_zero)

    def _sampler(self, plan: Plan, conditions: Conditions) -> Sampler:
        backend, card, schedule, tiling = self._backend, self.card, plan.schedule, plan.tiling
        if tiling.is_whole:
            return WholeSampler(backend, card, schedule, conditions)
        return TiledSampler(backend, card, schedule, conditions, tiling=tiling, batch=plan.tile_batch)

    def _prompt(self, name: str, asked: str | None, words: str, rows: int | None) -> Embedding:
        """Make the embedding of one branch: of its words, or the stored one where nobody asked for any."""
        if asked is None and not self._reads_prompts:
            return {}
        if asked is None and not self._text.reads_words:
            return self._text.stored(name, rows)
        return self._text.encode(words, rows)

    @property
    def _reads_prompts(self) -> bool:
        prepare = self.bundle.components.get("prepare")
        return prepare is not None and reads_prompts(prepare, self.bundle.manifest.seen_inputs)


def _condition(moments: Floats, stream: Stream, branches: int, settings: Settings) -> Floats:
    """Draw the low-resolution latent of each branch."""
    if not settings.sample_posterior:
        return np.repeat(posterior(moments, None), branches, axis=0)
    channels, height, width = moments.shape
    return posterior(moments, stream.normal([branches, channels // 2, height, width]))


def _checked_seed(seed: Any) -> int:
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 1 << 64:
        raise BadInputError(f"seed {seed}", expected="a whole number from 0 to 2⁶⁴-1")
    return int(seed)
