"""What we ask of TensorRT and CUDA exists there and takes what we give it, by the real bindings."""

from __future__ import annotations

import json

import pytest
from support import cuda_bindings, tensorrt_stubs

FAILURES = {
    "Builder.build_serialized_network": "TensorRT builds no plan",
    "OnnxParser.parse": "TensorRT cannot read",
    "Runtime.deserialize_cuda_engine": "TensorRT rejects the plan",
    "OnnxParserRefitter.refit_from_file": "the plan cannot take its weights from",
    "Refitter.get_missing_weights": "lacks 1 weights of the plan, as a weight",
    "Refitter.refit_cuda_engine": "the plan does not take its weights",
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


@pytest.mark.parametrize("version", tensorrt_stubs.VERSIONS)
def test_every_call_is_one_that_the_bindings_know(version, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(cuda_bindings.bindings()))
    script = tensorrt_stubs.__file__.replace("tensorrt_stubs", "binding_probe")
    printed = tensorrt_stubs.run(version, script, text=json.dumps(list(FAILURES)))
    answers = json.loads(printed.splitlines()[-1])

    made = set(answers["made"])
    assert FAILURES.keys() <= made
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
    assert answers["raised"].keys() == FAILURES.keys()
    for place, words in FAILURES.items():
        assert answers["raised"][place].startswith(words) or words in answers["raised"][place], place
