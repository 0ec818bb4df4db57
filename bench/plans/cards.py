"""Cards as their data sheets have them: what they multiply and move in a second."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dit4sr.runtime.errors import BadInputError


@dataclass(frozen=True)
class Card:
    """One card; rates are dense, and of products that sum in FP32."""

    name: str
    architecture: int
    """Its compute capability, as in 89."""
    bandwidth: float
    """Bytes in a second."""
    float_rate: float
    """Floating-point operations in a second in FP32."""
    half_rate: float
    """The same in FP16 and BF16."""
    eight_bit_rate: float | None
    """The same in FP8; None where it has none."""
    source: str

    def rate(self, precision: str) -> float:
        """Floating-point operations in a second; eight bits are multiplied in half without their own."""
        if precision == "fp32":
            return self.float_rate
        return self.eight_bit_rate or self.half_rate if precision in {"fp8", "int8"} else self.half_rate


_TERA = 1e12
_SHEETS = (
    ("A100-40", 80, 1.555, 19.5, 312.0, None, "NVIDIA A100 data sheet"),
    ("A100-80", 80, 2.039, 19.5, 312.0, None, "NVIDIA A100 data sheet, SXM"),
    ("L4", 89, 0.300, 30.3, 121.0, 242.0, "NVIDIA L4 data sheet, without its sparsity"),
    ("L40S", 89, 0.864, 91.6, 362.0, 733.0, "NVIDIA L40S data sheet"),
    ("H100", 90, 3.350, 67.0, 989.0, 1979.0, "NVIDIA H100 data sheet, SXM"),
    ("H200", 90, 4.800, 67.0, 989.0, 1979.0, "NVIDIA H200 data sheet, SXM"),
    ("RTX 4090", 89, 1.008, 82.6, 165.2, 330.3, "NVIDIA Ada GPU architecture paper"),
    ("RTX 5090", 120, 1.792, 104.8, 209.5, 419.0, "NVIDIA RTX Blackwell GPU architecture paper"),
    ("RTX PRO 6000", 120, 1.792, 125.0, 503.8, 1007.6, "NVIDIA RTX PRO Blackwell GPU architecture paper"),
)
"""Name, capability, TB/s, and TFLOP/s in FP32, FP16 and FP8."""

_OTHER_CARDS = {"d", "laptop", "max", "nvl", "pcie"}
"""Words in the names of relatives that have other rates."""

CARDS = tuple(
    Card(name, capability, bandwidth * _TERA, fp32 * _TERA, fp16 * _TERA, fp8 and fp8 * _TERA, source)
    for name, capability, bandwidth, fp32, fp16, fp8, source in _SHEETS
)


def cards_named(names: Sequence[str]) -> tuple[Card, ...]:
    """The cards of some names, or all; case, spaces and dashes do not matter."""
    known = {_plain(card.name): card for card in CARDS}
    if unknown := [name for name in names if _plain(name) not in known]:
        raise BadInputError(
            f"no card {unknown[0]!r} here", expected=f"some of {', '.join(card.name for card in CARDS)}"
        )
    return tuple(known[_plain(name)] for name in names) or CARDS


def card_of_device(device: str) -> Card | None:
    """The card that a driver calls by a name, as ``NVIDIA L40S``; none where its data sheet is not here."""
    words = set(re.findall("[a-z0-9]+", device.lower().replace("gb", " ")))
    if words & _OTHER_CARDS:
        return None
    found = [card for card in CARDS if set(re.findall("[a-z0-9]+", card.name.lower())) <= words]
    return found[0] if found else None


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
