"""Does the model card describe the components that stand beside it? Asked before any of them is opened.

The runtime makes every array by the card: the latent's channels, the VAE's factor, the positions' width. A
card of another network would be noticed in the middle of a run at best.
"""

from __future__ import annotations

from collections.abc import Sequence

from dit4sr.runtime.backends.contract import FIX, FREE, Contract, shown
from dit4sr.runtime.bundles.manifest import Component, LighterStep, Manifest, ModelCard
from dit4sr.runtime.errors import IncompatibleError

Shape = tuple[int | str, ...]

NEEDED = {
    "vae_encoder": ({"image"}, {"moments"}),
    "vae_decoder": ({"latent"}, {"image"}),
    "step": ({"latent", "guidance"}, {"next_latent", "velocity"}),
}
"""Inputs and outputs that the runtime calls by their names."""
TEXT: dict[str, Shape] = {"text": (FREE, FREE, FREE), "pooled": (FREE, FREE)}
"""What text encoders make of prompts; how wide it is, they say."""
SEEN = ({"image"}, {"tokens", "pooled"})
"""What image encoders are shown, and what they make of it."""
LATENTS = ((6, 10), (8, 8))
"""Sizes of a latent for which the VAE's arithmetic is tried."""


def check_card(manifest: Manifest) -> None:
    """Refuse a bundle whose model card and components are not of one network."""
    card = manifest.model
    if card.positions and card.training_tile > (side := card.positions.table_size * card.patch_size):
        raise IncompatibleError(
            f"the model card's training_tile is {card.training_tile}",
            expected=f"at most {side}, the side of its positions' table",
            fix=FIX,
        )
    described = _described(card)
    lighter = manifest.lighter_step
    kinds = {name: name for name in described} | ({lighter.component: "step"} if lighter else {})
    for name, kind in kinds.items():
        if name in manifest.components:
            component = manifest.components[name]
            _check_names(name, component, NEEDED.get(kind, ()))
            _check_shapes(name, component, described[kind])
            if name.startswith("vae_"):
                _check_sizes(name, component, card)
    _check_wires(manifest)
    if lighter:
        _check_switch(manifest, lighter)
    for name in manifest.text_encoders:
        _check_shapes(name, manifest.components[name], TEXT)
    for name in manifest.image_encoders:
        _check_names(name, manifest.components[name], SEEN)
    _check_views(manifest)


def _described(card: ModelCard) -> dict[str, dict[str, Shape]]:
    """What the card says of the tensors that the runtime makes or reads."""
    latent: Shape = (FREE, card.latent_channels, FREE, FREE)
    picture: Shape = (FREE, 3, FREE, FREE)
    both: dict[str, Shape] = {} if card.positions is None else {"positions": (FREE, card.positions.width)}
    return {
        "vae_encoder": {"image": picture, "moments": (FREE, 2 * card.latent_channels, FREE, FREE)},
        "vae_decoder": {"latent": latent, "image": picture},
        "prepare": {
            "condition": latent,
            "timesteps": (FREE,),
            "text": (FREE, FREE, card.text_channels),
            "pooled": (FREE, card.pooled_channels),
            **both,
        },
        "step": {
            **dict.fromkeys(("latent", "previous_velocity", "next_latent", "velocity"), latent),
            "guidance": (FREE,),
            "coefficients": (3,),
            **both,
        },
    }


def _check_names(name: str, component: Component, both: Sequence[set[str]]) -> None:
    for needed, specs in zip(both, (component.inputs, component.outputs), strict=False):
        names = {spec.name for spec in specs}
        # `step` takes what it lists of all that the loop has; the VAE is given one tensor, and asked for one.
        if not needed <= names or (name.startswith("vae_") and names != needed):
            raise IncompatibleError(
                f"{name} has the tensors {', '.join(sorted(names)) or 'of nobody'}",
                expected=", ".join(sorted(needed)),
                fix=FIX,
            )


def _check_shapes(name: str, component: Component, described: dict[str, Shape]) -> None:
    for spec in (*component.inputs, *component.outputs):
        wanted = described.get(spec.name, spec.shape)
        same_rank = len(wanted) == len(spec.shape)
        if not same_rank or any(a not in {FREE, b} for a, b in zip(wanted, spec.shape, strict=True)):
            raise IncompatibleError(
                f"{name} has {spec.name} as {shown(spec.shape)}",
                expected=f"{shown(wanted)}, by the model card",
                fix=FIX,
            )


def _check_views(manifest: Manifest) -> None:
    """Refuse views whose answers nobody reads."""
    read = manifest.components["prepare"].inputs if "prepare" in manifest.components else ()
    idle = sorted(manifest.seen_inputs.difference(spec.name for spec in read))
    if idle and read:
        raise IncompatibleError(
            f"image encoders fill {idle[0]!r}, which prepare does not read",
            expected=f"some of {', '.join(spec.name for spec in read)}",
            fix=FIX,
        )


def _check_wires(manifest: Manifest) -> None:
    """Hold the types of what `prepare` makes against what `step` reads by the same names."""
    made = manifest.components["prepare"].outputs if "prepare" in manifest.components else ()
    read = manifest.components["step"].inputs if "step" in manifest.components else ()
    wanted = {spec.name: spec.dtype for spec in read}
    for spec in made:
        if spec.dtype != wanted.get(spec.name, spec.dtype):
            raise IncompatibleError(
                f"prepare makes {spec.name} as {spec.dtype}",
                expected=f"{wanted[spec.name]}, as step reads it",
                fix=FIX,
            )


def _check_switch(manifest: Manifest, lighter: LighterStep) -> None:
    """Hold a lighter step against what it may stand for: it reads no more, and `prepare` says when."""
    step, prepare = (manifest.components.get(name) for name in ("step", "prepare"))
    made = {spec.name: spec for spec in prepare.outputs} if prepare else {}
    times = next((spec for spec in prepare.inputs if spec.name == "timesteps"), None) if prepare else None
    switch = made.get(lighter.where_zero)
    if switch is None or times is None or switch.shape[:1] != times.shape:
        raise IncompatibleError(
            f"{lighter.component} asks for {lighter.where_zero!r}",
            expected="an output of prepare, with a row for every step",
            fix=FIX,
        )
    read = set(manifest.components[lighter.component].inputs)
    if step is None or not read <= set(step.inputs):
        raise IncompatibleError(
            f"{lighter.component} reads what step does not", expected="no other tensors than step's", fix=FIX
        )


def _check_sizes(name: str, component: Component, card: ModelCard) -> None:
    """Hold what the VAE makes of some sizes against the card's factor; those that are fixed stay."""
    [spec] = component.inputs
    factor, contract = card.vae_factor, Contract(name, component)
    encodes = name == "vae_encoder"
    for latent in LATENTS:
        asked = (1, 0, *(side * factor if encodes else side for side in latent))
        given = tuple(
            axis if isinstance(axis, int) else size for axis, size in zip(spec.shape, asked, strict=True)
        )
        images, _, height, width = given
        if encodes:
            expected = (images, 2 * card.latent_channels, height // factor, width // factor)
        else:
            expected = (images, 3, height * factor, width * factor)
        [found] = contract.shapes({spec.name: given}).values()
        if found != expected:
            raise IncompatibleError(
                f"{name} makes {shown(found)} of {shown(given)}",
                expected=f"{shown(expected)}, by the model card's vae_factor of {factor}",
                fix=FIX,
            )
