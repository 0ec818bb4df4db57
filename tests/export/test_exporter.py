"""What is exported is what was meant, in every flavour, variant and precision; or nothing is."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from support.networks import ARCHITECTURES, alone, smallest_config

from dit4sr.export import exporter, verify
from dit4sr.export.architectures.dit4sr.config import Flavour, TransformerConfig, Variant
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.graph.external_data import SOURCES
from dit4sr.export.weights.sources import RandomWeights
from dit4sr.runtime.axes import axis_sizes
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.doctor.inspection import view_graphs
from dit4sr.runtime.errors import AccuracyError, BadInputError, OutOfMemoryError


def architecture(flavour: Flavour = Flavour.OWN, variant: Variant = Variant.FULL) -> Dit4sr:
    sizes = {**smallest_config(flavour).to_json(), "variant": variant.value, "flavour": flavour.value}
    config = TransformerConfig.from_json(sizes)
    return Dit4sr(config, RandomWeights(read_tensors(config), seed=3), "random")


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """Bundles by flavour, variant and precision, each exported once."""
    done: dict[tuple, Bundle] = {}

    def export(flavour, variant, precision) -> Bundle:
        key = (flavour, variant, precision)
        if key not in done:
            output = tmp_path_factory.mktemp("bundles") / "bundle"
            export_bundle(alone(architecture(flavour, variant)), ExportConfig(output, precision=precision))
            done[key] = Bundle.open(output)
        return done[key]

    return export


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("flavour", "variant"), ARCHITECTURES, ids=lambda value: value.value)
def test_every_system_runs_and_agrees_with_torch(exported, flavour, variant, precision):
    """Sizes, rows and guidance that the trace never saw, by the exporter's own yardstick."""
    bundle, network = exported(flavour, variant, precision), architecture(flavour, variant)
    assert {check.component for check in bundle.manifest.verification} == {"prepare", "step", "loop"}
    card, tolerance = alone(network).card(precision), verify.Tolerance.at(precision)
    for part in network.components():
        run = verify.graph_runner(bundle.component_file(part.name))
        truth = verify.torch_runner(part, torch.float64)
        plain = verify.torch_runner(part, tolerance.yardstick)
        for latent, images, branches in itertools.product([(8, 8), (4, 12), (12, 6)], (1, 3), (1, 2)):
            sizes = axis_sizes(card, images=images, branches=branches, latent=latent, text=5, steps=2)
            feeds = verify.seeded_inputs(part, sizes)
            answers = zip(part.outputs, truth(feeds), plain(feeds), run(feeds), strict=True)
            for output, *answer in answers:
                verify.compared(part.name, output, *answer, tolerance=tolerance)


@pytest.mark.parametrize("flavour", Flavour)
def test_bf16_is_a_valid_graph(tmp_path, flavour):
    """ONNX Runtime has no BF16 products on the CPU: the graph is checked, and says it was not run."""
    manifest = export_bundle(alone(architecture(flavour)), ExportConfig(tmp_path / "b", precision="bf16"))
    assert manifest.verification == ()
    model = ir.load(tmp_path / "b" / "onnx" / "step.onnx")
    assert {node.outputs[0].dtype for node in model.graph if node.op_type == "MatMul"} == {
        ir.DataType.BFLOAT16
    }


@pytest.mark.parametrize("flavour", Flavour)
def test_the_step_holds_the_fused_operators_and_no_dead_weight(exported, flavour):
    view = view_graphs(exported(flavour, Variant.FULL, "fp16"))["step"]
    layers, dual = 2, 1
    attentions = {op: count for op, count in view.nodes.items() if "JointAttention" in op}
    assert attentions == {
        "dit4sr::JointAttention": layers - 1,
        "dit4sr::JointAttentionFinal": 1,
        "dit4sr::JointAttentionDual": dual,
    }
    assert view.nodes["dit4sr::DepthwiseInject"] == layers
    origins = _origins(exported(flavour, Variant.FULL, "fp16"), "step")
    read = {key for keys in origins.values() for key in keys}
    for absent in ("norm1", "pos_embed.pos_embed", "attn2.add_", "attn2.norm_added", "time_text_embed"):
        assert not any(absent in key for key in read), absent
    assert "Transpose" not in {op for op in view.nodes if view.nodes[op] > 2}


def test_initialisers_name_their_checkpoint_tensors(exported):
    origins = _origins(exported(Flavour.OWN, Variant.FULL, "fp16"), "step")
    assert origins["network.blocks.0.attn.lr_qkv.weight"] == [
        "transformer_blocks.0.attn.to_q_control.weight",
        "transformer_blocks.0.attn.to_q.weight",
        "transformer_blocks.0.attn.to_k_control.weight",
        "transformer_blocks.0.attn.to_k.weight",
        "transformer_blocks.0.attn.to_v_control.weight",
        "transformer_blocks.0.attn.to_v.weight",
    ]


def test_the_same_inputs_make_the_same_bytes(exported, tmp_path):
    first = exported(Flavour.OWN, Variant.FULL, "fp16")
    export_bundle(alone(architecture()), ExportConfig(tmp_path / "again", precision="fp16"))
    again = {path.relative_to(tmp_path / "again"): path for path in (tmp_path / "again").rglob("*.*")}
    for name, path in again.items():
        assert path.read_bytes() == (first.path / name).read_bytes(), name


