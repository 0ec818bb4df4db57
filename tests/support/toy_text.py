"""Text encoders for the small system: each a look-up of words, with its tokenizer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from support.runtime_system import TEXT, TEXT_CHANNELS, value_info
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from dit4sr.runtime.bundles.manifest import (
    MANIFEST,
    Component,
    Manifest,
    TensorSpec,
    record_of,
)
from dit4sr.runtime.bundles.schema import from_json

WORDS = ["[PAD]", "[UNK]", "a", "cat", "sits", "dog", "blur", "noisy", "sharp", "photograph", ".", ","]
TEXT_WIDTHS = {"clip_l": 2, "clip_g": 4, "t5": TEXT_CHANNELS}


def toy_text_tables(seed: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=(len(WORDS), width)).astype(np.float32) for name, width in TEXT_WIDTHS.items()
    }


def add_text_encoders(folder: Path, seed: int = 2, tokenizers: tuple[str, ...] = tuple(TEXT_WIDTHS)) -> Path:
    """Give a bundle two CLIPs and a T5, each a look-up of words, and their tokenizers."""
    manifest = from_json(Manifest, json.loads((folder / MANIFEST).read_text()))
    components, records = dict(manifest.components), []
    for name, table in toy_text_tables(seed).items():
        path = folder / "onnx" / f"text_{name}.onnx"
        components[f"text_{name}"] = _write_text_encoder(path, table, folder, pooled=name != "t5")
        if name in tokenizers:
            file = folder / "tokenizers" / name / "tokenizer.json"
            file.parent.mkdir(parents=True)
            _write_tokenizer(file)
            records.append(record_of(file, folder))
    encoders = tuple(f"text_{name}" for name in TEXT_WIDTHS)
    (folder / MANIFEST).write_text(
        replace(manifest, components=components, text_encoders=encoders, tokenizers=tuple(records)).to_text()
    )
    return folder


def _write_text_encoder(path: Path, table: np.ndarray, folder: Path, *, pooled: bool) -> Component:
    width = table.shape[1]
    nodes = [helper.make_node("Gather", ["table", "tokens"], ["text"])]
    outputs = [TensorSpec("text", "float32", ("rows", "length", width))]
    if pooled:
        nodes.append(helper.make_node("ReduceMean", ["text", "axis"], ["pooled"], keepdims=0))
        outputs.append(TensorSpec("pooled", "float32", ("rows", width)))
    inputs = (TensorSpec("tokens", "int64", ("rows", "length")),)
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["rows", "length"])],
        [value_info(tensor) for tensor in outputs],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return Component((record_of(path, folder),), "fp32", inputs, tuple(outputs))


def _write_tokenizer(file: Path) -> None:
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_padding(length=TEXT, pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(TEXT)
    tokenizer.save(str(file))
