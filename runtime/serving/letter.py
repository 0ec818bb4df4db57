"""A request as Triton hands it over: what it asks for, and the tensors that answer it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dit4sr.runtime.backends.protocol import Backend
from dit4sr.runtime.errors import BadInputError, IncompatibleError
from dit4sr.runtime.image.inputs import AnyPicture
from dit4sr.runtime.image.restored import Restored
from dit4sr.runtime.image.writing import write_photo
from dit4sr.runtime.native.tensors import capsule_with, lends_tensors, levels_of
from dit4sr.runtime.serving.service import Wish
from dit4sr.runtime.serving.tensors import FILE, PICTURE, PNG, PRESET, PROMPT, SECONDS, SEED, STEPS, WARNINGS

ONLY_THE_FILE_HAS = "transparency is in the output file only"


class Letter:
    """One request, and what it takes to read it."""

    def __init__(self, utils: Any, engine: Backend, request: Any) -> None:
        """Take Triton's ``triton_python_backend_utils``, and the backend whose memory may be shared."""
        self._utils, self._engine, self._request = utils, engine, request
        self._lent = self._input(PICTURE.name)

    def wish(self) -> Wish:
        """What it asks for; one clear line where it cannot be read."""
        return Wish(
            picture=self._picture(),
            seed=self._number(SEED.name) or 0,
            prompt=self._text(PROMPT.name),
            preset=self._text(PRESET.name),
            steps=self._number(STEPS.name),
        )

    def answered_with(self, restored: Restored) -> list[Any]:
        """The tensors that the client asked for."""
        tensor, wanted = self._utils.Tensor, self._request.requested_output_names()
        outputs, warnings = [], list(restored.warnings)
        if PICTURE.name in wanted:
            outputs.append(self._levels(restored))
            if restored.photo.alpha is not None:
                warnings.append(ONLY_THE_FILE_HAS)
        if PNG.name in wanted:
            content, _ = write_photo(restored.photo, "PNG")
            outputs.append(tensor(PNG.name, np.array([content], np.object_)))
        if WARNINGS.name in wanted:
            outputs.append(tensor(WARNINGS.name, np.array([line.encode() for line in warnings], np.object_)))
        if SECONDS.name in wanted:
            outputs.append(tensor(SECONDS.name, np.array([sum(restored.seconds.values())], np.float64)))
        return outputs

    def _levels(self, restored: Restored) -> Any:
        """The picture, on the side from which the client's came."""
        levels, tensor = np.ascontiguousarray(restored.photo.in_eight_bits().rgb), self._utils.Tensor
        if self._lent is None or self._lent.is_cpu():
            return tensor(PICTURE.name, levels)
        capsule = capsule_with(self._engine, levels, self._lent.to_dlpack(), 0)
        return tensor.from_dlpack(PICTURE.name, capsule)

    def _picture(self) -> AnyPicture | bytes:
        lent, content = self._lent, self._bytes(FILE.name)
        if (lent is None) == (content is None):
            found = "neither" if lent is None else "both"
            raise BadInputError(f"{found} of the inputs picture and file", expected="one of them")
        if content is not None:
            return content
        if lent.is_cpu():
            levels: AnyPicture = lent.as_numpy()
            return levels
        if not lends_tensors(self._engine):
            raise IncompatibleError(
                f"a picture in CUDA memory, which {self._engine.name} does not take",
                fix='set FORCE_CPU_ONLY_INPUT_TENSORS to "yes" in config.pbtxt, and Triton copies it',
            )
        return levels_of(self._engine, lent.to_dlpack(), 0)

    def _input(self, name: str) -> Any:
        return self._utils.get_input_tensor_by_name(self._request, name)

    def _number(self, name: str) -> int | None:
        tensor = self._input(name)
        return None if tensor is None else int(tensor.as_numpy()[0])

    def _bytes(self, name: str) -> bytes | None:
        tensor = self._input(name)
        return None if tensor is None else bytes(tensor.as_numpy()[0])

    def _text(self, name: str) -> str | None:
        content = self._bytes(name)
        if content is None:
            return None
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise BadInputError(f"{name} {content[:40]!r} is not UTF-8") from None
