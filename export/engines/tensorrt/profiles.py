"""Profiles: which sizes a plan is built for.

A fixed size compiles to the fastest plan, is recorded as one CUDA graph and runs in any number of contexts. A
free one serves pictures of every size, one at a time for each copy of its profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dit4sr.export.engines.sizes import parse_size
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.manifest import Component, ModelCard, SizeRange, TensorSpec

if TYPE_CHECKING:
    from dit4sr.export.engines.tensorrt.config import TensorRtConfig

VAE_GROWTH = 2
"""The runtime gives the VAE squares this many times as long as the network's, and all of no more area."""

MOST_STEPS = 100


@dataclass(frozen=True)
class Span:
    """Least, best and largest size."""

    least: int
    best: int
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.best <= self.most:
            raise BadInputError(f"sizes {self.least}, {self.best}, {self.most}", expected="an ascent from 1")

    @classmethod
    def at(cls, size: int) -> Span:
        """A fixed size."""
        return cls(size, size, size)

    @property
    def is_fixed(self) -> bool:
        """True if there is one size."""
        return self.least == self.most

    def times(self, other: Span) -> Span:
        """Sizes of a product."""
        return Span(self.least * other.least, self.best * other.best, self.most * other.most)

    def over(self, unit: int) -> Span:
        """Sizes in a larger unit."""
        if any(size % unit for size in (self.least, self.best, self.most)):
            raise BadInputError(
                f"a profile of {self.least}, {self.best}, {self.most}", expected=f"multiples of {unit}"
            )
        return Span(self.least // unit, self.best // unit, self.most // unit)


@dataclass(frozen=True)
class Profile:
    """One plan to be: every axis of its component, and a name for its file."""

    name: str
    sizes: Mapping[str, Span]

    def fixed(self, specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        """Inputs or outputs with the sizes it fixes."""
        return tuple(replace(spec, shape=tuple(self._fixed(axis) for axis in spec.shape)) for spec in specs)

    def shapes(self, spec: TensorSpec) -> tuple[tuple[int, ...], ...]:
        """An input's least, best and largest shape."""
        spans = [self.sizes[axis] if isinstance(axis, str) else Span.at(axis) for axis in spec.shape]
        least, best, most = zip(*((span.least, span.best, span.most) for span in spans), strict=True)
        return least, best, most

    def ranges(self, specs: tuple[TensorSpec, ...]) -> tuple[SizeRange, ...]:
        """The axes that stay free."""
        axes = sorted({axis for spec in self.fixed(specs) for axis in spec.shape if isinstance(axis, str)})
        spans = [(axis, self.sizes[axis]) for axis in axes]
        return tuple(SizeRange(axis, span.least, span.best, span.most) for axis, span in spans)

    def _fixed(self, axis: int | str) -> int | str:
        span = self.sizes.get(axis) if isinstance(axis, str) else None
        return span.best if span and span.is_fixed else axis


def picture_spans(text: str) -> tuple[Span, Span]:
    """Height and width of ``512x512``, or of a range as ``256:512x768:1024``; one number is a square.

    Of two sizes the larger is also the best: ``512:512x512`` is one size.
    """
    try:
        sizes = [parse_size(size) for size in text.split(":")]
    except ValueError:
        sizes = []
    match sizes:
        case [only]:
            sizes = [only, only, only]
        case [least, best]:
            sizes = [least, best, best]
        case [_, _, _]:
            pass
        case _:
            raise BadInputError(
                f"profile {text!r}", expected="HxW, or least:best:largest as 256x256:512x512:1024x1024"
            )
    heights, widths = zip(*sizes, strict=True)
    return Span(*heights), Span(*widths)


def profiles_of(
    card: ModelCard, name: str, components: Mapping[str, Component], config: TensorRtConfig
) -> list[Profile]:
    """A component's plans, as many as differ in what it sees: picture sizes, branches and tiles in a run."""
    axes = {axis for spec in components[name].inputs for axis in spec.shape if isinstance(axis, str)}
    profiles: dict[tuple[tuple[str, Span], ...], Profile] = {}
    for picture in _pictures(card, name, config):
        for images in config.images if name == "step" else (1,):
            for branches in config.branches:
                known = _sizes(card, picture, images, branches)
                known |= {"text": _text(card, name, components)}
                known |= {"steps": _steps(card, config)}
                known |= config.sizes
                if unknown := sorted(axes - known.keys()):
                    raise BadInputError(f"{name} has an axis {unknown[0]!r} of unknown size")
                sizes = {axis: known[axis] for axis in sorted(axes)}
                label = "-".join([*_size_label(axes, picture), *_row_label(axes, images, branches)])
                profiles.setdefault(tuple(sizes.items()), Profile(label, sizes))
    return list(profiles.values())


def _pictures(card: ModelCard, name: str, config: TensorRtConfig) -> Sequence[tuple[Span, Span]]:
    """The network's tiles; for the VAE, which sees more of a picture at once, all that it may meet.

    One range of sizes would do, but TensorRT lays out memory for its largest: four times as much as is used.
    """
    side = card.training_tile * card.vae_factor
    pictures = config.pictures or ((Span.at(side), Span.at(side)),)
    if not name.startswith("vae_"):
        return pictures
    largest = VAE_GROWTH * max(span.most for picture in pictures for span in picture)
    # The runtime brings every picture up to the training tile.
    short = Span(min(side, largest), min(side, largest), largest)
    long = Span(largest, largest, VAE_GROWTH * largest)
    return (short, short), (short, long), (long, short)


def _sizes(card: ModelCard, picture: tuple[Span, Span], images: int, branches: int) -> dict[str, Span]:
    """Axes by the names that the exporter gives them."""
    height, width = (side.over(card.vae_factor) for side in picture)
    return {
        "images": Span.at(images),
        "branches": Span.at(branches),
        "rows": Span.at(images * branches),
        "height": height,
        "width": width,
        "pixel_height": picture[0],
        "pixel_width": picture[1],
        "tokens": height.over(card.patch_size).times(width.over(card.patch_size)),
    }


def _steps(card: ModelCard, config: TensorRtConfig) -> Span:
    """`prepare` reads all times at once; it runs once for a picture, and need not be the fastest."""
    if config.steps:
        return Span.at(config.steps)
    return Span(1, card.default_steps, max(card.default_steps, MOST_STEPS))


def _text(card: ModelCard, name: str, components: Mapping[str, Component]) -> Span:
    """Tokens of a prompt. T5 reads those that the CLIPs, whose number is fixed, leave."""
    if not name.startswith("text_"):
        return Span.at(card.text_tokens)
    fixed = [
        axis
        for other, component in components.items()
        if other.startswith("text_")
        for axis in component.inputs[0].shape[1:]
        if isinstance(axis, int)
    ]
    return Span.at(max(1, card.text_tokens - max(fixed, default=0)))


def _size_label(axes: set[str], picture: tuple[Span, Span]) -> list[str]:
    if not axes & {"height", "width", "pixel_height", "pixel_width", "tokens"}:
        return []
    height, width = picture
    if height.is_fixed and width.is_fixed:
        return [f"{height.best}x{width.best}"]
    return [f"{height.least}x{width.least}-{height.most}x{width.most}"]


def _row_label(axes: set[str], images: int, branches: int) -> list[str]:
    if not axes & {"rows", "branches"}:
        return []
    rows = images * branches
    return [f"{rows}-rows" if rows > 1 else "1-row"]
