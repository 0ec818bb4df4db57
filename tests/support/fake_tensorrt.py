"""TensorRT and CUDA in memory: plans that really compute, through ONNX Runtime, by the real rules.

Addresses are real and checked, executions are watched, and a recording replays what was put on its stream.
What the real libraries forbid fails here too: unaligned tensors, sizes outside the profile, two executions of
one profile, memory that was given back, a plan without weights.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import platform
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
from onnx.external_data_helper import ExternalDataInfo

from dit4sr.export.engines.plans.compiler import BuildRequest, BuiltPlan
from dit4sr.export.engines.tensorrt.builder import Tools
from dit4sr.runtime.backends.plans.driver import ALIGNMENT, Binding
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.backends.tensorrt.backend import TensorRt

MACHINE = Machine(
    f"{sys.platform}-{platform.machine()}", "TensorRT", "11.4.0.106", True, "13.0", "sm_90", "Fake H200"
)
OURS, UNWRITTEN = 1, 0xAB
DTYPES = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.INT64: np.int64}


class FakeGpu:
    """A device with one stream that runs, and others that only record."""

    def __init__(self, *, machine: Machine = MACHINE, capacity: int = 1 << 30) -> None:
        self.machine, self.capacity, self.stream = machine, capacity, OURS
        self.blocks: dict[int, np.ndarray] = {}
        self.launches = self.downloads = self.loads = self.executions = 0
        self.freezes: set[str] = set()
        """Inputs that a faulty recording does not read again."""
        self.cannot_record = False
        self.device = (1, 0)
        """By DLPack's count the host: only there other libraries can read what is here."""
        self.waits: list[tuple[int, int]] = []
        """Streams, and those they were made to wait for."""
        self.resident: weakref.WeakSet[FakePlan] = weakref.WeakSet()
        """Plans in memory."""
        self._recordings: dict[int, list[Callable[[], None]]] = {}
        self._sides = itertools.count(OURS + 1)

    @property
    def architecture(self) -> str:
        return self.machine.architecture

    def follow(self, stream: int, *, after: int) -> None:
        self.waits.append((stream, after))

    def allocate(self, size: int) -> int:
        if sum(map(len, list(self.blocks.values()))) + size > self.capacity:
            raise RuntimeError("CUDA: out of memory")
        block = np.full(size + ALIGNMENT, UNWRITTEN, np.uint8)
        address = -(-block.ctypes.data // ALIGNMENT) * ALIGNMENT
        self.blocks[address] = block
        return address

    def adopt(self, array: Array) -> None:
        """Count another library's memory as memory of this device."""
        size = int(np.prod(array.shape, dtype=np.int64)) * array.dtype.itemsize
        self.blocks[array.address] = np.empty(size + ALIGNMENT, np.uint8)

    def free(self, address: int) -> None:
        del self.blocks[address]

    def upload(self, address: int, values: np.ndarray) -> None:
        assert values.flags.c_contiguous
        ctypes.memmove(self.checked(address, values.nbytes), values.ctypes.data, values.nbytes)

    def download(self, values: np.ndarray, address: int) -> None:
        self.downloads += 1
        ctypes.memmove(values.ctypes.data, self.checked(address, values.nbytes), values.nbytes)

    def copy(self, target: int, source: int, size: int) -> None:
        ctypes.memmove(self.checked(target, size), self.checked(source, size), size)

    def record(self, work: Callable[[int], None]) -> Callable[[], None]:
        if self.cannot_record:
            raise RuntimeError("CUDA: operation not permitted when stream is capturing")
        side = next(self._sides)
        recorded = self._recordings[side] = []
        try:
            work(side)
        finally:
            del self._recordings[side]

        def launch() -> None:
            self.launches += 1
            for run in recorded:
                run()

        return launch

    def load(self, plan: bytes | memoryview, *, weights: Path | None, runs_own_code: bool) -> FakePlan:
        self.loads += 1
        header, _, content = bytes(plan).partition(b"\n")
        facts = json.loads(header)
        if facts["tensorrt"] != self.machine.version and not runs_own_code:
            raise RuntimeError("TensorRT rejects the plan: it was built with another version")
        model = onnx.load_from_string(content)
        if weights is not None:
            _give_weights(model, weights)
        elif facts["is_stripped"]:
            raise RuntimeError("TensorRT rejects the plan: it has no weights")
        loaded = FakePlan(self, model, facts)
        self.resident.add(loaded)
        return loaded

    def checked(self, address: int, size: int) -> int:
        """An address within memory that is allocated."""
        for start, block in list(self.blocks.items()):
            if start <= address and address + size <= start + len(block) - ALIGNMENT:
                return address
        raise AssertionError(f"{size} bytes at {address:#x} are nobody's")

    def put(self, stream: int, run: Callable[[], None]) -> None:
        """Run now, or record."""
        if stream == OURS:
            run()
        else:
            self._recordings[stream].append(run)


class FakePlan:
    """A graph, and the shapes it may be given."""

    def __init__(self, gpu: FakeGpu, model: onnx.ModelProto, facts: dict) -> None:
        self.gpu, self.name = gpu, model.graph.name
        self.shapes, self.profiles = facts["shapes"], facts["profiles"]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        self.bindings = tuple(
            Binding(
                value.name,
                np.dtype(DTYPES[value.type.tensor_type.elem_type]),
                is_input,
                tuple(dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim),
            )
            for values, is_input in ((model.graph.input, True), (model.graph.output, False))
            for value in values
        )
        known = {
            value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
            for value in [*model.graph.input, *model.graph.output]
        }
        self.fixed = {name: shape for name, shape in known.items() if 0 not in shape}
        self._alive: weakref.WeakValueDictionary[int, FakeExecution] = weakref.WeakValueDictionary()

    def execution(self, profile: int) -> FakeExecution:
        assert profile < self.profiles
        execution = FakeExecution(self)
        if self.shapes:
            assert profile not in self._alive, "two executions share a profile"
            self._alive[profile] = execution
        self.gpu.executions += 1
        return execution


class FakeExecution:
    """Bindings."""

    def __init__(self, plan: FakePlan) -> None:
        self.plan, self.runs = plan, 0
        self.shapes = {} if plan.shapes else dict(plan.fixed)
        self.addresses: dict[str, int] = {}

    def set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        least, _, most = self.plan.shapes[name]
        if not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            raise RuntimeError(f"{name} cannot have shape {shape}")
        self.shapes[name] = tuple(shape)

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self.shapes:  # the real library infers; here a run on zeros tells
            inputs = [binding for binding in self.plan.bindings if binding.is_input]
            zeros = {b.name: np.zeros(self.shapes[b.name], b.dtype) for b in inputs}
            return self.plan.session.run([name], zeros)[0].shape
        return self.shapes[name]

    def bind(self, name: str, address: int) -> None:
        if address % ALIGNMENT:
            raise RuntimeError(f"{name} cannot be at {address:#x}")
        self.addresses[name] = address

    def enqueue(self, stream: int) -> None:
        gpu, addresses, shapes = self.plan.gpu, dict(self.addresses), dict(self.shapes)
        inputs = [binding for binding in self.plan.bindings if binding.is_input]
        frozen = {
            b.name: view(gpu, addresses[b.name], shapes[b.name], b.dtype).copy()
            for b in inputs
            if b.name in gpu.freezes and stream != OURS
        }

        def run() -> None:
            self.runs += 1
            feeds = {b.name: view(gpu, addresses[b.name], shapes[b.name], b.dtype) for b in inputs}
            names = [binding.name for binding in self.plan.bindings if not binding.is_input]
            answers = self.plan.session.run(names, {**feeds, **frozen})
            for name, answer in zip(names, answers, strict=True):
                gpu.upload(addresses[name], np.ascontiguousarray(answer))

        gpu.put(stream, run)

    def record(self, addresses: Mapping[str, int]) -> Callable[[], None]:
        for name, address in addresses.items():
            self.bind(name, address)
        return self.plan.gpu.record(self.enqueue)

    def time_layers(self, stream: int) -> dict[str, float]:
        self.enqueue(stream)
        return {f"layer {i}": float(i) for i in range(12)}


def view(gpu: FakeGpu, address: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = (ctypes.c_uint8 * size).from_address(gpu.checked(address, size))
    return np.frombuffer(memory, dtype).reshape(shape)


# ------------------------------------------------------------------------------------------------ builder


@dataclass
class FakeCompiler:
    """Makes of a graph a plan that is the graph."""

    machine: Machine = MACHINE
    requests: list[BuildRequest] = field(default_factory=list)
    unfused: int = 0
    """Attentions for which there is no kernel."""
    error: str = ""
    gain: float = 1.0
    """What a faulty compiler multiplies every answer by."""

    def compile(self, request: BuildRequest, progress: Callable[[str], None]) -> BuiltPlan:
        self.requests.append(request)
        progress("Building Engine")
        if self.error:
            raise RuntimeError(self.error)
        model = onnx.load_from_string(request.graph.content)
        layers = self._layers(model)
        _load_weights(model, request.graph.path.parent)
        if self.gain != 1.0:
            _multiply_answers(model, self.gain)
        if request.weight_stripped:
            for tensor in model.graph.initializer:
                if len(tensor.raw_data) > 64:
                    tensor.raw_data = bytes(len(tensor.raw_data))
        facts = {
            "tensorrt": self.machine.version,
            "shapes": {name: list(shapes) for name, shapes in request.shapes.items()},
            "profiles": request.profiles,
            "is_stripped": request.weight_stripped,
        }
        plan = json.dumps(facts).encode() + b"\n" + model.SerializeToString()
        return BuiltPlan(memoryview(plan), layers, request.timing_cache + b"timed ")

    def _layers(self, model: onnx.ModelProto) -> list[dict]:
        """The inspector's account, in the words of 11."""
        layers, unfused = [], self.unfused
        for node in model.graph.node:
            layer = {"Name": node.name or node.output[0], "LayerType": "kgen", "TacticName": "__myl_Add"}
            if "Attention" in node.op_type:
                is_plugin = any(one.name == "plugin_namespace" for one in node.attribute)
                if unfused:
                    unfused -= 1
                elif is_plugin:
                    layer |= {"LayerType": "PluginV3", "PluginType": node.op_type}
                else:
                    layer |= {"TacticName": "_gemm_mha_v2_0xabc"}
            elif node.op_type == "Cast":
                layer |= {"LayerType": "Cast"}
            layers.append(layer)
        return layers


def _load_weights(model: onnx.ModelProto, folder: Path) -> None:
    """As TensorRT reads them; onnx's own reader refuses hard links, which a bundle under way is made of."""
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            place = ExternalDataInfo(tensor)
            start = place.offset or 0
            tensor.raw_data = (folder / place.location).read_bytes()[start : start + place.length]
            tensor.data_location = onnx.TensorProto.DEFAULT


def _multiply_answers(model: onnx.ModelProto, gain: float) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(gain), "gain"))
    for output in model.graph.output:
        for node in model.graph.node:
            node.output[:] = [f"{n}_exact" if n == output.name else n for n in node.output]
            node.input[:] = [f"{n}_exact" if n == output.name else n for n in node.input]
        model.graph.node.append(onnx.helper.make_node("Mul", [f"{output.name}_exact", "gain"], [output.name]))


