"""The driver: asked through its own library, and none is no error."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from dit4sr.runtime.machine import gpu
from dit4sr.runtime.machine.gpu import Gpu, GpuDriver, gpu_driver


class FakeDriver:
    """What libcuda answers on a machine with one H100."""

    def __init__(self, start: int = 0, count: int = 1) -> None:
        self.start, self.count = start, count

    def cuInit(self, _flags: int) -> int:  # noqa: N802 - the driver's name
        return self.start

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13000
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def cuDeviceGetName(self, name: Any, _length: int, _device: int) -> int:  # noqa: N802
        name.value = b"NVIDIA H100"
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, _device: int) -> int:  # noqa: N802
        memory._obj.value = 80 << 30
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: int) -> int:  # noqa: N802
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0


FAILED = "the NVIDIA driver does not start (error 999); look at nvidia-smi"


@pytest.mark.parametrize(
    ("driver", "found"),
    [
        (FakeDriver(), GpuDriver("13.0", (Gpu("NVIDIA H100", "sm_90", 80 << 30),))),
        (FakeDriver(count=0), GpuDriver("13.0", (), "the driver shows no device")),
        (
            FakeDriver(start=999),
            GpuDriver("", (), "the NVIDIA driver does not start (error 999); look at nvidia-smi"),
        ),
    ],
)
def test_what_the_driver_says_is_what_is_known(driver, found, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver)
    assert gpu_driver() == found


def test_no_driver_is_a_remark():
    assert gpu_driver(("libabsent-cuda.so",)) == GpuDriver(remark="no NVIDIA driver is installed")
    assert gpu.LIBRARIES
