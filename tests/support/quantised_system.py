"""A small system in half precision that restores photos, written node by node: nothing to trace, no torch.

It is no DiT4SR, but has what a calibration meets there: products in halves between sums in FP32, projections
that must stay as they are, a fused attention with a body, and activations whose channels differ widely.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from dit4sr.runtime.bundles.bundle import Bundle
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

CHANNELS, FACTOR, PATCH, TILE, WIDTH = 4, 4, 2, 8, 32
TEXT, TEXT_CHANNELS, POOLED, BLOCKS = 5, 12, 6, 2
HIDDEN, PATCHED = 2 * WIDTH, CHANNELS * PATCH**2
PER_BLOCK = ("attn.qkv", "attn.out", "expand", "contract")
MATMULS = [f"blocks.{block}.{name}" for block in range(BLOCKS) for name in PER_BLOCK]
FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16

CARD = ModelCard(
    name="toy in halves",
    flavour="own",
    variant="full",
    precision="fp16",
    latent_channels=CHANNELS,
    vae_factor=FACTOR,
    scaling=1.3,
    shift=0.05,
    patch_size=PATCH,
    schedule_shift=3.0,
    training_tile=TILE,
    default_steps=4,
    default_guidance=2.0,
    text_tokens=TEXT,
    text_channels=TEXT_CHANNELS,
    pooled_channels=POOLED,
    positions=PositionTable(WIDTH, 24, 4),
    weights="random, seed 0",
)


class Writer:
    """`w.MatMul(a, b)` adds a node; weights are seeded by their order."""

    def __init__(self) -> None:
        self.tape, self.weights, self.noise = ir.tape.Tape(), [], np.random.default_rng(0)

    def __getattr__(self, operator: str) -> Callable[..., Any]:
        def call(*inputs: ir.Value, **attributes: Any) -> Any:
            return self.tape.op(operator, inputs, attributes)

        return call

    def weight(self, name: str, *shape: int, spread: float | None = None) -> ir.Value:
        """Random halves, large enough that nothing is idle."""
        size = spread or shape[0] ** -0.5
        values = (self.noise.normal(size=shape) * size).astype(np.float16)
        tensor = ir.Tensor(values, name=name)
        value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(HALF), const_value=tensor)
        self.weights.append(value)
        return value

    def ints(self, *values: int) -> Any:
        return self.Constant(value_ints=values)

    def number(self, value: float) -> Any:
        return self.Constant(value_float=value)

    def half(self, value: ir.Value) -> Any:
        return self.Cast(value, to=HALF)

    def full(self, value: ir.Value) -> Any:
        return self.Cast(value, to=FLOAT)

    def linear(self, x: ir.Value, name: str, inside: int, outside: int) -> Any:
        product = self.MatMul(x, self.weight(f"{name}.weight", inside, outside))
        return self.Add(product, self.weight(f"{name}.bias", outside, spread=0.1))


def write_half_bundle(folder: Path) -> Bundle:
    """A bundle that `Upscaler` opens, with two stored prompts."""
    (folder / "onnx").mkdir(parents=True)
    (folder / "embeddings").mkdir()
    writers = {"vae_encoder": _encoder, "prepare": _prepare, "step": _step, "vae_decoder": _decoder}
    components = {name: _component(folder, name, write) for name, write in writers.items()}
    noise, embeddings = np.random.default_rng(1), {}
    for side in ("positive", "negative"):
        records = []
        for part, shape in (("text", (TEXT, TEXT_CHANNELS)), ("pooled", (POOLED,))):
            path = folder / "embeddings" / f"{side}.{part}.npy"
            np.save(path, noise.normal(size=shape).astype(np.float32))
            records.append(record_of(path, folder))
        embeddings[side] = tuple(records)
    provenance = Provenance({"random weights": "seed 0"}, {}, "written by a test")
    manifest = Manifest(
        schema=SCHEMA_VERSION,
        model=CARD,
        components=components,
        provenance=provenance,
        embeddings=embeddings,
    )
    (folder / MANIFEST).write_text(manifest.to_text())
    return Bundle.open(folder)


def _spec(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", shape)


def _component(folder: Path, name: str, write: Callable[[Writer, Callable[..., ir.Value]], Any]) -> Component:
    writer, inputs = Writer(), []

    def given(spec: TensorSpec) -> ir.Value:
        shape = ir.Shape(spec.shape)
        inputs.append((spec, ir.Value(name=spec.name, shape=shape, type=ir.TensorType(FLOAT))))
        return inputs[-1][1]

    made = write(writer, given)
    for spec, value in made:
        value.name, value.dtype, value.shape = spec.name, FLOAT, ir.Shape(spec.shape)
    graph = ir.Graph(
        [value for _, value in inputs],
        [value for _, value in made],
        nodes=writer.tape.nodes,
        initializers=writer.weights,
        opset_imports={"": 21, "dit4sr": 1},
        name=name,
    )
    functions = _functions() if name == "step" else []
    model = ir.Model(graph, ir_version=10, functions=functions)
    proto = onnx.shape_inference.infer_shapes(ir.to_proto(model), data_prop=True)
    path = folder / "onnx" / f"{name}.onnx"
    ir.save(ir.from_proto(proto), path, external_data=f"{name}.onnx.data", size_threshold_bytes=64)
    records = (record_of(path, folder), record_of(path.with_name(f"{name}.onnx.data"), folder))
    return Component(records, "fp16", tuple(s for s, _ in inputs), tuple(s for s, _ in made))


def _encoder(w: Writer, given: Callable[..., ir.Value]) -> Any:
    image = given(_spec("image", "images", 3, "pixel_height", "pixel_width"))
    kernel = w.weight("encoder.weight", 2 * CHANNELS, 3, FACTOR, FACTOR, spread=0.15)
    moments = w.full(w.Conv(w.half(image), kernel, strides=[FACTOR, FACTOR]))
    sides = (f"pixel_height//{FACTOR}", f"pixel_width//{FACTOR}")
    return [(_spec("moments", "images", 2 * CHANNELS, *sides), moments)]


def _decoder(w: Writer, given: Callable[..., ir.Value]) -> Any:
    latent = given(_spec("latent", "images", CHANNELS, "height", "width"))
    inner = w.Tanh(
        w.Conv(w.half(latent), w.weight("in.weight", 32, CHANNELS, 3, 3, spread=0.3), pads=[1] * 4)
    )
    planes = w.Conv(inner, w.weight("out.weight", 3 * FACTOR**2, 32, 1, 1, spread=0.3))
    image = w.DepthToSpace(w.Tanh(w.full(planes)), blocksize=FACTOR)
    return [(_spec("image", "images", 3, f"{FACTOR}*height", f"{FACTOR}*width"), image)]


def _prepare(w: Writer, given: Callable[..., ir.Value]) -> Any:
    condition = given(_spec("condition", "rows", CHANNELS, "height", "width"))
    text = given(_spec("text", "rows", "text", TEXT_CHANNELS))
    pooled = given(_spec("pooled", "rows", POOLED))
    timesteps = given(_spec("timesteps", "steps"))
    positions = given(_spec("positions", "tokens", WIDTH))
    lr = w.Add(w.full(w.linear(w.half(_tokens(w, condition)), "patch", PATCHED, WIDTH)), positions)
    rows = w.full(w.linear(w.half(text), "context", TEXT_CHANNELS, WIDTH))
    width = 2 * BLOCKS * WIDTH
    steering = w.full(w.linear(w.half(pooled), "modulation", POOLED, width))
    time = w.Reshape(w.Div(timesteps, w.number(1000.0)), w.ints(-1, 1, 1))
    # Outliers live in a few channels, and grow with the noise, as they do in trained networks.
    gains = np.ones(width, np.float32)
    gains[::13] = 6.0
    modulation = w.Mul(w.Mul(w.Unsqueeze(steering, w.ints(0)), time), w.Constant(value=ir.Tensor(gains)))
    return [
        (_spec("lr_tokens", "rows", "tokens", WIDTH), lr),
        (_spec("text_tokens", "rows", "text", WIDTH), rows),
        (_spec("modulation", "steps", "rows", width), modulation),
    ]


def _step(w: Writer, given: Callable[..., ir.Value]) -> Any:
    picture = ("images", CHANNELS, "height", "width")
    latent, previous = given(_spec("latent", *picture)), given(_spec("previous_velocity", *picture))
    guidance, coefficients = given(_spec("guidance", "branches")), given(_spec("coefficients", 3))
    lr = given(_spec("lr_tokens", "rows", "tokens", WIDTH))
    text = given(_spec("text_tokens", "rows", "text", WIDTH))
    modulation = given(_spec("modulation", "rows", 2 * BLOCKS * WIDTH))
    positions = given(_spec("positions", "tokens", WIDTH))

    branches = w.Shape(guidance)
    stacked = w.Tile(latent, w.Concat(branches, w.ints(1, 1, 1), axis=0))
    x = w.Add(
        w.Add(w.full(w.linear(w.half(_tokens(w, stacked)), "network.patch", PATCHED, WIDTH)), lr), positions
    )
    hint = w.ReduceMean(text, w.ints(1), keepdims=1)
    for block in range(BLOCKS):
        name = f"network.blocks.{block}"
        first, second = (_slice(w, modulation, 2 * block + part) for part in range(2))
        qkv = w.linear(_entered(w, x, first), f"{name}.attn.qkv", WIDTH, 3 * WIDTH)
        answer = w.tape.op("JointAttentionSingle", [qkv], domain="dit4sr")
        x = w.Add(x, w.full(w.linear(answer, f"{name}.attn.out", WIDTH, WIDTH)))
        hidden = w.Gelu(w.linear(_entered(w, w.Add(x, hint), second), f"{name}.expand", WIDTH, HIDDEN))
        x = w.Add(x, w.full(w.linear(hidden, f"{name}.contract", HIDDEN, WIDTH)))
    out = w.full(w.linear(w.half(x), "network.output", WIDTH, PATCHED))
    planes = w.Reshape(w.Transpose(out, perm=[0, 2, 1]), _grid_shape(w, stacked))
    rows = w.Mul(w.DepthToSpace(planes, blocksize=PATCH), w.number(0.15))
    grouped = w.Reshape(rows, w.Concat(branches, w.Shape(latent), axis=0))
    velocity = w.ReduceSum(w.Mul(grouped, w.Reshape(guidance, w.ints(-1, 1, 1, 1, 1))), w.ints(0), keepdims=0)
    terms = [
        w.Mul(value, w.Gather(coefficients, w.Constant(value_int=place)))
        for place, value in enumerate((latent, velocity, previous))
    ]
    following = w.Add(w.Add(terms[0], terms[1]), terms[2])
    return [(_spec("next_latent", *picture), following), (_spec("velocity", *picture), velocity)]


def _tokens(w: Writer, latent: ir.Value) -> Any:
    deep = w.SpaceToDepth(latent, blocksize=PATCH)
    return w.Transpose(w.Reshape(deep, w.ints(0, 0, -1)), perm=[0, 2, 1])


def _grid_shape(w: Writer, stacked: ir.Value) -> Any:
    sides = w.Div(w.Shape(stacked, start=2), w.ints(PATCH))
    return w.Concat(w.ints(0, 0), sides, axis=0)


def _slice(w: Writer, modulation: ir.Value, place: int) -> Any:
    part = w.Slice(modulation, w.ints(place * WIDTH), w.ints((place + 1) * WIDTH), w.ints(-1))
    return w.Unsqueeze(part, w.ints(1))


def _entered(w: Writer, x: ir.Value, scale: ir.Value) -> Any:
    ones = w.Constant(value=ir.Tensor(np.ones(WIDTH, np.float32)))
    return w.half(w.Mul(w.LayerNormalization(x, ones), w.Add(scale, w.number(1.0))))


def _functions() -> list[ir.Function]:
    """A fused attention of one head and one stream; the name is its own, for exported ones are registered."""
    w, qkv = Writer(), ir.Value(name="qkv")
    query, key, value = w.tape.op_multi_out("Split", [qkv], {"axis": -1, "num_outputs": 3}, num_outputs=3)
    query = w.Mul(query, w.CastLike(w.number(WIDTH**-0.5), query))
    answer = w.tape.op("TRT_Attention", [query, key, value], domain="dit4sr")
    outer = ir.Graph([qkv], [answer], nodes=w.tape.nodes, opset_imports={"": 21, "dit4sr": 1})
    w, inputs = Writer(), [ir.Value(name=name) for name in ("query", "key", "value")]
    logits = w.full(w.MatMul(inputs[0], w.Transpose(inputs[1], perm=[0, 2, 1])))
    answer = w.MatMul(w.CastLike(w.Softmax(logits, axis=-1), inputs[2]), inputs[2])
    inner = ir.Graph(inputs, [answer], nodes=w.tape.nodes, opset_imports={"": 21, "dit4sr": 1})
    return [
        ir.Function("dit4sr", "JointAttentionSingle", graph=outer, attributes=[]),
        ir.Function("dit4sr", "TRT_Attention", graph=inner, attributes=[]),
    ]
