"""What we ask of TensorRT and CUDA exists there and takes what we give it, by the real bindings."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support import cuda_bindings, tensorrt_stubs

RUNNING = {
    "ICudaEngine.create_execution_context": "no room to run the plan",
    "IExecutionContext.set_optimization_profile_async": "profile 1 cannot be set",
    "IExecutionContext.set_input_shape": "latent cannot have shape (1, 2)",
    "IExecutionContext.set_tensor_address": "latent cannot be at 0x1000",
    "IExecutionContext.execute_async_v3": "the plan cannot be run",
    "cudaSetDevice": "CUDA: out of memory",
    "cudaMallocAsync": "CUDA: out of memory",
    "cudaGraphInstantiate": "CUDA: out of memory",
    "cudaEventRecord": "CUDA: out of memory",
}
"""What is said when a call fails that either library takes to run a plan."""
FAILURES = RUNNING | {
    "Builder.build_serialized_network": "TensorRT builds no plan",
    "OnnxParser.parse": "TensorRT cannot read",
    "Runtime.deserialize_cuda_engine": "TensorRT rejects the plan",
    "OnnxParserRefitter.refit_from_file": "the plan cannot take its weights from",
    "Refitter.get_missing_weights": "lacks 1 weights of the plan, as a weight",
    "Refitter.refit_cuda_engine": "the plan does not take its weights",
}
RTX_FAILURES = RUNNING | {
    "Runtime.deserialize_cuda_engine": "TensorRT for RTX rejects the plan",
    "IRuntimeConfig.set_runtime_cache": "kernels cannot be kept",
}
SCRIPT = tensorrt_stubs.__file__.replace("tensorrt_stubs", "binding_probe")


@pytest.mark.parametrize("version", tensorrt_stubs.VERSIONS)
def test_every_call_is_one_that_the_bindings_know(version, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(cuda_bindings.bindings()))
    printed = tensorrt_stubs.run(version, SCRIPT, "tensorrt", text=json.dumps(list(FAILURES)))
    made = calls_made(printed, FAILURES)
    assert {
        "IBuilderConfig.set_timing_cache",
        "IOptimizationProfile.set_shape",
        "EngineInspector.get_engine_information",
        "IBuilderConfig.progress_monitor=",
        "IExecutionContext.profiler=",
        "cudaStreamBeginCapture",
        "cudaGraphLaunch",
        "cudaMemcpyAsync",
        "cudaFreeAsync",
        "cudaStreamWaitEvent",
    } <= made


def test_every_call_to_run_plans_for_rtx_is_one_that_the_bindings_know():
    pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")
    done = subprocess.run(
        [sys.executable, SCRIPT, "tensorrt_rtx"],
        input=json.dumps(list(RTX_FAILURES)),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(cuda_bindings.bindings())},
    )
    assert done.returncode == 0, done.stderr
    made = calls_made(done.stdout, RTX_FAILURES)
    assert {
        "Runtime.engine_header_size",
        "Runtime.get_engine_validity",
        "ICudaEngine.create_runtime_config",
        "IRuntimeConfig.create_runtime_cache",
        "IRuntimeConfig.cuda_graph_strategy=",
        "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy=",
        "IRuntimeCache.deserialize",
        "IRuntimeCache.serialize",
        "IExecutionContext.profiler=",
    } <= made


def calls_made(printed: str, failures: dict[str, str]) -> set[str]:
    """What the probe has called, once what it says of calls that fail is what it should say."""
    answers = json.loads(printed.splitlines()[-1])
    assert failures.keys() <= set(answers["made"])
    assert answers["raised"].keys() == failures.keys()
    for place, words in failures.items():
        assert words in answers["raised"][place], place
    return set(answers["made"])
