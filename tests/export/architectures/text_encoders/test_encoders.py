"""Text encoders: equal to transformers' own, exported like everything else, and opened strictly."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx.reference
import onnx_ir as ir
import pytest
import torch
from support.encoders import TINY, TINY_VAE, write_encoder
from support.networks import alone, smallest_config, write_checkpoint

from dit4sr.export import verify
from dit4sr.export.architectures.dit4sr.layout import read_tensors
from dit4sr.export.architectures.dit4sr.network import Dit4sr
from dit4sr.export.architectures.text_encoders.clip import ClipConfig
from dit4sr.export.architectures.text_encoders.encoders import (
    FOLDERS,
    SD35_TEXT,
    TextEncoder,
    checkpoint_encoders,
    layout,
    network,
    random_encoders,
)
from dit4sr.export.architectures.text_encoders.t5 import T5Config, bucket_borders, bucket_of
from dit4sr.export.exporter import ExportConfig, export_bundle
from dit4sr.export.pipeline import checkpoint_pipeline, random_pipeline
from dit4sr.export.weights.sources import RandomWeights, StateDict
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Manifest
from dit4sr.runtime.errors import BadInputError, Dit4srError, IntegrityError

FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
SIZES = {"images": 2, "branches": 2, "steps": 2}


def architecture() -> Dit4sr:
    config = smallest_config()
    return Dit4sr(config, RandomWeights(read_tensors(config), 3), "random")


def export(folder: Path, encoders, precision: str, **options) -> Manifest:
    names = tuple(encoder.name for encoder in encoders)
    config = ExportConfig(folder, precision=precision, components=names, **options)
    return export_bundle(alone(architecture(), [encoder.component() for encoder in encoders]), config)


def in_memory(model: torch.nn.Module, config) -> torch.nn.Module:
    """Our module with the witness's weights."""
    ours = network(config).to_empty(device="cpu").double()
    keys = ours.state_dict().keys()
    ours.load_state_dict({key: value for key, value in model.state_dict().items() if key in keys})
    return ours


# --- Against the witness -------------------------------------------------------------------------


def witness(config):
    """The same encoder by transformers, its weights large enough to matter."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(5)
    if isinstance(config, ClipConfig):
        values = transformers.CLIPTextConfig(**asdict(config), bos_token_id=0, pad_token_id=1)
        model = transformers.CLIPTextModelWithProjection(values)
    else:
        model = transformers.T5EncoderModel(transformers.T5Config(**asdict(config)))
    model = model.double().eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        is_norm = "norm" in name and name.endswith("weight")
        parameter.copy_(0.4 * torch.randn_like(parameter) + (1 if is_norm else 0))
    return model


def prompts(end: int) -> torch.Tensor:
    """Three rows that end early, late and at the last place, filled up with the end token or another."""
    ids = torch.randint(3, 50, (3, 12), generator=torch.Generator().manual_seed(6))
    ids[0, 4:], ids[1, 9], ids[1, 10:], ids[2, 11] = end, end, 1, end
    return ids


@pytest.mark.parametrize("eos", [2, 55, 59])
@pytest.mark.parametrize("name", ["text_clip_l", "text_clip_g"])
def test_clip_is_transformers_clip(name, eos):
    """With eos 2, which published configs say, the text ends at the largest token; otherwise at the first."""
    config = replace(TINY[name], eos_token_id=eos)
    model = witness(config)
    ids = prompts(59 if eos == 2 else eos)
    theirs = model(input_ids=ids, output_hidden_states=True)
    hidden, pooled = in_memory(model, config)(ids)
    torch.testing.assert_close(hidden, theirs.hidden_states[-2], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(pooled, theirs.text_embeds, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tokens", [1, 7, 40, 200])
def test_t5_is_transformers_t5(tokens):
    """Theirs takes the norms' statistics in FP32 whatever it runs in."""
    config = TINY["text_t5"]
    model = witness(config)
    ids = torch.randint(50, (2, tokens), generator=torch.Generator().manual_seed(7))
    theirs = model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(in_memory(model, config)(ids), theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("buckets", "reach"), [(32, 128), (16, 64), (8, 20), (4, 9)])
def test_buckets_are_those_of_the_logarithm(buckets, reach):
    modeling = pytest.importorskip("transformers.models.t5.modeling_t5")
    offsets = torch.arange(-600, 601)
    theirs = modeling.T5Attention._relative_position_bucket(offsets, True, buckets, reach)
    assert torch.equal(bucket_of(offsets, bucket_borders(buckets, reach)), theirs)