def test_static_graphs_have_no_axis_left_to_choose(tmp_path):
    manifest = export_bundle(
        alone(architecture()), ExportConfig(tmp_path / "b", static=True, components=("prepare",))
    )
    specs = [*manifest.components["prepare"].inputs, *manifest.components["prepare"].outputs]
    assert all(isinstance(axis, int) for spec in specs for axis in spec.shape)
    assert list(manifest.components) == ["prepare"]


def test_nothing_in_a_graph_tells_of_this_machine(exported):
    bundle = exported(Flavour.OWN, Variant.FULL, "fp16")
    for path in bundle.path.rglob("*.onnx"):
        assert str(Path(__file__).parents[2]).encode() not in path.read_bytes()


# --- When it goes wrong --------------------------------------------------------------------------


def refused(config: ExportConfig, kind: type[Exception], said: str, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    with pytest.raises(kind, match=said):
        export_bundle(alone(architecture()), config)
    assert sorted(folder.rglob("*")) == before


def test_an_existing_output_is_not_touched(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"dear")
    for replace in (False, True):
        config = ExportConfig(tmp_path / "photos", replace=replace)
        refused(config, BadInputError, "exists and is no bundle", tmp_path)


def test_a_bundle_is_replaced_only_on_request(tmp_path):
    config = ExportConfig(tmp_path / "b", components=("prepare",), verify=False)
    export_bundle(alone(architecture()), config)
    refused(config, BadInputError, "--force", tmp_path)
    again = ExportConfig(
        tmp_path / "b", components=("prepare",), verify=False, replace=True, precision="fp32"
    )
    export_bundle(alone(architecture()), again)
    assert Bundle.open(tmp_path / "b").card.precision == "fp32"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_unknown_names_are_refused(tmp_path):
    refused(ExportConfig(tmp_path / "b", precision="fp64"), BadInputError, "one of fp32", tmp_path)
    refused(ExportConfig(tmp_path / "b", components=("stride",)), BadInputError, "prepare, step", tmp_path)


def test_a_full_disk_is_noticed_before(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(exporter.shutil, "disk_usage", lambda _: usage)
    refused(ExportConfig(tmp_path / "b"), BadInputError, "1,000 bytes free", tmp_path)


def test_too_little_memory_is_noticed_before(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "available_memory", lambda: 10**8)
    refused(ExportConfig(tmp_path / "b"), OutOfMemoryError, "100.0 MB of memory.*--no-verify", tmp_path)


def test_large_parts_are_verified_one_runner_at_a_time(tmp_path, monkeypatch):
    """What is done at full size, on a small system: FP32 as the truth of FP16, and no loop."""
    monkeypatch.setattr(verify, "LARGE", 1000)
    manifest = export_bundle(
        alone(architecture()), ExportConfig(tmp_path / "b", components=("prepare",), precision="fp16")
    )
    assert {check.component for check in manifest.verification} == {"prepare"}


def test_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(exporter, "verify_components", interrupt)
    config = ExportConfig(tmp_path / "b", components=("prepare",))
    refused(config, KeyboardInterrupt, "^$", tmp_path)


def test_a_graph_that_strays_is_refused_and_removed(tmp_path, monkeypatch):
    """One weight changed between binding and verifying is enough."""
    honest = exporter.bind_weights

    def tampered(model, part, folder):
        honest(model, part, folder)
        data = folder / f"{part.name}.onnx.data"
        weights = np.fromfile(data, np.float16)
        weights[: len(weights) // 50] = 0
        weights.tofile(data)

    monkeypatch.setattr(exporter, "bind_weights", tampered)
    config = ExportConfig(tmp_path / "b", components=("prepare",))
    refused(config, AccuracyError, "off by", tmp_path)


def test_weights_that_overflow_half_are_named(tmp_path):
    class Large(RandomWeights):
        def read(self, key):
            return super().read(key) * (1e6 if key == "context_embedder.weight" else 1)

    network = architecture()
    large = Dit4sr(network.config, Large(read_tensors(network.config), 3))
    with pytest.raises(BadInputError, match=r"context.weight overflows.*--precision bf16"):
        export_bundle(alone(large), ExportConfig(tmp_path / "b", components=("prepare",)))
    assert list(tmp_path.iterdir()) == []


def test_folds_of_a_checkpoint_in_half_are_not_rounded_to_half(tmp_path):
    class Half(RandomWeights):
        def read(self, key):
            return super().read(key).half()

    network = architecture()
    half = Dit4sr(network.config, Half(read_tensors(network.config), 3))
    config = ExportConfig(tmp_path / "b", precision="fp32", components=("step",))
    checks = export_bundle(alone(half), config).verification
    assert checks
    assert all(check.error <= min(check.allowed, 1e-5) for check in checks)


def test_verification_notices_what_is_not_finite_or_constant():
    exact, tolerance = np.linspace(0, 1, 9), verify.Tolerance.at("fp16")
    for found, said in ((np.full(9, np.nan), "not finite"), (np.zeros(9), "constant"), (exact + 1, "off by")):
        with pytest.raises(AccuracyError, match=said):
            verify.compared("step", "velocity", exact, exact + 1e-3, found, tolerance=tolerance)


def _origins(bundle: Bundle, name: str) -> dict[str, list[str]]:
    return json.loads(ir.load(bundle.component_file(name)).metadata_props[SOURCES])
