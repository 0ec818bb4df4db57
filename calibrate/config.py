"""Everything a user may choose about a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.calibrate.scales.formats import FORMATS, Format
from dit4sr.calibrate.scales.range_estimation import METHODS
from dit4sr.runtime.errors import BadInputError

FORMS = ("tensorrt", "onnxruntime")
"""TensorRT fuses E4M3 MatMuls only where the weight has one scale; ONNX Runtime takes one per output."""
PRECISIONS = ("fp8", "int8")


@dataclass(frozen=True)
class Recipe:
    """How the scales of a quantised bundle are chosen."""

    format: Format
    method: str = "amax"
    per_channel: bool = False
    smooth: bool = False
    first_step: int = 0
    """The first step whose activations the scales are to hold."""
    last_step: int | None = None
    """The step before which these end, as in a slice; ``None`` for all that follow."""
    switch_at: int | None = None
    """The first step for which a second set of scales holds; ``None`` for one set."""

    def __post_init__(self) -> None:
        if self.switch_at is not None and (self.smooth or self.switch_at < 1):
            raise BadInputError(
                f"two sets of scales from step {self.switch_at}",
                expected="a step from 1 on, and no smoothing, whose divisors are the same for all steps",
                fix="add --no-smooth",
            )
        if self.method not in METHODS:
            raise BadInputError(f"method {self.method!r}", expected=", ".join(METHODS))
        if self.smooth and self.method != "amax":
            raise BadInputError(
                f"smoothing with method {self.method}",
                expected="amax: of smoothed channels only the largest magnitudes are known",
                fix="add --no-smooth",
            )

    @property
    def steps(self) -> slice:
        """The steps whose activations the scales are to hold, as a slice."""
        return slice(self.first_step, self.last_step)

    @classmethod
    def default(
        cls,
        precision: str,
        form: str = FORMS[0],
        *,
        method: str = "amax",
        smooth: bool | None = None,
        switch_at: int | None = None,
    ) -> Recipe:
        """The recipe that suits a precision: without exponents, numbers want smoothing and channels."""
        if precision not in PRECISIONS or form not in FORMS:
            raise BadInputError(f"{precision} for {form}", expected=f"{PRECISIONS} for {FORMS}")
        if switch_at is not None and form != "onnxruntime":
            raise BadInputError(
                f"two sets of scales for {form}",
                expected="constant scales",
                fix="add --form onnxruntime",
            )
        is_int8 = precision == "int8"
        return cls(
            FORMATS[precision],
            method,
            per_channel=is_int8 or form == "onnxruntime",
            smooth=(is_int8 and method == "amax" and switch_at is None) if smooth is None else smooth,
            switch_at=switch_at,
        )


@dataclass(frozen=True)
class CalibrationConfig:
    """What to calibrate, on what, and what the result must be like."""

    bundle: Path
    output: Path
    recipe: Recipe
    images: Path | None = None
    """Folder of photos to calibrate on; ``None`` for the samples in the box."""
    held_out: Path | None = None
    """Folder of photos to evaluate on; ``None`` holds some of the others out."""
    statistics: Path | None = None
    """File that keeps what was observed; ``None`` puts it beside the output."""
    steps: int | None = None
    guidance: float | None = None
    seed: int = 0
    attention: bool = False
    """True to quantise the operands of attention as well."""
    sensitivity: bool = True
    """True to measure every MatMul alone, even if none has to be kept in half precision."""
    max_psnr_drop: float = 0.3
    """What the mean PSNR (RGB) against the truth may lose, in decibels."""
    min_psnr_rgb: float = 35.0
    """What the PSNR (RGB) between the pictures before and after must reach, in decibels."""
    replace: bool = False
    threads: int = 0
    command: str = "dit4sr-calibrate"

    @property
    def statistics_file(self) -> Path:
        """The file that keeps what was observed."""
        return self.statistics or self.output.with_name(f"{self.output.name}.calibration.npz")