def test_full_size_encoders_have_the_published_numbers_of_weights():
    counts = {
        name: sum(np.prod(shape) for shape in layout(config).values()) for name, config in SD35_TEXT.items()
    }
    assert counts == {
        "text_clip_l": 123_650_304,
        "text_clip_g": 694_659_840,
        "text_t5": 4_762_310_656,
    }


# --- Through the exporter ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Bundles of the three tiny encoders by precision, verified by the exporter as they were made."""
    done: dict[str, Bundle] = {}

    def bundle(precision: str) -> Bundle:
        if precision not in done:
            folder = tmp_path_factory.mktemp("text") / "bundle"
            export(folder, random_encoders(0, TINY).encoders, precision)
            done[precision] = Bundle.open(folder)
        return done[precision]

    return bundle


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_encoders_are_exported_and_agree_with_torch(exported, precision):
    """Also for rows and lengths that neither the trace nor the exporter's own check ever saw."""
    bundle = exported(precision)
    checked = [(check.component, check.output) for check in bundle.manifest.verification]
    assert checked == [
        ("text_clip_l", "text"),
        ("text_clip_l", "pooled"),
        ("text_clip_g", "text"),
        ("text_clip_g", "pooled"),
        ("text_t5", "text"),
    ]
    tolerance = verify.Tolerance.at(precision)
    for part in random_encoders(0, TINY).components():
        run = verify.graph_runner(bundle.component_file(part.name))
        truth, plain = (verify.torch_runner(part, dtype) for dtype in (torch.float64, tolerance.yardstick))
        for images, text in [(1, 1), (2, 77), (3, 150)]:
            feeds = verify.seeded_inputs(part, {**SIZES, "images": images, "text": text})
            answers = zip(part.outputs, truth(feeds), plain(feeds), run(feeds), strict=True)
            for output, *answer in answers:
                verify.compared(part.name, output, *answer, tolerance=tolerance)


def test_a_manifest_says_what_encoders_read_and_answer(exported):
    specs = {name: (part.inputs, part.outputs) for name, part in exported("fp16").components.items()}
    (ids,), (hidden, pooled) = specs["text_clip_g"]
    assert (ids.name, ids.dtype, ids.shape) == ("token_ids", "int64", ("images", 12))
    assert (hidden.name, hidden.dtype, hidden.shape) == ("text", "float32", ("images", 12, 24))
    assert (pooled.name, pooled.dtype, pooled.shape) == ("pooled", "float32", ("images", 20))
    (ids,), (hidden,) = specs["text_t5"]
    assert (ids.shape, hidden.shape) == (("images", "text"), ("images", "text", 48))


def test_a_static_t5_reads_its_own_share_of_the_text(tmp_path):
    """256 tokens, where the network itself is given these and CLIP's 77."""
    [encoder] = random_encoders(0, {"text_t5": TINY["text_t5"]}).encoders
    manifest = export(tmp_path / "b", [encoder], "fp16", static=True, verify=False)
    assert manifest.components["text_t5"].inputs[0].shape == (1, 256)


def test_words_are_looked_up_in_single_precision(exported):
    """A table is no data on its way to a product: what it holds enters the residual sum as it is."""
    for name in TINY:
        graph = ir.load(exported("fp16").component_file(name)).graph
        tables = [node for node in graph if node.op_type == "Gather" and node.inputs[0].is_initializer()]
        assert tables
        for node in tables:
            assert node.inputs[0].dtype is FLOAT
            assert node.inputs[1].dtype is ir.DataType.INT64
        readers = {use.node.op_type for use in graph.inputs[0].uses()}
        assert readers <= {"Gather", "ArgMax", "Equal", "Shape"}
        # What is summed, normed or weighed by a softmax is FP32; only a product's own bias is added in half.
        wide = [node for node in graph if node.op_type in {"LayerNormalization", "Softmax", "ReduceMean"}]
        assert {node.outputs[0].dtype for node in wide} == {FLOAT}
        products = [node for node in graph if node.op_type == "MatMul"]
        assert {value.dtype for node in products for value in (*node.inputs, *node.outputs)} == {HALF}


def test_bf16_is_a_valid_graph(tmp_path):
    manifest = export(tmp_path / "b", random_encoders(0, TINY).encoders, "bf16")
    assert list(manifest.components) == list(TINY)
    assert manifest.verification == ()


