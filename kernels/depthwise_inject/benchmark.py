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


def released(
    noise: Tensor, photo: Tensor, filters: Tensor, bias: Tensor, grid: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Inject as the released code does: tokens `[R, N, C]` become pictures and tokens again."""
    noise, photo = F.gelu(noise, approximate="tanh"), F.gelu(photo, approximate="tanh")
    picture = photo.unflatten(1, grid).permute(0, 3, 1, 2).contiguous()
    filtered = F.conv2d(picture, filters, bias, padding=1, groups=len(filters))
    return noise + INJECTION * filtered.flatten(2).transpose(1, 2), photo


def channels_last(u: Tensor, filters: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Leave the tokens where they are, which to cuDNN is a picture with its channels last."""
    noise, photo = F.gelu(u, approximate="tanh").unbind(1)
    filtered = F.conv2d(photo.permute(0, 3, 1, 2), filters, bias, padding=1, groups=len(filters))
    return noise + filtered.permute(0, 2, 3, 1), photo


def measure(machine: Machine, smoke: bool) -> list[Row]:
    """Time every contender for DepthwiseInject on every shape."""
    return [row for shape in (SMOKE_SHAPES if smoke else SHAPES) for row in measure_shape(machine, *shape)]


def measure_shape(machine: Machine, rows: int, height: int, width: int, channels: int) -> list[Row]:
    """Time every contender on `[rows, 2, height, width, channels]`."""
    device, dtype = torch.device(machine.device), getattr(torch, machine.dtype)
    u = torch.randn(rows, 2, height, width, channels, device=device).to(dtype)
    filters = torch.randn(channels, 1, 3, 3, device=device) / 3
    bias = torch.randn(channels, device=device)
    folded = [(INJECTION * tensor).to(dtype) for tensor in (filters, bias)]
    weight = folded[0].squeeze(1).permute(1, 2, 0).contiguous()
    filters_last = folded[0].to(memory_format=torch.channels_last)

    grid = (height, width)
    noise, photo = (stream.flatten(1, 2).contiguous() for stream in u.unbind(1))
    as_released = partial(released, noise, photo, filters.to(dtype), bias.to(dtype), grid)
    # Inductor's C++ compiler takes longer than the whole smoke test.
    compiled = torch.compile(released, dynamic=False, backend="inductor" if u.is_cuda else "eager")

    contenders: dict[str, Callable[[], Tensor | tuple[Tensor, Tensor]]] = {
        "eager, as released": as_released,
        "torch.compile": partial(compiled, *as_released.args),
        "cuDNN, channels last": partial(channels_last, u, filters_last, folded[1]),
        "dit4sr": partial(depthwise_inject, u, weight, folded[1]),
    }
    if u.is_cuda:
        from dit4sr.kernels.depthwise_inject import kernel  # noqa: PLC0415

        for tile in kernel.TILES:
            name = f"dit4sr, {tile.lines}×{tile.columns}"
            contenders[name] = partial(kernel.launch, u, weight, folded[1], tile)

    first_row = released(noise[:1].double(), photo[:1].double(), filters.double(), bias.double(), grid)
    truth = torch.stack(first_row, dim=1)

    def error(found: Tensor | tuple[Tensor, Tensor]) -> float:
        streams = found if isinstance(found, Tensor) else torch.stack(found, dim=1)
        return float((streams[:1].double().view_as(truth) - truth).abs().max())

    return compare(
        f"{rows} × {height}×{width} × {channels}",
        contenders,
        machine=machine,
        limit="copy bandwidth",
        bytes_moved=(2 * u.numel() + weight.numel() + bias.numel()) * u.element_size(),
        flops=2 * 9 * rows * height * width * channels,
        error=error,
    )


main = benchmark_command("copy bandwidth", measure)

if __name__ == "__main__":
    main()
