"""Our graphs through NVIDIA's own compiler, which needs no GPU: every count is the compiler's."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from dataclasses import replace

import onnx
import pytest
from diffusers import AutoencoderKL
from support.encoders import TINY, TINY_VAE, write_encoder
from support.networks import ARCHITECTURES, alone, smallest_config, tiny_config, write_checkpoint

from dit4sr.bench.graph.cost import graph_cost, read_graph, total
from dit4sr.export import architectures
from dit4sr.export.architectures.dit4sr.config import Variant
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.cli import command
from dit4sr.export.engines.account.layer import Layer
from dit4sr.export.engines.account.layer_list import read_layer_list
from dit4sr.export.engines.plans.spans import Span
from dit4sr.export.engines.tensorrt_rtx.builder import add_to
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.pipeline import checkpoint_pipeline
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, IncompatibleError, OutOfMemoryError

MERGED = {"text_t5": 2}
"""Products that the compiler makes together: the two halves of a gate, in each of T5's two layers."""

pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Bundle:
    """dit4sr-tiny with plans for everything, for all targets."""
    path = tmp_path_factory.mktemp("rtx") / "bundle"
    shutil.copytree(tiny_bundle(), path)
    add_to(Bundle.open(path), RtxConfig())
    return Bundle.open(path)


def accounts(bundle, component):
    return [engine.plan.account for engine in bundle.manifest.engines if engine.component == component]


