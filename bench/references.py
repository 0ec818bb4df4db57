"""Published figures as data, and the three figures that every report states.

The source is the complexity table of DiT4SR's supplement (ICCV 2025). It does not say whether captioning,
text encoding and VAE are inside the timer, nor which precision was used.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of Table 2 of DiT4SR's supplement."""

    method: str
    base: str
    parameters: float
    """Parameters in millions."""
    steps: int
    seconds: float
    system: str = ""
    """The architecture's name here, where it can be exported."""


TABLE_2 = (
    Published("ResShift", "own diffusion", 16.7, 15, 0.79),
    Published("StableSR", "SD2", 1409.1, 200, 13.18),
    Published("SeeSR", "SD2", 2283.7, 50, 5.14),
    Published("DiffBIR", "SD2", 1716.7, 50, 4.12),
    Published("SUPIR", "SDXL", 4801.2, 50, 11.85),
    Published("SD3-ControlNet", "SD3.5-Medium", 3504.4, 40, 4.35, "sd3-controlnet"),
    Published("DiT4SR", "SD3.5-Medium", 2716.8, 40, 5.61, "dit4sr"),
)
CONDITIONS = (
    "one NVIDIA A100 80 GB, 128×128 to 512×512; whether captioning, text encoding and VAE are inside the "
    "timer, and the precision, are not stated"
)
PEAKS = {
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
"""Dense FP16 FLOP/s of the data sheets, by a part of the device's name; the longer names come first."""

REFERENCE_SECONDS = 5.61
REFERENCE_PEAK = PEAKS["A100"]
REFERENCE_LATENT = (64, 64)
REFERENCE_STEPS = 40
FULL_SIZE_FLOPS = 300e12
"""A picture takes the full-size network 375.5 TFLOP after simplification; no smaller one comes near."""


@dataclass(frozen=True)
class ThreeFigures:
    """Seconds, share of the device's peak, and the hardware-normalised speed-up over the reference."""

    seconds: float
    share_of_peak: float
    speed_up: float
    """The speed-up of seconds alone, in which the worth of another card is contained."""
    normalised_speed_up: float


def three_figures(seconds: float, flops: float, peak: float) -> ThreeFigures:
    """DESIGN's three figures for a picture of ``flops`` on a device of ``peak`` FLOP/s."""
    return ThreeFigures(
        seconds,
        flops / seconds / peak,
        REFERENCE_SECONDS / seconds,
        REFERENCE_SECONDS * REFERENCE_PEAK / (seconds * peak),
    )


def is_comparable(flops: float | None, latent: tuple[int, ...], steps: int) -> bool:
    """True if a picture is the one of the published figure: full size, 512×512, 40 steps."""
    is_that_picture = tuple(latent) == REFERENCE_LATENT and steps == REFERENCE_STEPS
    return is_that_picture and flops is not None and flops >= FULL_SIZE_FLOPS


def peak_of(device: str) -> float | None:
    """The data sheet's dense FP16 rate of a device, if it is known here."""
    return next((peak for name, peak in PEAKS.items() if name in device), None)
