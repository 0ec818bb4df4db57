"""A stack of joint blocks, as a config states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dit4sr.export.architectures.sizes import MOST_LAYERS, check_sizes, shown


@dataclass(frozen=True)
class Stack:
    """A stack of joint blocks: how many, which have a second attention, and whether heads are normalised."""

    num_layers: int
    dual_attention_layers: tuple[int, ...] = ()
    qk_norm: bool = True

    def __post_init__(self) -> None:
        check_sizes({"num_layers": self.num_layers}, MOST_LAYERS)
        layers = self.dual_attention_layers
        outside = [layer for layer in layers if type(layer) is not int or not 0 <= layer < self.num_layers]
        if outside:
            raise ValueError(f"dual_attention_layers names {shown(outside)} of {self.num_layers} layers")
        if type(self.qk_norm) is not bool:
            raise ValueError(f"qk_norm is {shown(self.qk_norm)}")

    def is_dual(self, layer: int) -> bool:
        """True if this layer has a second attention, over the image tokens only."""
        return layer in self.dual_attention_layers

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Stack:
        """Read what ``to_json`` wrote."""
        return cls(values["num_layers"], tuple(sorted(values["dual_attention_layers"])), values["qk_norm"])

    def to_json(self) -> dict[str, Any]:
        """Return the stack as JSON."""
        return {
            "num_layers": self.num_layers,
            "dual_attention_layers": list(self.dual_attention_layers),
            "qk_norm": self.qk_norm,
        }
