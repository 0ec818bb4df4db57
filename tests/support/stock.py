"""diffusers' own networks, as ours are held against them."""

from __future__ import annotations

import torch


def give_norms_full_precision(stock: torch.nn.Module) -> None:
    """Replace diffusers' RMSNorm, which takes its variance in FP32 even in an FP64 model, by torch's own.

    That rounding, 2e-8 of the result, is all that would stand between the two.
    """
    for name, module in list(stock.named_modules()):
        if type(module).__name__ == "RMSNorm":
            norm = torch.nn.RMSNorm(module.weight.shape, eps=module.eps, dtype=torch.float64)
            norm.load_state_dict(module.state_dict())
            stock.set_submodule(name, norm)
