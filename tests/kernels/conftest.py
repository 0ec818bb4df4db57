"""What the tests of both operators share."""

import json
import multiprocessing
import os
import platform
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from support import tensorrt_stubs

PROBE = Path(tensorrt_stubs.__file__).with_name("plugin_probe.py")


@pytest.fixture(scope="session")
def interpreted():
    """Call a function in a process where Triton interprets its kernels: `interpreted(function, *arguments)`.

    Triton decides by the environment when it defines a kernel, so interpreting needs a process of its own:
    the tests of compiled kernels share this one.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TRITON_INTERPRET", "1")
            pool.submit(os.getpid).result()  # the process starts here, and keeps this environment
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


@pytest.fixture(scope="session", params=tensorrt_stubs.VERSIONS)
def plugin_answers(request):
    """Put plugins through what TensorRT's builder does (see `support/plugin_probe.py`), with each version."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("TensorRT's bindings are published for Linux on x86-64")

    def ask(*cases):
        output = tensorrt_stubs.run(request.param, str(PROBE), text=json.dumps(cases))
        return json.loads(output.splitlines()[-1])

    return ask
