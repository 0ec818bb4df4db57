"""`python -m dit4sr.kernels.depthwise_inject.benchmark`: the operator against what torch makes of it."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dit4sr.kernels.depthwise_inject.torch_op import depthwise_inject
from dit4sr.kernels.timing import Machine, Row, benchmark_command, compare

__all__ = ["channels_last", "main", "measure", "released"]

# The model's own grid at batch 1, 2 and 8, and the nine tiles of a 1024×1024 photo with guidance.
SHAPES = ((1, 32, 32, 6144), (2, 32, 32, 6144), (8, 32, 32, 6144), (18, 32, 32, 6144))
SMOKE_SHAPES = ((2, 5, 4, 16),)

INJECTION = 1.2


def released(noise: Tensor, lr: Tensor, filters: Tensor, bias: Tensor, grid: tuple[int, int]) -> Tensor:
    """Inject as the released code does: tokens `[R, N, C]` become pictures and tokens again."""
    picture = lr.unflatten(1, grid).permute(0, 3, 1, 2).contiguous()
    filtered = F.conv2d(picture, filters, bias, padding=1, groups=len(filters))
    return noise + INJECTION * filtered.flatten(2).transpose(1, 2)


def channels_last(noise: Tensor, lr: Tensor, filters: Tensor, bias: Tensor) -> Tensor:
    """Leave the tokens where they are, which to cuDNN is a picture with its channels last."""
    filtered = F.conv2d(lr.permute(0, 3, 1, 2), filters, bias, padding=1, groups=len(filters))
    return noise + filtered.permute(0, 2, 3, 1)


def measure(machine: Machine, smoke: bool) -> list[Row]:
    """Time every contender for DepthwiseInject on every shape."""
    return [row for shape in (SMOKE_SHAPES if smoke else SHAPES) for row in measure_shape(machine, *shape)]


def measure_shape(machine: Machine, rows: int, height: int, width: int, channels: int) -> list[Row]:
    """Time every contender on two streams `[rows, height, width, channels]`."""
    device, dtype = torch.device(machine.device), getattr(torch, machine.dtype)
    noise, lr = (torch.randn(rows, height, width, channels, device=device).to(dtype) for _ in range(2))
    filters = torch.randn(channels, 1, 3, 3, device=device) / 3
    bias = torch.randn(channels, device=device)
    folded = [(INJECTION * tensor).to(dtype) for tensor in (filters, bias)]
    weight = folded[0].squeeze(1).permute(1, 2, 0).contiguous()
    filters_last = folded[0].to(memory_format=torch.channels_last)

    grid = (height, width)
    tokens = (noise.flatten(1, 2), lr.flatten(1, 2))
    as_released = partial(released, *tokens, filters.to(dtype), bias.to(dtype), grid)
    # Inductor's C++ compiler takes longer than the whole smoke test.
    compiled = torch.compile(released, dynamic=False, backend="inductor" if noise.is_cuda else "eager")

    contenders: dict[str, Callable[[], Tensor]] = {
        "eager, as released": as_released,
        "torch.compile": partial(compiled, *as_released.args),
        "cuDNN, channels last": partial(channels_last, noise, lr, filters_last, folded[1]),
        "dit4sr": partial(depthwise_inject, noise, lr, weight, folded[1]),
    }
    if noise.is_cuda:
        from dit4sr.kernels.depthwise_inject import kernel  # noqa: PLC0415

        for tile in kernel.TILES:
            name = f"dit4sr, {tile.lines}×{tile.columns}"
            contenders[name] = partial(kernel.launch, noise, lr, weight, folded[1], tile)

    first_noise, first_lr = (stream[:1].double() for stream in tokens)
    truth = released(first_noise, first_lr, filters.double(), bias.double(), grid)

    def error(found: Tensor) -> float:
        return float((found[:1].double().view_as(truth) - truth).abs().max())

    return compare(
        f"{rows} × {height}×{width} × {channels}",
        contenders,
        machine=machine,
        limit="copy bandwidth",
        bytes_moved=(3 * noise.numel() + weight.numel() + bias.numel()) * noise.element_size(),
        flops=2 * 9 * rows * height * width * channels,
        error=error,
    )


main = benchmark_command("copy bandwidth", measure)

if __name__ == "__main__":
    main()
