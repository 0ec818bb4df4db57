"""Runs our code over one of NVIDIA's libraries and CUDA against what the real bindings say of themselves.

A script for a process that can import both; the library's module is its argument. Everything that would need
a GPU is replaced by a stand-in that knows one thing: the real class. It looks up every attribute there, holds
every call against the signatures that the bindings' own documentation states, and answers with a value of the
type stated there. Calls of CUDA also go to the real function, which converts its arguments before it finds
that there is no driver.

Prints the calls that were made, and what was raised when one of them failed.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from cuda.bindings import runtime as real_cuda

from dit4sr.export.engines.plans.compiler import BuildRequest
from dit4sr.export.engines.plans.graph import PreparedGraph
from dit4sr.runtime.backends.plans import cuda
from dit4sr.runtime.bundles.manifest import FileRecord

MODULE = sys.argv[1]
trt = importlib.import_module(MODULE)
CALLS: set[str] = set()
FAILING: set[str] = set()
"""Calls that answer with failure."""

REAL = {name: getattr(trt, name) for name in dir(trt) if isinstance(getattr(trt, name), type)}
CONSTRUCTED = ("Builder", "Runtime", "OnnxParser", "Refitter", "OnnxParserRefitter")
LINE = re.compile(r"^(?:\d+\. )?(\w*)\((.*)\) -> (.+)$")
ANSWERS = {
    "bool": True,
    "int": 2,
    "str": "{}",
    "None": None,
    "list[str]": [],
    "Dims": (2, 3),
    "IHostMemory": b"plan",
    "DataType": trt.DataType.FLOAT,
    "TensorIOMode": trt.TensorIOMode.INPUT,
}
if MODULE == "tensorrt_rtx":
    ANSWERS["tuple"] = (trt.EngineValidity.INVALID, trt.EngineInvalidityDiagnostics.VERSION_MISMATCH.value)


class StandIn:
    """An object of a real class that is not there."""

    def __init__(self, name: str) -> None:
        self.__dict__["_name"] = name

    def __getattr__(self, attribute: str):
        CALLS.add(f"{self._name}.{attribute}")
        found = inspect.getattr_static(REAL[self._name], attribute)
        if isinstance(found, property):
            return answer(signatures(found.fget)[0][1])
        return lambda *arguments, **named: call(self, attribute, arguments, named)

    def __setattr__(self, attribute: str, value: object) -> None:
        CALLS.add(f"{self._name}.{attribute}=")
        setter = inspect.getattr_static(REAL[self._name], attribute).fset
        assert setter is not None, f"{self._name}.{attribute} cannot be set"
        (parameters, _) = signatures(setter)[0]
        check(parameters[1:], (value,), {})


def call(subject: StandIn, method: str, arguments: tuple, named: dict) -> object:
    place = f"{subject._name}.{method}"
    problems = []
    for parameters, returned in signatures(getattr(REAL[subject._name], method)):
        try:
            check(parameters[1:], arguments, named)
        except TypeError as problem:
            problems.append(str(problem))
            continue
        if place in FAILING:
            return {"bool": False, "list[str]": ["a weight"]}.get(returned)
        return answer(returned)
    raise TypeError(f"{place}: {'; '.join(problems)}")


def signatures(function: object) -> list[tuple[list[tuple[str, str, bool]], str]]:
    """What the documentation states: parameters as name, type and whether there is a default; the answer."""
    lines = (LINE.match(line.strip()) for line in (function.__doc__ or "").splitlines())
    found = [(parameters(match[2]), plain(match[3])) for match in lines if match]
    found = [(names, returned) for names, returned in found if "*args" not in str(names)]
    assert found, f"no signature in {function.__doc__!r}"
    return found


def parameters(text: str) -> list[tuple[str, str, bool]]:
    parts = re.split(r", (?=\w+:)", text)
    matches = [re.match(r"(\w+): ([^=]+?)(?: = (.*))?$", part) for part in parts if part]
    return [(match[1], plain(match[2]), match[3] is not None) for match in matches]


def plain(kind: str) -> str:
    own = r"tensorrt\.tensorrt|tensorrt_rtx_bindings\.tensorrt_rtx"
    return re.sub(rf"^({own}|typing|typing_extensions)\.|^nvonnxparser::I|^nvinfer1::", "", kind.strip())


def check(expected: list[tuple[str, str, bool]], arguments: tuple, named: dict) -> None:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature(
        [
            inspect.Parameter(name, kind, default=None if optional else inspect.Parameter.empty)
            for name, _, optional in expected
        ]
    )
    types = {name: type_name for name, type_name, _ in expected}
    for name, value in signature.bind(*arguments, **named).arguments.items():
        if not fits(value, types[name]):
            raise TypeError(f"{name} is {type(value).__name__}, not {types[name]}")


def fits(value: object, kind: str) -> bool:
    if isinstance(value, StandIn):
        return value._name == kind
    if kind == "Buffer":
        return memoryview(value).contiguous
    if kind == "Dims":
        return isinstance(value, (tuple, list)) and all(type(size) is int for size in value)
    builtin = {"SupportsInt": int, "SupportsFloat": float, "int": int, "str": str, "bool": bool}
    builtin |= {"tuple": tuple, "list": list, "object": object}
    return isinstance(value, builtin.get(kind) or REAL[kind])


def answer(kind: str) -> object:
    return ANSWERS[kind] if kind in ANSWERS else StandIn(kind)


def constructor(name: str):
    def construct(*arguments: object) -> StandIn:
        CALLS.add(name)
        [(expected, _)] = signatures(REAL[name].__init__)
        check(expected[1:], arguments, {})
        return StandIn(name)

    return construct


class Cuda:
    """The real module, but for what its functions answer."""

    RESULTS = {  # noqa: RUF012
        "cudaGetDeviceCount": 1,
        "cudaDeviceGetAttribute": 9,
        "cudaDriverGetVersion": 13010,
        "cudaMallocAsync": 4096,
        "cudaStreamCreateWithFlags": real_cuda.cudaStream_t(),
        "cudaEventCreateWithFlags": real_cuda.cudaEvent_t(),
        "cudaStreamEndCapture": real_cuda.cudaGraph_t(),
        "cudaGraphInstantiate": real_cuda.cudaGraphExec_t(),
        "cudaGetDeviceProperties": real_cuda.cudaDeviceProp(),
    }

    def __getattr__(self, name: str):
        found = getattr(real_cuda, name)
        if name == "cudaGetErrorString" or not name.startswith("cuda") or isinstance(found, (type, int)):
            return found

        def called(*arguments: object) -> tuple:
            CALLS.add(name)
            inspect.signature(found).bind(*arguments)
            status, *_ = found(*arguments)
            assert status != real_cuda.cudaError_t.cudaSuccess or name == "cudaDriverGetVersion", name
            if name in FAILING:
                return real_cuda.cudaError_t.cudaErrorMemoryAllocation, None
            results = (self.RESULTS[name],) if name in self.RESULTS else ()
            return (real_cuda.cudaError_t.cudaSuccess, *results)

        return called


def exercise_tensorrt(folder: Path) -> None:
    """Everything that runs and builds, once."""
    from dit4sr.export.engines.tensorrt.library import ProgressMonitor, TensorRtCompiler  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt.library import Library  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt.machine import this_machine  # noqa: PLC0415

    check_machine(this_machine())
    library = Library()
    assert Library(77).stream == 77
    run(library, library.load(memoryview(b"plan"), weights=folder / "step.onnx", runs_own_code=True))

    phases: list[str] = []
    graph = PreparedGraph(b"graph", folder / "step.onnx", 1, ())
    shapes = {"latent": ((1, 2), (1, 2), (1, 4))}
    options = {"workspace": 1 << 30, "version_compatible": True, "weight_stripped": True}
    built = TensorRtCompiler().compile(BuildRequest(graph, shapes, profiles=2, **options), phases.append)
    assert (bytes(built.plan), built.timing_cache) == (b"plan", b"plan")
    TensorRtCompiler().compile(BuildRequest(graph, {}), phases.append)
    monitor = ProgressMonitor(phases.append)
    monitor.phase_start("outer", None, 3)
    monitor.phase_start("inner", "outer", 3)
    assert monitor.step_complete("outer", 0)
    monitor.phase_finish("outer")
    assert phases == ["outer"]


def exercise_rtx(folder: Path) -> None:
    """Everything that runs, once; the real compiler needs no device, and is tested as it is."""
    from dit4sr.runtime.backends.tensorrt_rtx.library import Library  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt_rtx.machine import this_machine  # noqa: PLC0415
    from dit4sr.runtime.backends.tensorrt_rtx.runtime_cache import RuntimeCache  # noqa: PLC0415

    check_machine(this_machine())
    library = Library()
    assert Library(77).stream == 77
    found = library.validity(b"plan"[: library.header_size])
    assert (found.verdict, found.diagnostics) == ("INVALID", ("VERSION_MISMATCH",))
    os.environ["DIT4SR_CACHE"] = str(folder)
    cache = RuntimeCache.of(FileRecord("engines/any.plan", 1, "0" * 64), library.machine)
    run(library, library.load(memoryview(b"plan"), cache))
    assert cache.read() == b"plan"
    run(library, library.load(memoryview(b"plan"), cache))


def check_machine(machine) -> None:
    assert (machine.driver, machine.architecture) == ("13.1", "sm_99"), machine
    assert machine.version.split(".")[:2] == trt.__version__.split(".")[:2], machine


def run(library, plan) -> None:
    """All that a plan is put to, and the memory for it."""
    assert library.architecture == "sm_99"
    values = np.zeros(3, np.float32)
    address = library.allocate(values.nbytes)
    library.upload(address, values)
    library.copy(address, address, values.nbytes)
    library.download(values, address)
    execution = plan.execution(plan.profiles - 1)
    execution.set_shape("latent", (1, 2))
    assert execution.shape("latent") == (2, 3)
    execution.bind("latent", address)
    execution.enqueue(library.stream)
    library.record(execution.enqueue)()
    execution.record({"latent": address})()
    execution.time_layers(library.stream)
    library.follow(77, after=library.stream)
    library.free(address)


def main() -> None:
    exercise = exercise_rtx
    if MODULE == "tensorrt":
        from dit4sr.export.engines.tensorrt.library import register  # noqa: PLC0415

        register(("dit4sr::DepthwiseInject@1",))  # needs the classes as they are
        exercise = exercise_tensorrt
    for name in CONSTRUCTED:
        setattr(trt, name, constructor(name))
    stand_in = Cuda()
    cuda.runtime = lambda: stand_in

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exercise(folder)
        made, raised = sorted(CALLS), {}
        for place in json.load(sys.stdin):
            FAILING.clear()
            FAILING.add(place)
            try:
                exercise(folder)
            except RuntimeError as error:
                raised[place] = str(error)
    sys.stdout.write("\n" + json.dumps({"made": made, "raised": raised}))


if __name__ == "__main__":
    main()
