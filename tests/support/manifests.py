"""Bundles of a few bytes, and ways to spoil them."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    ArchitectureRecord,
    Check,
    Component,
    Engine,
    Manifest,
    ModelCard,
    PositionTable,
    Provenance,
    TensorSpec,
    record_of,
)

CARD = ModelCard(
    name="DiT4SR",
    flavour="own",
    variant="full",
    precision="fp16",
    latent_channels=16,
    vae_factor=8,
    scaling=1.5305,
    shift=0.0609,
    patch_size=2,
    schedule_shift=3.0,
    training_tile=64,
    default_steps=40,
    default_guidance=8.0,
    text_tokens=333,
    text_channels=4096,
    pooled_channels=2048,
    positions=PositionTable(1536, 384, 64),
    weights="none",
)

CONFIG = {
    "layers": 24,
    "dual": [0, 1.5, -2e-30, []],
    "names": {"a": "é", "": None, "nested": {"deep": [{"x": True}]}},
}
"""One of everything that JSON has."""


def write_bundle(folder: Path) -> Bundle:
    """A bundle with one of everything; its graph is empty, which no reader of manifests minds."""
    for name in ("onnx/step.onnx", "onnx/step.onnx.data", "engines/cpu/step.pt2", "tokenizers/t5.json"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x08\x0a" * 9 if name.endswith(".onnx") else name.encode() * 9)
    (folder / "embeddings").mkdir()
    np.save(folder / "embeddings" / "positive.text.npy", np.ones((3, 8), np.float32))
    np.save(folder / "embeddings" / "positive.pooled.npy", np.ones(4, np.float32))

    def records(*names: str):
        return tuple(record_of(folder / name, folder) for name in names)

    manifest = Manifest(
        schema=SCHEMA_VERSION,
        model=CARD,
        architecture=ArchitectureRecord("toy", CONFIG),
        components={
            "step": Component(
                records("onnx/step.onnx", "onnx/step.onnx.data"),
                "fp16",
                (TensorSpec("latent", "float32", ("images", 16, "height", "width")),),
                (TensorSpec("next_latent", "float32", ("images", 16, "height", "width")),),
            )
        },
        provenance=Provenance({"file": "0" * 64}, {"torch": "2.13.0"}, "dit4sr-export"),
        engines=(
            Engine(
                "inductor", "step", records("engines/cpu/step.pt2"), "fp16", "cpu", {"torch": "2.13.0"}, ()
            ),
        ),
        embeddings={"positive": records("embeddings/positive.text.npy", "embeddings/positive.pooled.npy")},
        tokenizers=records("tokenizers/t5.json"),
        verification=(Check("step", "next_latent", 1e-4, 1e-3),),
    )
    (folder / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    return Bundle.open(folder)


STRANGE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "x" * 5000, [], {}, [[]], {"a": 1}, "\0", "é\u202e"),
    *("/etc/passwd", "../../etc/passwd", "a/../../b", "..", "C:\\x", "onnx/../../x", "//x", "~/x"),
)


def mutated(document: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Change a few places of a JSON document: replace, drop, double or add."""
    document = copy.deepcopy(document)
    for _ in range(rng.randint(1, 4)):
        container, key = rng.choice(list(places(document)))
        action, strange = rng.randrange(4), copy.deepcopy(rng.choice(STRANGE))
        if action == 0:
            container[key] = strange
        elif action == 1:
            del container[key]
        elif isinstance(container, dict):
            container[str(rng.choice(STRANGE))] = rng.choice([container[key], strange])
        else:
            container.append(rng.choice([container[key], strange]))
    return document


def places(value: Any):
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        yield value, key
        yield from places(item)