def overgrown_t5(gain: float) -> TextEncoder:
    """An encoder whose feed-forward makes numbers as large as trained ones do."""
    config = T5Config(50, 32, 8, 80, 2, 4, 32, 128, 1e-6, "gated-gelu")
    source = RandomWeights(layout(config), 1)
    weights = {key: source.read(key) * (gain if ".wi_" in key else 1) for key in layout(config)}
    return TextEncoder("text_t5", config, StateDict(weights))


def test_t5_outgrows_half_precision_and_its_graph_does_not(tmp_path):
    """Run by the reference evaluator, which rounds to FP16 wherever the graph says so.

    ONNX Runtime's CPU products are FP32 inside, and hide an overflow.
    """
    encoder = overgrown_t5(gain=250.0)
    part = encoder.component()
    feeds = verify.seeded_inputs(part, {**SIZES, "text": 20})
    exact, plain = (verify.torch_runner(part, dtype)(feeds)[0] for dtype in (torch.float64, torch.float16))
    assert not np.isfinite(plain).all()
    manifest = export(tmp_path / "b", [encoder], "fp16")
    evaluator = onnx.reference.ReferenceEvaluator(str(tmp_path / "b" / "onnx" / "text_t5.onnx"))
    [found] = evaluator.run(None, feeds)
    assert verify.relative_error(found, exact) < manifest.verification[0].allowed < 0.05
    assert Bundle.open(tmp_path / "b").manifest == manifest


def test_random_pipelines_have_encoders_on_request():
    systems = [random_pipeline("dit4sr", architecture(), 0, TINY_VAE, text) for text in (None, TINY)]
    names = [[part.name for part in (*system.text_encoders, *system.vae)] for system in systems]
    assert names[0] == ["vae_encoder", "vae_decoder"]
    assert names[1] == [*TINY, *names[0]]


# --- From a checkpoint folder --------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A system's folder with all three encoders, one of them in shards."""
    folder = write_checkpoint(tmp_path / "checkpoint", smallest_config())
    write_encoder(folder, "text_clip_l", **{"text_model.embeddings.position_ids": torch.arange(12)[None]})
    write_encoder(folder, "text_clip_g")
    write_encoder(folder, "text_t5", 3, **{"encoder.embed_tokens.weight": torch.zeros(50, 48)})
    return folder


def export_checkpoint(folder: Path, output: Path, *components: str) -> Bundle:
    system = checkpoint_pipeline(folder)
    config = ExportConfig(output, precision="fp32", components=components, verify=False)
    export_bundle(system, config)
    return Bundle.open(output)