def matrices(bundle, component):
    """The products of a graph whose second factor is a weight."""
    graph = onnx.load(bundle.component_file(component), load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    return [node for node in graph.node if node.op_type in {"MatMul", "Gemm"} and node.input[1] in weights]


def convolutions(bundle, component):
    """The convolutions of a graph."""
    graph = onnx.load(bundle.component_file(component), load_external_data=False).graph
    return [node for node in graph.node if node.op_type == "Conv"]


def exported(path, network_config, components=("step",)):
    network = Dit4sr(network_config, RandomWeights(read_tensors(network_config), 3), "random")
    export_bundle(alone(network), ExportConfig(path, verify=False, components=components))
    return Bundle.open(path)


def test_every_component_has_a_plan(built):
    built.verify()
    assert {engine.component for engine in built.manifest.engines} == {*built.components}
    assert {engine.gpu_architecture for engine in built.manifest.engines} == {"sm_80+sm_86+sm_89+sm_120"}
    assert all(engine.versions["tensorrt_rtx"] for engine in built.manifest.engines)


def test_the_step_of_the_model_in_the_box_is_fused(built):
    guided, alone = accounts(built, "step")
    assert (guided.attentions, guided.fused_attentions) == (8, 8)
    assert (alone.attentions, alone.fused_attentions) == (8, 8)
    # In its four blocks of one attention the image streams go through the MLP apart; the last needs no LR.
    assert guided.products == {"fp16": 66 + 2 * 4 - 1}
    assert guided.kernels["attention"] == 8


def test_the_step_of_the_model_in_the_box_moves_no_more_than_it_did(built):
    """What was reached: a form that costs more has to say why."""
    guided, alone = accounts(built, "step")
    assert sum(guided.kernels.values()) <= 139
    assert sum(guided.bytes.values()) <= 101.1e6
    assert sum(alone.bytes.values()) <= 57.9e6


def test_the_compilers_flops_are_those_of_the_graph(built):
    layers = architectures.of_bundle(built.manifest).layers
    graph = read_graph(built.component_file("step"))
    for account in accounts(built, "step"):
        costs = graph_cost(graph, account.sizes, layers)
        # Nine shifts in one kernel multiply by element, which the list of the compiler does not tell.
        assert account.flops == total(costs).flops - costs["LR injection"].flops
        groups = {group.group: group for group in account.groups}
        assert groups["joint attention"].flops == costs["joint attention"].flops


def test_anyone_can_count_again(built):
    """The list beside a plan of fixed sizes is what its account was made of."""
    engine = next(engine for engine in built.manifest.engines if engine.component == "step")
    content = (built.path / engine.files[1].path).read_bytes()
    layers = [Layer.of(entry) for entry in read_layer_list(content, "step")]
    kinds = Counter(layer.kind for layer in layers if layer.is_kernel)
    assert dict(kinds) == dict(engine.plan.account.kernels)
    assert sum(layer.bytes for layer in layers) == sum(engine.plan.account.bytes.values())


def test_plans_for_ranges_are_counted_at_their_best_sizes(built):
    for account in accounts(built, "vae_decoder"):
        assert account.flops > 1e9
        assert account.kernels["convolution"] > 20
    [first, *_] = [engine for engine in built.manifest.engines if engine.component == "vae_decoder"]
    assert first.plan.ranges
    assert accounts(built, "vae_decoder")[0].sizes == {"height": 32, "images": 1, "width": 32}


@pytest.mark.parametrize("kind", ARCHITECTURES, ids=lambda kind: f"{kind[0].value}-{kind[1].value}")
def test_every_variant_is_fused(tmp_path, kind):
    flavour, variant = kind
    # Where there is one head, the compiler leaves the last attention of variant a in pieces.
    is_left = variant is Variant.A
    config = tiny_config(flavour, variant) if is_left else replace(smallest_config(flavour), variant=variant)
    bundle = exported(tmp_path / "b", config)
    add_to(bundle, RtxConfig(branches=(2,), architectures=(80,)))
    [account] = accounts(Bundle.open(tmp_path / "b"), "step")
    assert account.fused_attentions == account.attentions > 2
    assert set(account.products) == {"fp16"}


def test_vae_and_text_encoders_compile(tmp_path):
    folder = write_checkpoint(tmp_path / "whole", smallest_config())
    AutoencoderKL(**TINY_VAE).save_pretrained(folder / "vae")
    for name in TINY:
        write_encoder(folder, name)
    parts = ("vae_encoder", "vae_decoder", *TINY)
    export_bundle(checkpoint_pipeline(folder), ExportConfig(tmp_path / "b", verify=False, components=parts))
    add_to(Bundle.open(tmp_path / "b"), RtxConfig(architectures=(80, 120)))
    bundle = Bundle.open(tmp_path / "b")
    assert {engine.component for engine in bundle.manifest.engines} == set(parts)
    layers = architectures.of_bundle(bundle.manifest).layers
    for name in TINY:
        [account] = accounts(bundle, name)
        assert account.products["fp16"] == len(matrices(bundle, name)) - MERGED.get(name, 0)
        counted = total(graph_cost(read_graph(bundle.component_file(name)), account.sizes, layers)).flops
        # The compiler pads T5's 321 tokens to 322.
        assert counted <= account.flops < 1.01 * counted
    for name in ("vae_encoder", "vae_decoder"):
        for account in accounts(bundle, name):
            assert account.kernels["convolution"] == len(convolutions(bundle, name)) > 10
            assert account.attentions == 1


def test_a_step_for_ranges_of_sizes(tmp_path):
    bundle = exported(tmp_path / "b", smallest_config())
    wide = Span(64, 128, 256)
    add_to(bundle, RtxConfig(pictures=((wide, wide),), branches=(2,), architectures=(89,)))
    [engine] = Bundle.open(tmp_path / "b").manifest.engines
    assert {span.axis for span in engine.plan.ranges} == {"height", "width", "tokens"}
    assert engine.plan.account.sizes["height"] == 16
    assert engine.plan.account.fused_attentions == engine.plan.account.attentions > 2


@pytest.mark.parametrize(
    ("precision", "architectures", "said"),
    [
        ("fp8", (80,), "sm_80 has no FP8"),
        ("fp8", (89, 86), "sm_86 has no FP8"),
        ("fp16", (90,), "builds nothing for sm_90.*--engine tensorrt"),
        ("fp16", (80, 100), "builds nothing for sm_100"),
    ],
)
def test_targets_that_cannot_be_are_refused_before_anything_is_read(precision, architectures, said):
    from dit4sr.export.engines.tensorrt_rtx.preflight import check  # noqa: PLC0415

    with pytest.raises(IncompatibleError, match=said):
        check(precision, RtxConfig(architectures=architectures))


def test_eight_bits_are_built_for_the_cards_that_have_them():
    assert RtxConfig().targets("fp8") == (89, 120)
    assert RtxConfig().targets("fp16") == (80, 86, 89, 120)
    assert RtxConfig(architectures=(120,)).targets("fp8") == (120,)


def test_a_graph_that_cannot_be_read_leaves_the_bundle_as_it_was(tmp_path):
    bundle = exported(tmp_path / "b", smallest_config())
    file = bundle.path / bundle.components["step"].graph.path
    model = onnx.load(file, load_external_data=False)
    model.graph.node[3].op_type, model.graph.node[3].domain = "Unheard", ""
    file.write_bytes(model.SerializeToString())
    step = bundle.components["step"]
    from dit4sr.runtime.bundles.manifest import record_of  # noqa: PLC0415

    files = (record_of(file, bundle.path), *step.files[1:])
    manifest = replace(bundle.manifest, components={"step": replace(step, files=files)})
    before = sorted(path.name for path in bundle.path.rglob("*"))
    with pytest.raises(IncompatibleError, match=r"step 32x32-2-rows: TensorRT for RTX cannot read .*Unheard"):
        add_to(replace(bundle, manifest=manifest), RtxConfig(architectures=(80,)))
    assert sorted(path.name for path in bundle.path.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_ctrl_c_stops_the_compiler_and_leaves_nothing(tmp_path, monkeypatch):
    """What interrupts the wait reaches the compiler, which gives up at its next step."""
    bundle = exported(tmp_path / "b", smallest_config())
    from dit4sr.export.engines.plans import network  # noqa: PLC0415

    begun = threading.Event()
    join = threading.Thread.join

    def interrupted(thread, timeout=None):
        if timeout is not None and thread.name == "plan builder" and begun.is_set():
            begun.clear()
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(network.threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_to(
            bundle, RtxConfig(architectures=(80,)), progress=lambda line: "Building" in line or begun.set()
        )
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert Bundle.open(tmp_path / "b").manifest.engines == ()


def test_too_little_disk_or_memory_is_said_before_the_work(built, monkeypatch):
    from dit4sr.export.engines.plans import resources  # noqa: PLC0415

    usage = shutil.disk_usage(built.path)
    monkeypatch.setattr(resources.shutil, "disk_usage", lambda _: usage._replace(free=5))
    with pytest.raises(BadInputError, match="5 bytes free"):
        add_to(built, RtxConfig())
    monkeypatch.undo()
    monkeypatch.setattr(resources, "available_memory", lambda: 1000)
    with pytest.raises(OutOfMemoryError, match="to compile the largest component"):
        add_to(built, RtxConfig())


def test_the_command_prints_the_account(tmp_path, capsys):
    shutil.copytree(tiny_bundle(), tmp_path / "b")
    words = [
        str(tmp_path / "b"),
        "--engine",
        "tensorrt-rtx",
        "--arch",
        "89,120",
        "--components",
        "prepare,step",
    ]
    assert run_command(command, words) == 0
    printed = capsys.readouterr().out
    assert "tensorrt-rtx for sm_89+sm_120" in printed
    assert "compiled, not run" in printed
    assert any(line.startswith("step-256x256-2-rows") and "8 of 8" in line for line in printed.splitlines())
    assert run_command(command, ["--inspect", str(tmp_path / "b"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["manifest"]["engines"][-1]["plan"]["account"]["fused_attentions"] == 8
