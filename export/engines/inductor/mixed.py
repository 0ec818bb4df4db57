"""A module that computes as its graph does: matrix products and convolutions in half, all else in FP32."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from dit4sr.kernels.depthwise_inject import triton_op as depthwise
from dit4sr.kernels.joint_attention import triton_op as joint

OPERATORS: Mapping[Any, Callable[..., Any]] = {
    torch.ops.dit4sr.depthwise_inject.default: depthwise.depthwise_inject,
    torch.ops.dit4sr.joint_attention.default: joint.joint_attention,
    torch.ops.dit4sr.joint_attention_dual.default: joint.joint_attention_dual,
    torch.ops.dit4sr.joint_attention_final.default: joint.joint_attention_final,
}
"""What stands for our operators where they are not registered."""

PRODUCTS: Mapping[Any, Callable[..., Any]] = {
    product: product
    for product in (
        F.linear,
        F.conv2d,
        F.scaled_dot_product_attention,
        torch.matmul,
        Tensor.matmul,
        Tensor.__matmul__,
    )
} | dict(OPERATORS)

ROUNDED_MODULES = (nn.Linear, nn.Conv2d)
"""Modules of torch's all of whose weights are read by products; those of norms and tables stay FP32."""


class MixedProducts(TorchFunctionMode):
    """Rounds what enters a product and widens what leaves it; the compiler fuses both into the neighbours."""

    def __init__(self, rounding: torch.dtype) -> None:
        super().__init__()
        self._rounding = rounding

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Every call of torch passes through here."""
        product = PRODUCTS.get(func)
        if product is None:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to(self._rounding), (args, kwargs or {}))
        return tree_map_only(Tensor, Tensor.float, product(*args, **kwargs))


class MixedModule(nn.Module):
    """A part's module on a device, its weights rounded as the graph's are."""

    def __init__(
        self,
        module: nn.Module,
        weight: Callable[[str], Tensor],
        rounding: torch.dtype,
        device: torch.device,
        rounded_modules: tuple[type[nn.Module], ...] = (),
    ) -> None:
        """``module`` may be on meta tensors; ``weight`` gives each of its tensors by name.

        ``rounded_modules`` are those of the network's own all of whose weights are read by products.
        """
        super().__init__()
        self.module = copy.deepcopy(module)
        self._rounding = rounding
        kinds: tuple[type[nn.Module], ...] = (*ROUNDED_MODULES, *rounded_modules)
        rounded = {
            f"{path}.{name}".removeprefix(".")
            for path, part in self.module.named_modules()
            if isinstance(part, kinds)
            for name, _ in part.named_parameters(recurse=False)
        }
        weights = {
            name: weight(name).to(device, rounding if name in rounded else torch.float32)
            for name in self.module.state_dict()
        }
        self.module.load_state_dict(weights, assign=True)
        self.eval()

    def forward(self, *inputs: Tensor) -> Any:
        """FP32 in, FP32 out."""
        with MixedProducts(self._rounding):
            return self.module(*inputs)