def test_a_checkpoint_s_encoders_and_tokenizers_are_in_the_bundle(checkpoint, tmp_path):
    bundle = export_checkpoint(checkpoint, tmp_path / "b")
    bundle.verify()
    assert set(bundle.components) == {*TINY, "prepare", "step"}
    assert list(bundle.manifest.provenance.checkpoint) == [
        "diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "text_encoder_2/model.safetensors",
        *(f"text_encoder_3/model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)),
    ]
    assert [record.path for record in bundle.manifest.tokenizers] == [
        f"tokenizers/{name}/tokenizer.json" for name in ("clip_l", "clip_g", "t5")
    ]


@pytest.mark.parametrize(("name", "shards"), [("text_clip_g", 1), ("text_clip_g", 2), ("text_t5", 3)])
def test_weights_are_read_from_one_file_or_from_shards(tmp_path, name, shards):
    tensors = write_encoder(tmp_path, name, shards)
    [encoder] = checkpoint_encoders(tmp_path).encoders
    assert (encoder.name, encoder.config) == (name, TINY[name])
    assert all(torch.equal(encoder.weights.read(key), tensors[key]) for key in layout(encoder.config))


@pytest.mark.parametrize("name", TINY)
def test_what_transformers_saves_is_opened(tmp_path, name):
    model = witness(TINY[name])
    model.save_pretrained(tmp_path / FOLDERS[name][0], max_shard_size="10KB")
    assert len(list(tmp_path.rglob("*.safetensors"))) > 1
    [encoder] = checkpoint_encoders(tmp_path).encoders
    assert encoder.config == TINY[name]
    weights = model.state_dict()
    assert all(torch.equal(encoder.weights.read(key), weights[key]) for key in layout(encoder.config))


def test_tokenizers_cut_and_pad(checkpoint, tmp_path):
    """Each with its own padding: a runtime only encodes."""
    tokenizers = pytest.importorskip("tokenizers")
    bundle = export_checkpoint(checkpoint, tmp_path / "b", *TINY)
    for record, tokens, padding in zip(bundle.manifest.tokenizers, (12, 12, 256), (4, 4, 0), strict=True):
        tokenizer = tokenizers.Tokenizer.from_file(str(bundle.path / record.path))
        assert tokenizer.encode("a cat").ids[1:] == [2] + [padding] * (tokens - 2)
        assert len(tokenizer.encode("cat " * 400).ids) == tokens


# --- When it goes wrong --------------------------------------------------------------------------


def edit(file: Path, **values) -> None:
    known = json.loads(file.read_text())
    known |= values
    file.write_text(json.dumps({key: value for key, value in known.items() if value is not None}))


BAD_CONFIGS = [
    ("text_clip_l", {"hidden_size": None}, "lacks 'hidden_size'"),
    ("text_clip_l", {"hidden_size": "16"}, "hidden_size is '16'"),
    ("text_clip_l", {"num_attention_heads": 3}, "no multiple of 3 heads"),
    ("text_clip_l", {"num_hidden_layers": 0}, "below one"),
    ("text_clip_l", {"hidden_act": "relu"}, "hidden_act is 'relu', not one of quick_gelu, gelu"),
    ("text_clip_l", {"layer_norm_eps": 0.0}, "layer_norm_eps"),
    ("text_clip_l", {"num_hidden_layers": 4}, r"lacks text_model.encoder.layers.3.*and \d+ more"),
    ("text_clip_l", {"num_hidden_layers": 2}, "unknown to this Clip encoder"),
    ("text_clip_l", {"vocab_size": 61}, r"has shape \[60, 16\]; expected \[61, 16\]"),
    ("text_t5", {"d_ff": None}, "lacks 'd_ff'"),
    ("text_t5", {"feed_forward_proj": "relu"}, "T5 v1.1 has 'gated-gelu'"),
    ("text_t5", {"relative_attention_num_buckets": 30}, "30 buckets"),
    ("text_t5", {"relative_attention_max_distance": 8}, "distances up to 8"),
    ("text_t5", {"d_kv": 4}, "has shape"),
    ("text_t5", {"num_heads": True}, "num_heads is True"),
    ("text_t5", {"layer_norm_epsilon": 2}, "layer_norm_epsilon"),
    ("text_t5", {"d_model": -1}, "below one"),
]


@pytest.mark.parametrize(("name", "values", "said"), BAD_CONFIGS)
def test_a_config_that_does_not_fit_is_refused_in_one_line(tmp_path, name, values, said):
    write_encoder(tmp_path, name)
    edit(tmp_path / FOLDERS[name][0] / "config.json", **values)
    with pytest.raises(BadInputError, match=said) as refusal:
        checkpoint_encoders(tmp_path)
    assert "\n" not in str(refusal.value)
    assert str(tmp_path) in str(refusal.value)


def test_broken_folders_are_refused(tmp_path):
    write_encoder(tmp_path, "text_t5", shards=2)
    folder = tmp_path / "text_encoder_3"
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BadInputError, match=r"names model-00002.*not there"):
        checkpoint_encoders(tmp_path)
    (folder / "config.json").write_text("[]")
    with pytest.raises(IntegrityError, match="not a JSON object"):
        checkpoint_encoders(tmp_path)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(Dit4srError, match=r"config\.json"):
        checkpoint_encoders(tmp_path)


def test_a_tokenizer_in_pieces_is_refused_with_the_way_out(checkpoint, tmp_path):
    for name in ("vocab.json", "merges.txt"):
        (checkpoint / "tokenizer_2" / name).write_text("{}")
    (checkpoint / "tokenizer_2" / "tokenizer.json").unlink()
    with pytest.raises(BadInputError, match=r"only vocab.json, merges.txt.*AutoTokenizer.*--components"):
        export_checkpoint(checkpoint, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert len(export_checkpoint(checkpoint, tmp_path / "b", "text_t5").manifest.tokenizers) == 1
    shutil.rmtree(checkpoint / "tokenizer_3")
    with pytest.raises(BadInputError, match=r"tokenizer_3 holds no tokenizer.json;"):
        export_checkpoint(checkpoint, tmp_path / "c", "text_t5")


def test_a_tokenizer_must_know_its_padding(checkpoint, tmp_path):
    settings = checkpoint / "tokenizer" / "tokenizer_config.json"
    settings.write_text(json.dumps({"pad_token": "<elsewhere>"}))
    with pytest.raises(BadInputError, match="does not know the padding token '<elsewhere>'"):
        export_checkpoint(checkpoint, tmp_path / "b", "text_clip_l")
    settings.unlink()
    with pytest.raises(BadInputError, match="names no pad_token"):
        export_checkpoint(checkpoint, tmp_path / "b", "text_clip_l")
