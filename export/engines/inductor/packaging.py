"""A module to a package that torch opens without it, and its weights to a file that packages share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dit4sr.export.libraries import quiet_libraries

SAFETENSORS_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}


def compile_package(
    module: nn.Module,
    example: Sequence[Tensor],
    path: Path,
    *,
    free: Sequence[Iterable[int]] = (),
    max_autotune: bool = False,
) -> dict[str, Tensor]:
    """Compile for the example's sizes, but for each input's ``free`` axes; return the weights it asks for.

    The package holds code alone: two of them, for other sizes, can then share what is large.
    """
    settings: dict[str, Any] = {"aot_inductor.package_constants_in_so": False}
    if max_autotune:
        settings["max_autotune"] = True
    dynamic = [dict.fromkeys(axes, torch.export.Dim.AUTO) for axes in free or [()] * len(example)]
    with quiet_libraries(), torch.no_grad():
        program = torch.export.export(module, tuple(example), dynamic_shapes=(tuple(dynamic),), strict=False)
        torch._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=settings)
    constants = {**program.state_dict, **program.constants}
    return {name: value.detach() for name, value in constants.items() if isinstance(value, Tensor)}


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file: the length of its index, the index, and the tensors one after the other."""
    index, end = {}, 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.numel() * tensor.element_size()
        index[name] = {
            "dtype": SAFETENSORS_TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(index).encode()
    text += b" " * (-len(text) % 8)  # readers may map the data, and want it aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data)
