"""What image encoders see of the picture for each tile, as tensors that a network reads.

Some networks are prompted by the picture itself: by each tile, and by its surroundings. The manifest says
which crops those are, and which inputs of `prepare` the answers fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.contract import FIX
from dit4sr.runtime.backends.protocol import Backend, Context, Engine
from dit4sr.runtime.bundles.manifest import Manifest
from dit4sr.runtime.errors import IncompatibleError
from dit4sr.runtime.extremes import refuse_infinite
from dit4sr.runtime.image.photo import Picture, resized
from dit4sr.runtime.prompt.embedding import Embedding
from dit4sr.runtime.sampling.tiles import Tile, Tiling

Floats = NDArray[np.float32]
Answer = Mapping[str, Floats]
"""What an encoder makes of one crop: ``tokens`` ``[tokens, channels]`` and ``pooled`` ``[channels]``."""


class Sight:
    """Shows crops of a picture to a bundle's image encoders."""

    def __init__(self, manifest: Manifest, backend: Backend) -> None:
        self._encoders, self._views = manifest.image_encoders, manifest.views
        self._factor, self._backend = manifest.model.vae_factor, backend

    def prompts(
        self, picture: Picture, tiling: Tiling, lend: Callable[[str], AbstractContextManager[Engine]]
    ) -> dict[Tile, Embedding]:
        """Make the visual prompt of every tile; none where the network has no image encoders."""
        # In small pictures several tiles have the same surroundings: each crop is looked at once.
        crops = {crop_around(tile, view.reach, tiling): None for tile in tiling.tiles for view in self._views}
        answers: dict[Tile, list[Answer]] = {crop: [] for crop in crops}
        for name in self._encoders:
            with lend(name) as engine:
                context, side = engine.context(), _side(name, engine)
                for crop in crops:
                    answers[crop].append(self._look(name, context, self._shown(picture, crop, side)))
        seen = {crop: joined(parts) for crop, parts in answers.items()}
        return {tile: self._prompt(tile, tiling, seen) for tile in tiling.tiles} if self._encoders else {}

    def _prompt(self, tile: Tile, tiling: Tiling, seen: Mapping[Tile, Answer]) -> Embedding:
        prompt: dict[str, Floats] = {}
        for view in self._views:
            answer = seen[crop_around(tile, view.reach, tiling)]
            prompt[view.tokens] = answer["tokens"]
            if view.pooled:
                prompt[view.pooled] = answer["pooled"]
        return prompt

    def _shown(self, picture: Picture, crop: Tile, side: int) -> Floats:
        """A crop as an encoder is shown it: a square of its size, ``[1, 3, side, side]`` from -1 to 1."""
        pixels = crop.crop(picture.transpose(2, 0, 1), self._factor).transpose(1, 2, 0)
        square = resized(np.ascontiguousarray(pixels), (side, side)).transpose(2, 0, 1).astype(np.float32)
        square /= np.iinfo(picture.dtype).max / 2
        square -= 1
        return square[None]

    def _look(self, name: str, context: Context, square: Floats) -> Answer:
        results = context.run({"image": self._backend.upload(square)})
        answer = {key: self._backend.download(array)[0] for key, array in results.items()}
        refuse_infinite(name, answer)
        return answer


def crop_around(tile: Tile, reach: float, tiling: Tiling) -> Tile:
    """The crop around a tile whose sides are ``reach`` times the tile's, moved and cut to lie inside."""
    top, height = _span(tile.top, tile.height, reach, tiling.height)
    left, width = _span(tile.left, tile.width, reach, tiling.width)
    return Tile(top, left, height, width)


def joined(answers: Sequence[Answer]) -> Answer:
    """Join the answers of several encoders, side by side on the channels."""
    try:
        return {key: np.concatenate([each[key] for each in answers], axis=-1) for key in ("tokens", "pooled")}
    except (KeyError, ValueError) as error:
        raise IncompatibleError(
            f"the image encoders' outputs do not fit together ({error})",
            expected="tokens and pooled from each, and as many tokens",
            fix=FIX,
        ) from None


def _span(start: int, length: int, reach: float, whole: int) -> tuple[int, int]:
    """Start and length of a longer span about the same middle, inside of the whole."""
    longer = min(round(length * reach), whole)
    first = start - (longer - length) // 2
    return min(max(first, 0), whole - longer), longer


def _side(name: str, engine: Engine) -> int:
    """The side of the squares that an encoder is shown."""
    shapes = {spec.name: spec.shape for spec in engine.inputs}
    side = shapes.get("image", ())[-1:]
    if len(shapes) != 1 or shapes.get("image", ())[1:] != (3, *side, *side) or type(side[0]) is not int:
        raise IncompatibleError(f"{name} reads {shapes}", expected="image [images, 3, side, side]", fix=FIX)
    return side[0]
