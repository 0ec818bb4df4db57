"""Plans from a builder that is a fake: what it is asked, what is refused, and what the manifest says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper
from support.fake_tensorrt import FakeCompiler, FakeGpu, other, tools
from support.runtime_system import SPECS, write_toy_bundle
from support.tensorrt_bundle import FIXED, FREE, plan_bundle

from dit4sr.export.engines.plans.config import NATIVE, Forms
from dit4sr.export.engines.plans.graph import prepared
from dit4sr.export.engines.plans.profiles import Profile
from dit4sr.export.engines.plans.spans import Span
from dit4sr.export.engines.tensorrt.builder import add_to
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.engines.tensorrt.preflight import preflight
from dit4sr.export.engines.tensorrt.report import report_of
from dit4sr.export.engines.tensorrt.verify import vocabulary_of
from dit4sr.runtime.backends.tensorrt.compatibility import DIGESTS
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Check, Component, TensorSpec, record_of
from dit4sr.runtime.errors import (
    AccuracyError,
    BadInputError,
    IncompatibleError,
    MissingDependencyError,
    OutOfMemoryError,
)

# ------------------------------------------------------------------------------------------------------ graph

OURS = {"plugin_namespace": "dit4sr", "plugin_version": "1", "aot": 1}


SHAPE = {"heads": 1, "head_dim": 4, "copied": 0}


def write_graph(path, rows: int | str = "rows", version: int = 2):
    """Two of our operators, with pointers to their kernels."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("DepthwiseInject", ["u", "u", "w", "b"], ["a"], domain="dit4sr", channels=8, **OURS),
        helper.make_node("JointAttentionDual", ["a"] * 4, ["n", "l"], domain="dit4sr", **SHAPE, **OURS),
        helper.make_node("Cast", ["n"], ["x"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("Softmax", ["l"], ["y"]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("u", kind, [rows, 4]), value("w", kind, [4]), value("b", kind, [4])],
        [value("x", onnx.TensorProto.FLOAT16, [rows, 4]), value("y", kind, [rows, 4])],
        value_info=[value("a", kind, [rows, 4])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("dit4sr", version)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return (TensorSpec("u", "float32", (rows, 4)), TensorSpec("w", "float32", (4,)))


def test_an_injection_of_an_earlier_version_is_no_work_for_the_plugin(tmp_path):
    path = tmp_path / "step.onnx"
    inputs, profile = write_graph(path, version=1), Profile("", {"rows": Span.at(2)})
    assert not prepared(path, inputs, profile, NATIVE).plugins
    with pytest.raises(IncompatibleError, match="DepthwiseInject of version 1; expected version 2"):
        prepared(path, inputs, profile, Forms(depthwise_inject="plugin"))


def test_the_graph_gets_sizes_and_forms_and_the_file_stays(tmp_path):
    path = tmp_path / "step.onnx"
    inputs = write_graph(path)
    before = path.read_bytes()
    found = prepared(path, inputs, Profile("", {"rows": Span.at(2)}), Forms(depthwise_inject="plugin"))
    model = onnx.load_from_string(found.content)
    assert path.read_bytes() == before
    assert [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim] == [2, 4]
    assert [dim.dim_value for dim in model.graph.output[1].type.tensor_type.shape.dim] == [2, 4]
    assert not model.graph.value_info
    assert (found.attentions, found.plugins) == (
        1,
        (f"dit4sr::DepthwiseInject@{DIGESTS['DepthwiseInject']}",),
    )
    plugin, native = ({one.name for one in node.attribute} for node in model.graph.node[:2])
    assert plugin == {"channels", *OURS}
    assert native == {*SHAPE}

    turned = Forms(joint_attention="plugin")
    free = prepared(path, inputs, Profile("", {"rows": Span(1, 2, 4)}), turned)
    assert (
        onnx.load_from_string(free.content).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "rows"
    )
    assert free.plugins == (f"dit4sr::JointAttentionDual@{DIGESTS['JointAttentionDual']}",)


# ------------------------------------------------------------------------------------------------------ build


@pytest.fixture
def toy(tmp_path) -> Bundle:
    return Bundle.open(write_toy_bundle(tmp_path / "toy"))


def with_graph(bundle: Bundle) -> Bundle:
    """The toy in FP16, its step of our two operators."""
    path = bundle.path / "onnx" / "step.onnx"
    inputs = write_graph(path)
    step = Component((record_of(path, bundle.path),), "fp16", inputs, ())
    manifest = replace(
        bundle.manifest,
        model=replace(bundle.card, precision="fp16"),
        components={**bundle.components, "step": step},
    )
    (bundle.path / MANIFEST).write_text(manifest.to_text())
    return Bundle.open(bundle.path)


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def config(tmp_path, **options) -> TensorRtConfig:
    known = {"sizes": FIXED, "timing_cache": tmp_path / "timing", "branches": (2,)}
    return TensorRtConfig(**{**known, **options})


def test_the_manifest_says_what_a_plan_is_for(tmp_path):
    lines = []
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy"))
    add_to(bundle, config(tmp_path, components=("step",)), tools=tools(FakeGpu()), progress=lines.append)
    bundle = Bundle.open(bundle.path)
    bundle.verify()
    [engine] = bundle.engines
    assert engine.files[0].path == "engines/tensorrt-sm90/step-32x32-2-rows.plan"
    assert (engine.gpu_architecture, engine.precision, engine.plugins) == ("sm_90", "fp32", ())
    assert engine.versions == {
        "tensorrt": "11.4.0.106",
        "cuda": "13.0",
        "driver": "13.0",
        "platform": other().platform,
        "device": "Fake H200",
    }
    assert engine.inputs[0] == TensorSpec("latent", "float32", (1, 4, 8, 8))
    assert engine.plan.source == bundle.components["step"].graph.sha256
    assert engine.plan.ranges == ()
    assert lines == [
        "step 32x32-2-rows: building for sm_90",
        "step 32x32-2-rows: Building Engine",
        "step 32x32-2-rows: verifying against its graph",
    ]


def test_options_reach_the_builder(tmp_path, toy):
    compiler = FakeCompiler()
    options = {"level": 5, "workspace": 1 << 20, "concurrency": 3, "version_compatible": True}
    wanted = config(tmp_path, components=("vae_decoder",), sizes=FREE, weight_stripped=True, **options)
    manifest = add_to(toy, wanted, tools=tools(FakeGpu(), compiler))
    [request] = compiler.requests
    assert (request.level, request.workspace, request.profiles) == (5, 1 << 20, 3)
    assert request.version_compatible
    assert request.weight_stripped
    assert request.shapes == {"latent": ((1, 4, 4, 4), (1, 4, 8, 8), (1, 4, 32, 32))}
    assert [(span.axis, span.most) for span in manifest.engines[0].plan.ranges] == [("h", 32), ("w", 32)]


def test_times_are_kept_between_builds(tmp_path, toy):
    compiler = FakeCompiler()
    wanted = config(tmp_path, components=("step",), branches=(2, 1))
    add_to(toy, wanted, tools=tools(FakeGpu(), compiler))
    assert [request.timing_cache for request in compiler.requests] == [b"", b"timed "]
    [cache] = (tmp_path / "timing").iterdir()
    assert cache.name == "11.4.0.106-Fake-H200.cache"
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    add_to(Bundle.open(toy.path), config(tmp_path, timing_cache=blocked), tools=tools(FakeGpu()))


@pytest.mark.parametrize(
    ("error", "kind"), [("no kernel", IncompatibleError), ("out of memory", OutOfMemoryError)]
)
def test_a_build_that_fails_is_one_line_and_leaves_the_bundle(tmp_path, toy, error, kind):
    before = tree(toy.path)
    with pytest.raises(kind, match=f"prepare 32x32-2-rows: {error}"):
        add_to(toy, config(tmp_path), tools=tools(FakeGpu(), FakeCompiler(error=error)))
    assert tree(toy.path) == before


def test_an_attention_that_is_not_fused_is_refused(tmp_path, toy):
    bundle = with_graph(toy)
    before = tree(bundle.path)
    wanted = config(tmp_path, components=("step",), verify=False)
    with pytest.raises(AccuracyError, match="step 2-rows: 0 of 1 attentions are fused; expected all"):
        add_to(bundle, wanted, tools=tools(FakeGpu(), FakeCompiler(unfused=1)))
    assert tree(bundle.path) == before

    accepted = replace(wanted, allow_unfused=True)
    report = add_to(bundle, accepted, tools=tools(FakeGpu(), FakeCompiler(unfused=1))).engines[0].plan.report
    assert (report.layers, report.attentions, report.fused_attentions, report.casts) == (4, 1, 0, 1)
    for form in ("native", "plugin"):
        wanted = replace(wanted, forms=Forms(joint_attention=form))
        [engine] = add_to(Bundle.open(bundle.path), wanted, tools=tools(FakeGpu())).engines
        assert engine.plan.report.fused_attentions == 1


def test_our_kernels_are_not_built_for_free_sizes(tmp_path, toy):
    bundle = with_graph(toy)
    native = config(tmp_path, components=("step",), sizes={"rows": Span(1, 2, 4)}, verify=False)
    with pytest.raises(BadInputError, match="leak memory"):
        add_to(bundle, replace(native, forms=Forms(depthwise_inject="plugin")), tools=tools(FakeGpu()))
    assert add_to(bundle, native, tools=tools(FakeGpu())).engines[0].plan.ranges


def test_plans_are_held_against_their_graphs(tmp_path, toy):
    checks = [
        Check(name, line.split(":")[0], 1e-4, 2e-4)
        for name, (_, outputs) in SPECS.items()
        for line in outputs
    ]
    (toy.path / MANIFEST).write_text(replace(toy.manifest, verification=tuple(checks)).to_text())
    bundle, before = Bundle.open(toy.path), tree(toy.path)
    with pytest.raises(
        AccuracyError, match=r"prepare: lr_tokens of the plan is off by 1.0e-03; expected at most 2.0e-04"
    ):
        add_to(bundle, config(tmp_path), tools=tools(FakeGpu(), FakeCompiler(gain=1.001)))
    with pytest.raises(AccuracyError, match="off by nan"):
        add_to(bundle, config(tmp_path), tools=tools(FakeGpu(), FakeCompiler(gain=float("nan"))))
    assert tree(bundle.path) == before
    built = add_to(bundle, config(tmp_path), tools=tools(FakeGpu(), FakeCompiler(gain=1.0001)))
    found = [check for engine in built.engines for check in engine.verification]
    assert {(check.component, check.output) for check in found} == {(c.component, c.output) for c in checks}
    assert all(5e-5 < check.error < 2e-4 for check in found)


@pytest.mark.parametrize("sizes", [FIXED, FREE], ids=["fixed", "free"])
def test_the_slowest_layers_are_named(tmp_path, toy, sizes):
    wanted = config(tmp_path, components=("vae_encoder",), sizes=sizes, time_layers=True)
    report = add_to(toy, wanted, tools=tools(FakeGpu())).engines[0].plan.report
    assert [(layer.name, layer.milliseconds) for layer in report.slowest][:2] == [
        ("layer 11", 11.0),
        ("layer 10", 10.0),
    ]
    assert len(report.slowest) == 10


def test_building_anew_replaces_what_was_there(tmp_path):
    bundle = plan_bundle(tmp_path / "bundle", FakeGpu())
    assert len(bundle.engines) == 6
    add_to(bundle, config(tmp_path, components=("step",)), tools=tools(FakeGpu()))
    after = Bundle.open(bundle.path)
    after.verify()
    assert [engine.component for engine in after.engines].count("step") == 1
    assert len(after.engines) == 5


# -------------------------------------------------------------------------------------------------- preflight

REFUSALS = {
    "no library": ({"version": ""}, {}, MissingDependencyError, "TensorRT is not installed"),
    "no bindings": ({"has_bindings": False}, {}, MissingDependencyError, "cuda-bindings is not installed"),
    "too old": ({"version": "10.12.0.36"}, {}, IncompatibleError, "expected 10.13 to 11"),
    "too new": ({"version": "12.0.0.1"}, {}, IncompatibleError, "expected 10.13 to 11"),
    "no device": ({"architecture": ""}, {}, MissingDependencyError, "built where they run.*--plan shows"),
    "other device": ({}, {"architecture": 80}, IncompatibleError, "builds for sm_90; expected sm_80"),
    "unknown component": ({}, {"components": ("tea",)}, BadInputError, "no component 'tea'"),
    "level": ({}, {"level": 6}, BadInputError, "builder level 6; expected 0 to 5"),
    "rows": ({}, {"branches": (0,)}, BadInputError, "without rows"),
    "form": ({}, {"forms": Forms(depthwise_inject="woven")}, BadInputError, "form 'woven'"),
    "FP32 plugin": (
        {},
        {"forms": Forms(joint_attention="plugin")},
        BadInputError,
        "attention as plugin in fp32",
    ),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_cannot_succeed_is_refused_first(toy, kind):
    machine, options, error, message = REFUSALS[kind]
    with pytest.raises(error, match=message):
        preflight(toy, TensorRtConfig(**options), other(**machine))
    preflight(toy, TensorRtConfig(architecture=90), other())


def test_libraries_that_do_not_go_together_are_refused(toy, monkeypatch):
    old = other(version="11.1.0.106")
    ours = TensorRtConfig(forms=Forms(depthwise_inject="plugin"))
    monkeypatch.setattr(np, "__version__", "2.4.6")
    with pytest.raises(
        IncompatibleError, match=r"does not understand NumPy 2\.4\.6; pip install 'numpy<2.4'"
    ):
        preflight(toy, ours, old)
    preflight(toy, TensorRtConfig(), old)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None if name == "triton" else object())
        with pytest.raises(MissingDependencyError, match="need triton; pip install triton, or build with"):
            preflight(toy, ours, other())
        preflight(toy, TensorRtConfig(), other())
    fp8 = replace(toy, manifest=replace(toy.manifest, model=replace(toy.card, precision="fp8")))
    with pytest.raises(IncompatibleError, match="sm_86 has no FP8; expected sm_89"):
        preflight(fp8, TensorRtConfig(), other(architecture="sm_86"))
    preflight(fp8, TensorRtConfig(), other(architecture="sm_120"))


def test_a_disk_that_is_too_small_is_told_beforehand(tmp_path, toy, monkeypatch):
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(BadInputError, match=r"10 bytes free .*for these plans"):
        add_to(toy, config(tmp_path), tools=tools(FakeGpu()))
    add_to(toy, config(tmp_path, weight_stripped=True), tools=tools(FakeGpu()))


# ----------------------------------------------------------------------------------------------------- report


def test_layers_are_counted_in_the_words_of_both_versions():
    fp8 = {"Name": "x", "Dimensions": [2], "Format": "Row major linear", "DataType": "FP8"}
    old_fp8 = {"Name": "x", "Dimensions": [2], "Format/Datatype": "Row major linear FP8 format"}
    half = {"Name": "x", "Dimensions": [2], "DataType": "Half"}
    layers = [
        {"Name": "a", "LayerType": "gemm", "TacticName": "sm90_xmma_gemm_e4m3", "Inputs": [fp8, fp8]},
        {"Name": "b", "LayerType": "gemm", "TacticName": "sm90_xmma_gemm_e4m3", "Inputs": [half, fp8]},
        {"Name": "c", "LayerType": "gemm", "TacticName": "xmma_gemm", "Inputs": [old_fp8, old_fp8]},
        {"Name": "d", "LayerType": "kgen", "TacticName": "__myl_Add", "Inputs": [fp8, fp8]},
        {"Name": "/blocks.0/attn_myl0_3", "LayerType": "kgen", "TacticName": "_gemm_mha_v2_0x3f"},
        {"Name": "node_JointAttention_1", "LayerType": "PluginV3", "Metadata": ""},
        {"Name": "node_JointAttention_2", "LayerType": "kgen", "TacticName": "__myl_Softmax"},
        {"Name": "e", "LayerType": "Cast"},
        {"Name": "Reformatting CopyNode for Input Tensor 0", "LayerType": "Reformat"},
        {"Name": "Reformatting CopyNode of no type"},
    ]
    report = report_of(layers, attentions=3)
    assert (report.layers, report.attentions, report.fused_attentions) == (10, 3, 2)
    assert (report.fp8_products, report.casts, report.reformats) == (2, 1, 2)


def test_words_are_asked_within_the_vocabulary(tmp_path):
    path = tmp_path / "text.onnx"
    tokens = helper.make_tensor_value_info("tokens", onnx.TensorProto.INT64, [1, 3])
    table = onnx.numpy_helper.from_array(np.zeros((12, 4), np.float32), "table")
    out = helper.make_tensor_value_info("text", onnx.TensorProto.FLOAT, [1, 3, 4])
    node = helper.make_node("Gather", ["table", "tokens"], ["text"])
    onnx.save(helper.make_model(helper.make_graph([node], "g", [tokens], [out], [table])), path)
    assert vocabulary_of(path, (TensorSpec("tokens", "int64", (1, 3)),)) == 12
    assert vocabulary_of(path, (TensorSpec("latent", "float32", (1, 3)),)) == 0
