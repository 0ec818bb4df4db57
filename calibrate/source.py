"""What a calibration starts from: a bundle in half precision, and photos."""

from __future__ import annotations

from dit4sr.calibrate.config import CalibrationConfig
from dit4sr.calibrate.graph.step_graph import STEP
from dit4sr.calibrate.observe.photos import Case, folder_cases, sample_cases, split
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.errors import BadInputError


def open_source(config: CalibrationConfig) -> Bundle:
    """Open the bundle to start from, and see that nothing is in the way of the output."""
    bundle = Bundle.open(config.bundle)
    if bundle.card.precision != "fp16":
        raise BadInputError(
            f"{config.bundle} is {bundle.card.precision}",
            expected="fp16, whose pictures are the standard",
            fix="export with --precision fp16",
        )
    if missing := {STEP, "prepare", "vae_encoder", "vae_decoder"} - bundle.components.keys():
        raise BadInputError(f"{config.bundle} lacks {min(missing)}", expected="a bundle that restores photos")
    output = config.output
    if output.exists() or output.is_symlink():
        if not (output / MANIFEST).is_file():
            raise BadInputError(f"{output} exists and is no bundle", fix="choose another --output")
        if output.resolve() == bundle.path.resolve():
            raise BadInputError(f"{output} is the bundle itself", fix="choose another --output")
        if not config.replace:
            raise BadInputError(f"{output} exists", fix="choose another --output, or replace it with --force")
    return bundle


def split_photos(config: CalibrationConfig, bundle: Bundle) -> tuple[list[Case], list[Case]]:
    """The photos to calibrate on, and those held out to evaluate on."""
    cases = folder_cases(config.images, bundle.card) if config.images else sample_cases(bundle.card)
    if config.held_out:
        return cases, folder_cases(config.held_out, bundle.card)
    return split(cases)
