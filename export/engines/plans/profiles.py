"""Profiles: which sizes a plan is built for.

A fixed size compiles to the fastest plan, is recorded as one CUDA graph and runs in any number of contexts. A
free one serves pictures of every size, one at a time for each copy of its profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dit4sr.export.engines.plans.config import PlanConfig
from dit4sr.export.engines.plans.spans import Span
from dit4sr.runtime.axes import axis_sizes, latent_size
from dit4sr.runtime.bundles.manifest import Component, ModelCard, SizeRange, TensorSpec
from dit4sr.runtime.errors import BadInputError

VAE_GROWTH = 2
"""The runtime gives the VAE squares this many times as long as the network's, and all of no more area."""

MOST_STEPS = 100


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
        least, best, most = zip(*spans, strict=True)
        return least, best, most

    def ranges(self, specs: tuple[TensorSpec, ...]) -> tuple[SizeRange, ...]:
        """The axes that stay free."""
        axes = sorted({axis for spec in self.fixed(specs) for axis in spec.shape if isinstance(axis, str)})
        spans = [(axis, self.sizes[axis]) for axis in axes]
        return tuple(SizeRange(axis, span.least, span.best, span.most) for axis, span in spans)

    def at_best(self) -> Profile:
        """The same with every size fixed to the one it is best at."""
        return Profile(self.name, {axis: Span.at(span.best) for axis, span in self.sizes.items()})

    def _fixed(self, axis: int | str) -> int | str:
        span = self.sizes.get(axis) if isinstance(axis, str) else None
        return span.best if span and span.is_fixed else axis


def profiles_of(
    card: ModelCard, name: str, components: Mapping[str, Component], config: PlanConfig
) -> list[Profile]:
    """A component's plans, as many as differ in what it sees: picture sizes, branches and tiles in a run."""
    axes = {axis for spec in components[name].inputs for axis in spec.shape if isinstance(axis, str)}
    rows_of_text = config.text_tokens or card.text_tokens
    text, steps = _text(rows_of_text, name, components), _steps(card, config)
    profiles: dict[tuple[tuple[str, Span], ...], Profile] = {}
    for picture in _pictures(card, name, config):
        for images in config.images if {"images", "branches"} <= axes else (1,):
            for branches in config.branches:
                spans = _spans(card, picture, images=images, branches=branches, text=text, steps=steps)
                known = {**spans, **config.sizes}
                if unknown := sorted(axes - known.keys()):
                    raise BadInputError(f"{name} has an axis {unknown[0]!r} of unknown size")
                sizes = {axis: known[axis] for axis in sorted(axes)}
                words = [f"{config.text_tokens}-tokens"] if config.text_tokens and "text" in axes else []
                label = "-".join([*_size_label(axes, picture), *_row_label(axes, images, branches), *words])
                profiles.setdefault(tuple(sizes.items()), Profile(label, sizes))
    return list(profiles.values())


def _pictures(card: ModelCard, name: str, config: PlanConfig) -> Sequence[tuple[Span, Span]]:
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


def _spans(
    card: ModelCard, picture: tuple[Span, Span], *, images: int, branches: int, text: Span, steps: Span
) -> dict[str, Span]:
    """Every axis that the exporter names, at the least, the best and the largest of what varies."""
    least_best_most = [
        axis_sizes(
            card,
            latent=latent_size(card, (height, width)),
            images=images,
            branches=branches,
            text=tokens,
            steps=times,
        )
        for height, width, tokens, times in zip(*picture, text, steps, strict=True)
    ]
    return {axis: Span(*(sizes[axis] for sizes in least_best_most)) for axis in least_best_most[0]}


def _steps(card: ModelCard, config: PlanConfig) -> Span:
    """`prepare` reads all times at once; it runs once for a picture, and need not be the fastest."""
    if config.steps:
        return Span.at(config.steps)
    return Span(1, card.default_steps, max(card.default_steps, MOST_STEPS))


def _text(rows: int, name: str, components: Mapping[str, Component]) -> Span:
    """Tokens of a prompt. T5 reads those that the CLIPs, whose number is fixed, leave."""
    if not name.startswith("text_"):
        return Span.at(max(1, rows))
    fixed = [
        axis
        for other, component in components.items()
        if other.startswith("text_")
        for axis in component.inputs[0].shape[1:]
        if isinstance(axis, int)
    ]
    return Span.at(max(1, rows - max(fixed, default=0)))


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
