"""CUDA as cuda-bindings gives it: memory, one stream, and recordings of what is put on it."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

FIRST_DEVICE = (2, 0)
"""The first CUDA device, as DLPack counts."""


def runtime() -> Any:
    """The bindings of CUDA's runtime; they need no toolkit, only the driver."""
    return importlib.import_module("cuda.bindings.runtime")


def checked(answer: tuple[Any, ...]) -> Any:
    """The results of a call, which come after its status."""
    status, *results = answer
    cuda = runtime()
    if status != cuda.cudaError_t.cudaSuccess:
        _, text = cuda.cudaGetErrorString(status)
        raise RuntimeError(f"CUDA: {text.decode() if isinstance(text, bytes) else text}")
    return results[0] if len(results) == 1 else tuple(results)


def architecture() -> str:
    """The first visible device's, as in ``sm_90``."""
    cuda = runtime()
    kind = cuda.cudaDeviceAttr
    parts = (kind.cudaDevAttrComputeCapabilityMajor, kind.cudaDevAttrComputeCapabilityMinor)
    major, minor = (int(checked(cuda.cudaDeviceGetAttribute(part, 0))) for part in parts)
    return f"sm_{major}{minor}"


class Cuda:
    """The first visible device, and a stream on it."""

    def __init__(self, stream: int | None = None) -> None:
        """``stream`` is the caller's; without one there is a stream of our own."""
        self._cuda = cuda = runtime()
        checked(cuda.cudaSetDevice(0))
        self._stream = int(
            checked(cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking)) if stream is None else stream
        )

    device = FIRST_DEVICE

    @property
    def architecture(self) -> str:
        """The device's, as in ``sm_90``."""
        return architecture()

    @property
    def stream(self) -> int:
        """The stream that all work goes to."""
        return self._stream

    def follow(self, stream: int, *, after: int) -> None:
        """Make one stream wait for another, by an event that CUDA forgets once it has happened."""
        if stream == after:
            return
        cuda = self._cuda
        event = checked(cuda.cudaEventCreateWithFlags(cuda.cudaEventDisableTiming))
        try:
            checked(cuda.cudaEventRecord(event, after))
            checked(cuda.cudaStreamWaitEvent(stream, event, 0))
        finally:
            checked(cuda.cudaEventDestroy(event))

    def allocate(self, size: int) -> int:
        """Memory of the stream's pool, which aligns to 256 bytes."""
        return int(checked(self._cuda.cudaMallocAsync(size, self._stream)))

    def free(self, address: int) -> None:
        """Give memory back in the order of the stream."""
        checked(self._cuda.cudaFreeAsync(address, self._stream))

    def upload(self, address: int, values: NDArray[Any]) -> None:
        """Copy to the device. CUDA stages pageable memory before this returns."""
        self._copy(
            address, values.ctypes.data, values.nbytes, self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        )

    def download(self, values: NDArray[Any], address: int) -> None:
        """Copy from the device, and wait for it."""
        self._copy(
            values.ctypes.data, address, values.nbytes, self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        )
        self.synchronise()

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy within the device."""
        self._copy(target, source, size, self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToDevice)

    def synchronise(self) -> None:
        """Wait for all that is on the stream."""
        checked(self._cuda.cudaStreamSynchronize(self._stream))

    def side_stream(self) -> SideStream:
        """A stream beside ours: what other threads put on ours is not recorded there."""
        return SideStream(self._cuda)

    def record(self, work: Callable[[int], None]) -> Callable[[], None]:
        """Record what is put on a stream, without running it; return what launches it on ours."""
        cuda, side = self._cuda, self.side_stream()
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        checked(cuda.cudaStreamBeginCapture(side.handle, mode))
        try:
            work(side.handle)
        finally:
            # Whatever happened, the stream must not be left recording.
            graph = checked(cuda.cudaStreamEndCapture(side.handle))
        try:
            executable = checked(cuda.cudaGraphInstantiate(graph, 0))
        finally:
            checked(cuda.cudaGraphDestroy(graph))
        checked(cuda.cudaGraphUpload(executable, self._stream))
        return _Recording(cuda, executable, self._stream, work)

    def _copy(self, target: int, source: int, size: int, kind: Any) -> None:
        checked(self._cuda.cudaMemcpyAsync(target, source, size, kind, self._stream))


class SideStream:
    """A stream that is given back with the last reference to it."""

    def __init__(self, cuda: Any) -> None:
        self.handle = int(checked(cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking)))
        weakref.finalize(self, cuda.cudaStreamDestroy, self.handle).atexit = False


class _Recording:
    """A CUDA graph, destroyed with the last reference to it. It keeps the work, whose memory it uses."""

    def __init__(self, cuda: Any, executable: Any, stream: int, work: Callable[[int], None]) -> None:
        self._cuda, self._executable, self._stream, self._work = cuda, executable, stream, work
        weakref.finalize(self, cuda.cudaGraphExecDestroy, executable).atexit = False

    def __call__(self) -> None:
        checked(self._cuda.cudaGraphLaunch(self._executable, self._stream))
