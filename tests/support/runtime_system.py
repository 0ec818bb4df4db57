"""A complete small system in two forms: a bundle of ONNX graphs, and the same network as a torch loop.

The network is not DiT4SR. It is the smallest one that needs every tensor of the contract: patches, positions,
text, pooled vector, modulation for each step, and attention across both streams.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_2d_sincos_pos_embed
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from dit4sr.runtime.axes import axis_length, axis_names
from dit4sr.runtime.bundles.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Component,
    Manifest,
    ModelCard,
    PositionTable,
    Provenance,
    TensorSpec,
    record_of,
)

CHANNELS, FACTOR, PATCH, TILE = 4, 4, 2, 8
WIDTH, TEXT, TEXT_CHANNELS, POOLED = 16, 5, 12, 6
SCALING, SHIFT = 1.3, 0.05

CARD = ModelCard(
    name="toy",
    flavour="own",
    variant="full",
    precision="fp32",
    latent_channels=CHANNELS,
    vae_factor=FACTOR,
    scaling=SCALING,
    shift=SHIFT,
    patch_size=PATCH,
    schedule_shift=3.0,
    training_tile=TILE,
    default_steps=4,
    default_guidance=3.0,
    text_tokens=TEXT,
    text_channels=TEXT_CHANNELS,
    pooled_channels=POOLED,
    positions=PositionTable(WIDTH, 24, 4),
    weights="random",
)

Wires = tuple[list[str], list[str]]
"""Inputs and outputs of a component, as ``name: axes``."""

SPECS: dict[str, Wires] = {
    "vae_encoder": (
        ["image: images 3 H W"],
        [f"moments: images {2 * CHANNELS} H//{FACTOR} W//{FACTOR}"],
    ),
    "vae_decoder": ([f"latent: images {CHANNELS} h w"], [f"image: images 3 {FACTOR}*h {FACTOR}*w"]),
    "prepare": (
        [
            f"condition: rows {CHANNELS} h w",
            f"text: rows text {TEXT_CHANNELS}",
            f"pooled: rows {POOLED}",
            "timesteps: steps",
            f"positions: tokens {WIDTH}",
        ],
        [
            f"lr_tokens: rows tokens {WIDTH}",
            f"text_tokens: rows text {WIDTH}",
            f"modulation: steps rows {2 * WIDTH}",
        ],
    ),
    "step": (
        [
            f"latent: images {CHANNELS} h w",
            f"previous_velocity: images {CHANNELS} h w",
            "guidance: branches",
            "coefficients: 3",
            f"lr_tokens: rows tokens {WIDTH}",
            f"text_tokens: rows text {WIDTH}",
            f"modulation: rows {2 * WIDTH}",
            f"positions: tokens {WIDTH}",
        ],
        [f"next_latent: images {CHANNELS} h w", f"velocity: images {CHANNELS} h w"],
    ),
}


def spec(line: str, fixed: dict[str, int] | None = None) -> TensorSpec:
    name, axes = line.split(": ")
    known = fixed or {}
    sizes = [axis_length(axis, known) if axis_names(axis) <= known.keys() else axis for axis in axes.split()]
    return TensorSpec(name, "float32", tuple(sizes))


def toy_weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def draw(*shape: int, gain: float = 1.0) -> np.ndarray:
        fan_in = int(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
        return (rng.normal(size=shape) * gain / np.sqrt(fan_in)).astype(np.float32)

    return {
        "shrink": draw(2 * CHANNELS, 3, FACTOR, FACTOR, gain=2),
        "settle": draw(2 * CHANNELS, 2 * CHANNELS, 3, 3),
        "spread": draw(12, CHANNELS, 3, 3),
        "grow": draw(12, 3, FACTOR, FACTOR, gain=6),
        "patch": draw(WIDTH, CHANNELS, PATCH, PATCH),
        "context": draw(TEXT_CHANNELS, WIDTH),
        "frequencies": (10.0 ** -np.arange(WIDTH)).astype(np.float32)[None, None],
        "pooling": draw(POOLED, WIDTH),
        "adaln": draw(WIDTH, 2 * WIDTH, gain=0.3),
        "output": draw(WIDTH, PATCH * PATCH * CHANNELS),
    }


def toy_prompts(seed: int = 1) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        name: (
            rng.normal(size=(TEXT, TEXT_CHANNELS)).astype(np.float32),
            rng.normal(size=POOLED).astype(np.float32),
        )
        for name in ("negative", "positive")
    }


# --------------------------------------------------------------------------------------------- torch form


@dataclass(frozen=True)
class TorchSystem:
    """The network with torch's operators."""

    weights: dict[str, Tensor]
    card = CARD

    @classmethod
    def of(cls, weights: dict[str, np.ndarray]) -> TorchSystem:
        return cls({name: torch.from_numpy(values) for name, values in weights.items()})

    def encode(self, image: Tensor) -> Tensor:
        w = self.weights
        return F.conv2d(F.conv2d(image, w["shrink"], stride=FACTOR).tanh(), w["settle"], padding=1)

    def decode(self, latent: Tensor) -> Tensor:
        w = self.weights
        return F.conv_transpose2d(
            F.conv2d(latent, w["spread"], padding=1).tanh(), w["grow"], stride=FACTOR
        ).tanh()

    def tokens(self, latent: Tensor, positions: Tensor) -> Tensor:
        return F.conv2d(latent, self.weights["patch"], stride=PATCH).flatten(2).transpose(1, 2) + positions

    def velocity(
        self, latent: Tensor, condition: Tensor, text: Tensor, pooled: Tensor, time: Tensor
    ) -> Tensor:
        w = self.weights
        rows, _, height, width = latent.shape
        positions = table_centre(height // PATCH, width // PATCH)
        time_features = (time[:1, None, None] * w["frequencies"]).sin()
        modulation = ((time_features + (pooled @ w["pooling"])[None]) @ w["adaln"]).tanh()[0]
        shift, scale = modulation[:, None].chunk(2, dim=-1)
        noise = self.tokens(latent, positions)
        query = noise * (1 + scale) + shift
        keys = torch.cat([query, self.tokens(condition, positions), text @ w["context"]], dim=1)
        answer = noise + (query @ keys.transpose(1, 2) / 4).softmax(-1) @ keys
        patches = (answer @ w["output"]).reshape(
            rows, height // PATCH, width // PATCH, PATCH, PATCH, CHANNELS
        )
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(rows, CHANNELS, height, width)


@cache
def table_centre(rows: int, columns: int) -> Tensor:
    """The centre of the stored table, as diffusers makes and crops it."""
    table = CARD.positions
    stored = get_2d_sincos_pos_embed(
        table.width, table.table_size, base_size=table.base_size, output_type="pt"
    ).reshape(table.table_size, table.table_size, table.width)
    top, left = (table.table_size - rows) // 2, (table.table_size - columns) // 2
    return stored[top : top + rows, left : left + columns].reshape(rows * columns, -1).float()


# ---------------------------------------------------------------------------------------------- ONNX form


class Graph:
    """A few lines of sugar over ``onnx.helper``."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights, self.nodes, self.constants = weights, [], {}

    def __call__(self, operator: str, *inputs: str | list | np.ndarray, outputs: int = 1, **attributes):
        names = [x if isinstance(x, str) else self.constant(np.asarray(x)) for x in inputs]
        results = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, results, **attributes))
        for name in names:
            if name in self.weights:
                self.constants[name] = self.weights[name]
        return results if outputs > 1 else results[0]

    def constant(self, values: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = values
        return name

    def save(self, path: Path, wires: Wires, results: dict[str, str], fixed: dict[str, int] | None) -> None:
        inputs, outputs = wires
        for name, result in results.items():
            self.nodes.append(helper.make_node("Identity", [result], [name]))
        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [value_info(spec(line, fixed)) for line in inputs],
            [value_info(spec(line, fixed)) for line in outputs],
            [numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        onnx.save(model, path)


@dataclass(frozen=True)
class Part:
    """One component to be: its inputs and outputs, and what builds its graph."""

    wires: Wires
    build: Callable[[Graph], dict[str, str]]


def write_toy_bundle(
    folder: Path,
    weights: dict[str, np.ndarray] | None = None,
    card: ModelCard = CARD,
    fixed: dict[str, int] | None = None,
) -> Path:
    """A bundle like the exporter's, some of its axes ``fixed``."""
    prompts = {name: {"text": text, "pooled": pooled} for name, (text, pooled) in toy_prompts().items()}
    parts = {name: Part(SPECS[name], build) for name, build in BUILDERS.items()}
    return write_network(folder, parts, weights or toy_weights(), card, prompts, fixed)


def write_network(
    folder: Path,
    parts: dict[str, Part],
    weights: dict[str, np.ndarray],
    card: ModelCard,
    prompts: dict[str, dict[str, np.ndarray]],
    fixed: dict[str, int] | None = None,
) -> Path:
    """A bundle of any network, with its stored prompts."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "embeddings").mkdir()
    components = {}
    for name, part in parts.items():
        path = folder / "onnx" / f"{name}.onnx"
        graph = Graph(weights)
        graph.save(path, part.wires, part.build(graph), fixed)
        inputs, outputs = (tuple(spec(line, fixed) for line in lines) for lines in part.wires)
        components[name] = Component((record_of(path, folder),), "fp32", inputs, outputs)
    embeddings = {}
    for name, tensors in prompts.items():
        paths = [folder / "embeddings" / f"{name}.{tensor}.npy" for tensor in tensors]
        for path, values in zip(paths, tensors.values(), strict=True):
            np.save(path, values)
        embeddings[name] = tuple(record_of(path, folder) for path in paths)
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        model=card,
        components=components,
        provenance=Provenance({}, {}, "test"),
        embeddings=embeddings,
    )
    (folder / MANIFEST).write_text(manifest.to_text())
    return folder


def _encoder(g: Graph) -> dict[str, str]:
    small = g("Tanh", g("Conv", "image", "shrink", strides=[FACTOR] * 2, kernel_shape=[FACTOR] * 2))
    return {"moments": g("Conv", small, "settle", pads=[1] * 4, kernel_shape=[3, 3])}


def _decoder(g: Graph) -> dict[str, str]:
    features = g("Tanh", g("Conv", "latent", "spread", pads=[1] * 4, kernel_shape=[3, 3]))
    return {"image": g("Tanh", g("ConvTranspose", features, "grow", strides=[FACTOR] * 2))}


def _tokens(g: Graph, latent: str) -> str:
    patches = g("Conv", latent, "patch", strides=[PATCH] * 2, kernel_shape=[PATCH] * 2)
    flat = g("Reshape", patches, [0, WIDTH, -1])
    return g("Add", g("Transpose", flat, perm=[0, 2, 1]), "positions")


def _prepare(g: Graph) -> dict[str, str]:
    time = g("Sin", g("Mul", g("Unsqueeze", "timesteps", [1, 2]), "frequencies"))
    steering = g("Add", time, g("Unsqueeze", g("MatMul", "pooled", "pooling"), [0]))
    return {
        "lr_tokens": _tokens(g, "condition"),
        "text_tokens": g("MatMul", "text", "context"),
        "modulation": g("Tanh", g("MatMul", steering, "adaln")),
    }


def _step(g: Graph) -> dict[str, str]:
    shape = g("Shape", "latent")
    expanded = g("Expand", g("Unsqueeze", "latent", [0]), g("Concat", g("Shape", "guidance"), shape, axis=0))
    side = g("Slice", shape, [1], [4])
    rows = g("Reshape", expanded, g("Concat", [-1], side, axis=0))
    noise = _tokens(g, rows)
    shift, scale = g("Split", g("Unsqueeze", "modulation", [1]), outputs=2, axis=-1, num_outputs=2)
    query = g("Add", g("Mul", noise, g("Add", scale, np.float32(1))), shift)
    keys = g("Concat", query, "lr_tokens", "text_tokens", axis=1)
    logits = g("Mul", g("MatMul", query, g("Transpose", keys, perm=[0, 2, 1])), np.float32(0.25))
    answer = g("Add", noise, g("MatMul", g("Softmax", logits, axis=-1), keys))
    grid = g("Div", g("Slice", shape, [2], [4]), [PATCH])
    patches = g(
        "Reshape",
        g("MatMul", answer, "output"),
        g("Concat", [-1], grid, [PATCH, PATCH, CHANNELS], axis=0),
    )
    picture = g("Transpose", patches, perm=[0, 5, 1, 3, 2, 4])
    answers = g("Reshape", picture, g("Concat", g("Shape", "guidance"), shape, axis=0))
    weights = g("Reshape", "guidance", [-1, 1, 1, 1, 1])
    velocity = g("ReduceSum", g("Mul", weights, answers), [0], keepdims=0)
    a, b, c = g("Split", "coefficients", outputs=3, axis=0, num_outputs=3)
    moved = g("Add", g("Mul", a, "latent"), g("Mul", b, velocity))
    return {"next_latent": g("Add", moved, g("Mul", c, "previous_velocity")), "velocity": velocity}


BUILDERS = {"vae_encoder": _encoder, "vae_decoder": _decoder, "prepare": _prepare, "step": _step}


def value_info(tensor: TensorSpec) -> onnx.ValueInfoProto:
    """A graph's input or output, as the manifest says it."""
    return helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, list(tensor.shape))