def _give_weights(model: onnx.ModelProto, graph: Path) -> None:
    whole = onnx.load(graph, load_external_data=False)
    _load_weights(whole, graph.parent)
    known = {tensor.name: tensor for tensor in whole.graph.initializer}
    for tensor in model.graph.initializer:
        if tensor.name not in known:
            raise RuntimeError(f"{graph} lacks 1 weights of the plan, as {tensor.name}")
        tensor.CopyFrom(known[tensor.name])


# ----------------------------------------------------------------------------------------- in their place


def tools(gpu: FakeGpu, compiler: FakeCompiler | None = None) -> Tools:
    """For the builder."""
    return Tools(gpu.machine, lambda: compiler or FakeCompiler(gpu.machine), lambda: TensorRt(gpu))


def install(monkeypatch, gpu: FakeGpu) -> None:
    """Make the runtime find this device and library."""
    monkeypatch.setattr("dit4sr.runtime.backends.tensorrt.compatibility.this_machine", lambda: gpu.machine)
    library = SimpleNamespace(Library=lambda _: gpu)
    monkeypatch.setitem(sys.modules, "dit4sr.runtime.backends.tensorrt.library", library)


def other(**changes: object) -> Machine:
    """The machine, but for something."""
    return replace(MACHINE, **changes)
