"""A bundle that is open to answer requests, whoever brings them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.backends.choice import choose
from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.batch.faults import fault_of_picture
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.image.inputs import AnyPicture, photo_of
from dit4sr.runtime.image.photo import read_photo
from dit4sr.runtime.image.restored import Restored
from dit4sr.runtime.restoration import Progress
from dit4sr.runtime.serving.parameters import Parameters
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler

PICTURE_NAME = "the picture"


@dataclass(frozen=True)
class Wish:
    """What one request asks for: a picture, as levels or as the bytes of a file, and how to restore it."""

    picture: AnyPicture | bytes
    seed: int = 0
    prompt: str | None = None
    preset: str | None = None
    steps: int | None = None


class Service:
    """An upscaler with what a service has to know of it: whether its engine is well."""

    def __init__(self, bundle: Path, parameters: Parameters, *, device: str, threads: int) -> None:
        opened = Bundle.open(bundle, trust_engines=parameters.trust_engines)
        choice = choose(
            opened, parameters.backend, device=device, threads=threads, frugal=parameters.low_memory
        )
        self._upscaler = Upscaler(opened, backend=choice, keep_components=not parameters.low_memory)
        self._most_pixels = parameters.most_pixels
        self.engine: Backend = choice.backend
        self.notices = choice.notices
        """What whoever runs the service should hear."""
        self.is_well = True
        """False once the engine has failed in a way that the next picture would meet too."""

    @property
    def backend(self) -> str:
        """Backend and device, as in ``onnxruntime/cpu``."""
        return self._upscaler.backend

    def restore(
        self,
        wish: Wish,
        progress: Callable[[Progress], None] = lambda _: None,
        cancel: threading.Event | None = None,
    ) -> Restored:
        """Restore the picture of a request; what is wrong with it is one clear line, as in the command."""
        settings = Settings(preset=wish.preset, steps=wish.steps, most_pixels=self._most_pixels)
        picture = wish.picture
        if isinstance(picture, bytes):
            photo = read_photo(picture, PICTURE_NAME, most_pixels=self._most_pixels)
        else:
            photo = photo_of(picture, most_pixels=self._most_pixels)
        try:
            restored = self._upscaler.upscale(
                photo, prompt=wish.prompt, seed=wish.seed, settings=settings, progress=progress, cancel=cancel
            )
        except Exception as error:
            if fault_of_picture(error, PICTURE_NAME) is None:
                self.is_well = False
            raise
        self.is_well = True
        return restored

    def close(self) -> None:
        """Free the memory."""
        self._upscaler.close()
