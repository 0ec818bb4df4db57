"""A module that computes as its graph does: matrix multiplications in half precision, all else in FP32."""

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
"""Forms of our operators that the compiler sees through, where they are not registered."""

MATRIX_OPERATORS: Mapping[Any, Callable[..., Any]] = {
    operator: operator
    for operator in (
        F.linear,
        F.conv2d,
        F.scaled_dot_product_attention,
        torch.matmul,
        Tensor.matmul,
        Tensor.__matmul__,
    )
} | dict(OPERATORS)
"""Calls that a graph computes in half precision, and what they become."""

ROUNDED_MODULES = (nn.Linear, nn.Conv2d)
"""Modules of torch's all of whose weights those operators read; weights of norms and tables stay FP32."""


class MixedPrecision(TorchFunctionMode):
    """Rounds the operands of matrix operators and widens their results; the compiler fuses both with them."""

    def __init__(self, rounding: torch.dtype) -> None:
        super().__init__()
        self._rounding = rounding

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Every call of torch passes through here."""
        operator = MATRIX_OPERATORS.get(func)
        if operator is None:
            return func(*args, **(kwargs or {}))
        args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to(self._rounding), (args, kwargs or {}))
        return tree_map_only(Tensor, Tensor.float, operator(*args, **kwargs))


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

        ``rounded_modules`` are those of the network's own all of whose weights matrix operators read.
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
        with MixedPrecision(self._rounding):
            return self.module(*inputs)
