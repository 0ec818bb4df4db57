"""An upscaler as C sees it: memory in, memory out. Every method answers; none raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.inputs import photo_of
from dit4sr.runtime.image.restored import Restored
from dit4sr.runtime.native.answers import answered
from dit4sr.runtime.native.log import LOG, WARNING
from dit4sr.runtime.native.tensors import capsule_with, lends_tensors, levels_of
from dit4sr.runtime.native.wishes import Wishes
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.restoration import CancelWhen, Progress
from dit4sr.runtime.settings import TileSizes
from dit4sr.runtime.upscaler import Upscaler

Form = tuple[int, int, int, int]
"""Width, height, channels and bits."""
View = tuple[memoryview, int, int, int, int, int]
"""The memory, its form, and the bytes from a row to the next."""
Tell = Callable[[str, int, int], None]
"""Takes the stage, and the runs that are done and that there are."""


@dataclass(frozen=True)
class NativePicture:
    """A restored picture as C copies it."""

    memory: NDArray[Any]
    form: Form


class NativeUpscaler:
    """An upscaler that takes and gives memory, and answers."""

    def __init__(self, upscaler: Upscaler, backend: Backend, threads: int) -> None:
        self._upscaler, self._backend, self._threads = upscaler, backend, threads

    @answered
    def close(self) -> None:
        """Free everything."""
        self._upscaler.close()

    @answered
    def card(self) -> tuple[str, str, str, int, int, float, int, int]:
        """What there is to know: the fields of ``dit4sr_card``."""
        card = self._upscaler.card
        return (
            card.name,
            self._upscaler.backend,
            self._upscaler.digest,
            card.training_tile * card.vae_factor,
            card.default_steps,
            card.default_guidance,
            int(self._upscaler.reads_words),
            int(lends_tensors(self._backend)),
        )

    @answered
    def output_size(self, request: Mapping[str, Any], width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture will have."""
        return self._final(Wishes.of(request), width, height)

    @answered
    def estimate(self, request: Mapping[str, Any], width: int, height: int) -> tuple[float, int, int]:
        """Seconds, bytes of memory, and whether the engines have run to tell."""
        wishes, card = Wishes.of(request), self._upscaler.card
        _require_sides(width, height)
        geometry = self._upscaler.geometry(width, height, wishes.settings)
        plan = Plan.of(geometry, wishes.settings, card, TileSizes.of(wishes.settings, card))
        found = self._upscaler.estimator(threads=self._threads).of(plan, geometry)
        seconds = -1.0 if found.total_seconds is None else found.total_seconds
        return seconds, found.memory_bytes, int(found.is_measured)

    @answered
    def upscale(
        self,
        view: View,
        wanted: Form | None,
        request: Mapping[str, Any],
        tell: Tell | None,
        is_cancelled: Callable[[], bool],
    ) -> NativePicture:
        """Restore what lies in memory; a form that is wanted is held against the one that it will have."""
        memory, width, height, channels, bits, stride = view
        wishes = Wishes.of(request)
        form = (*self._final(wishes, width, height), channels, bits)
        if wanted not in {None, form}:
            raise BadInputError(f"an output of {_said(wanted)}", expected=_said(form))
        size = bits // 8
        levels = np.ndarray(
            (height, width, channels),
            np.uint8 if bits == 8 else np.uint16,
            memory,
            strides=(stride, channels * size, size),
        )
        restored = self._restored(levels, wishes, tell, is_cancelled)
        return NativePicture(np.ascontiguousarray(restored.picture), form)

    @answered
    def upscale_tensor(
        self,
        capsule: object,
        stream: int,
        request: Mapping[str, Any],
        tell: Tell | None,
        is_cancelled: Callable[[], bool],
    ) -> object:
        """Restore a tensor of DLPack to another one on the same side."""
        wishes, levels = Wishes.of(request), levels_of(self._backend, capsule, stream)
        if levels.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
            raise BadInputError(f"a tensor of {levels.dtype}", expected="uint8 or uint16")
        restored = self._restored(levels, wishes, tell, is_cancelled)
        picture = np.ascontiguousarray(restored.picture).reshape(
            restored.picture.shape[:2] + levels.shape[2:]
        )
        return capsule_with(self._backend, picture, capsule, stream)

    def _restored(
        self,
        levels: NDArray[Any],
        wishes: Wishes,
        tell: Tell | None,
        is_cancelled: Callable[[], bool],
    ) -> Restored:
        def progress(state: Progress) -> None:
            if tell is not None:
                tell(state.stage, state.done, state.total)

        restored = self._upscaler.upscale(
            photo_of(levels, most_pixels=wishes.settings.most_pixels),
            prompt=wishes.prompt,
            negative=wishes.negative,
            seed=wishes.seed,
            settings=wishes.settings,
            progress=progress,
            cancel=CancelWhen(is_cancelled),
        )
        LOG.tell(WARNING, restored.warnings)
        return restored

    def _final(self, wishes: Wishes, width: int, height: int) -> tuple[int, int]:
        _require_sides(width, height)
        return self._upscaler.geometry(width, height, wishes.settings).final


def _require_sides(width: int, height: int) -> None:
    if not width or not height:
        raise BadInputError(f"a picture of {width}×{height}", expected="one pixel at least")


def _said(form: Form | None) -> str:
    assert form is not None
    width, height, channels, bits = form
    return f"{width}×{height}, {channels} channels of {bits} bits"
