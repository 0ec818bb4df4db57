"""`python -m dit4sr.kernels.joint_attention.benchmark`: the operators against torch's attention."""

# An operator has as many inputs as its mathematics.
# ruff: noqa: PLR0917

import functools
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dit4sr.kernels.joint_attention import torch_op as operator
from dit4sr.kernels.joint_attention.reference import EPSILON
from dit4sr.kernels.joint_attention.torch_op import attention_flops, unpack
from dit4sr.kernels.timing import Machine, Row, benchmark_command, compare

__all__ = ["attend", "concatenated", "main", "measure", "spelled_out"]

HEADS, HEAD_DIM = 24, 64
# The model's own streams at 1, 2 and 8 images with guidance, and the nine tiles of a 1024×1024 photo.
SHAPES = tuple((rows, HEADS, 1024, 333) for rows in (2, 4, 16, 18))
SMOKE_SHAPES = ((2, 2, 6, 5),)

BACKENDS = {
    "cuda": {
        "flash": SDPBackend.FLASH_ATTENTION,
        "cuDNN": SDPBackend.CUDNN_ATTENTION,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
        "math": SDPBackend.MATH,
    },
    "cpu": {"math": SDPBackend.MATH},
}


def concatenated(noise_qkv: Tensor, lr_qkv: Tensor, *text_and_norms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Join normalised queries, keys and values of all streams, `[R, heads, tokens, head_dim]` each."""
    *text, norm_q, norm_k = text_and_norms if len(text_and_norms) == 2 else text_and_norms[:3]
    dims = (len(norm_k),)
    query, key, value = unpack(noise_qkv, 3, *dims)
    key = F.rms_norm(key, dims, norm_k, EPSILON)
    if lr_qkv.shape[2] == noise_qkv.shape[2]:
        lr_query, lr_key, lr_value = unpack(lr_qkv, 3, *dims)
    else:
        lr_query, lr_value = unpack(lr_qkv, 2, *dims)
        lr_key = key
    queries = [F.rms_norm(part, dims, norm_q, EPSILON) for part in (query, lr_query)]
    keys, values = [key, F.rms_norm(lr_key, dims, norm_k, EPSILON)], [value, lr_value]
    if text:
        text_norm_q, text_norm_k = text_and_norms[3:]
        query, key, value = unpack(text[0], 3, *dims)
        queries.append(F.rms_norm(query, dims, text_norm_q, EPSILON))
        keys.append(F.rms_norm(key, dims, text_norm_k, EPSILON))
        values.append(value)
    return torch.cat(queries, dim=2), torch.cat(keys, dim=2), torch.cat(values, dim=2)


def attend(query: Tensor, key: Tensor, value: Tensor, backend: Any) -> Tensor:
    """Attend by one backend of torch's attention alone; `[R, tokens, D]`."""
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def spelled_out(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Do what the operator does without it: normalise, concatenate, attend (by torch's own choice), split."""
    query, key, value = concatenated(*tensors)
    answer = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    lengths = [packed.shape[1] for packed in tensors if packed.ndim == 3]
    return tuple(part.contiguous() for part in answer.split(lengths, dim=1))


def measure(machine: Machine, smoke: bool) -> list[Row]:
    """Time every contender for the attentions on every shape."""
    return [
        row
        for name in ("joint_attention", "joint_attention_dual")
        for copied in (True, False)
        for shape in (SMOKE_SHAPES if smoke else SHAPES)
        for row in measure_shape(machine, name, copied, *shape)
    ]


def measure_shape(
    machine: Machine, name: str, copied: bool, rows: int, heads: int, tokens: int, words: int
) -> list[Row]:
    """Time every contender on one operator, flavour and shape."""
    device, dtype = torch.device(machine.device), getattr(torch, machine.dtype)
    width = heads * HEAD_DIM
    text = name == "joint_attention"
    packed = [(tokens, 3), (tokens, 2 if copied else 3)] + [(words, 3)] * text
    tensors = [torch.randn(rows, count, part * width, device=device).to(dtype) for count, part in packed]
    tensors += [torch.rand(HEAD_DIM, device=device).to(dtype) + 1 for _ in range(4 if text else 2)]

    query, key, value = (part.contiguous() for part in concatenated(*tensors))
    contenders: dict[str, Callable[[], Tensor | tuple[Tensor, ...]]] = {
        "norm+cat+SDPA+split": partial(spelled_out, *tensors),
        "the same, compiled": partial(compiled(name, copied, device.type), *tensors),
    }
    for title, backend in BACKENDS[device.type].items():
        contenders[f"SDPA {title} alone"] = partial(attend, query, key, value, backend)
    contenders["dit4sr"] = partial(getattr(operator, name), *tensors)
    if device.type == "cuda":
        from dit4sr.kernels.joint_attention import kernel  # noqa: PLC0415

        arguments: list[Any] = tensors if text else [*tensors[:2], None, *tensors[2:], None, None]
        for tile in kernel.TILES:
            launch = partial(kernel.launch, tile=tile)
            contenders[f"dit4sr, {tile.queries}×{tile.keys}"] = partial(launch, *arguments)

    first_row = (tensor[:1].double() if tensor.ndim == 3 else tensor.double() for tensor in tensors)
    truth = torch.cat(spelled_out(*first_row), dim=1)

    def error(found: Tensor | tuple[Tensor, ...]) -> float:
        answer = found if isinstance(found, Tensor) else torch.cat(found, dim=1)
        return float((answer[:1].double() - truth).abs().max())

    read = 2 * tokens + words * text
    answers = rows * read * width
    return compare(
        f"{'joint' if text else 'dual'} {'copied' if copied else 'own'} {rows}×{read}",
        contenders,
        machine=machine,
        limit="matmul rate",
        bytes_moved=(sum(tensor.numel() for tensor in tensors) + answers) * tensors[0].element_size(),
        flops=attention_flops(tensors[0].shape, asking=read, read=read),
        error=error,
    )


@functools.cache
def compiled(*_operator_flavour_and_device: str | bool) -> Callable[..., tuple[Tensor, ...]]:
    """Compile for all shapes of an operator and flavour at once, for the time it takes."""
    # Inductor's C++ compiler takes longer than the whole smoke test.
    backend = "inductor" if torch.cuda.is_available() else "eager"
    return torch.compile(spelled_out, dynamic=True, backend=backend)


main = benchmark_command("matmul rate", measure)

if __name__ == "__main__":
    main()
