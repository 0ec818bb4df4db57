"""Text encoders and a VAE of a few kilobytes, and the folders they are released in."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from dit4sr.export.architectures.autoencoder_kl.components import SD35_VAE
from dit4sr.export.architectures.text_encoders.clip import ClipConfig
from dit4sr.export.architectures.text_encoders.encoders import FOLDERS, layout
from dit4sr.export.architectures.text_encoders.t5 import T5Config
from dit4sr.export.weights.sources import RandomWeights

TINY = {
    "text_clip_l": ClipConfig(60, 16, 32, 3, 2, 12, 8, "quick_gelu", 1e-5, 2),
    "text_clip_g": ClipConfig(60, 24, 40, 2, 3, 12, 20, "gelu", 1e-5, 59),
    "text_t5": T5Config(50, 48, 8, 24, 2, 3, 32, 128, 1e-6, "gated-gelu"),
}
TINY_VAE = {**SD35_VAE, "block_out_channels": (4, 4, 4, 4), "norm_num_groups": 2, "layers_per_block": 1}


def write_encoder(folder: Path, name: str, shards: int = 1, **extra: torch.Tensor) -> dict[str, torch.Tensor]:
    """One encoder with its tokenizer, as transformers lays them out."""
    config = TINY[name]
    source = RandomWeights(layout(config), 9)
    tensors = {key: source.read(key) for key in layout(config)} | extra
    encoder, tokenizer = (folder / part for part in FOLDERS[name])
    encoder.mkdir(parents=True)
    (encoder / "config.json").write_text(json.dumps({"architectures": ["?"], **asdict(config)}))
    if shards == 1:
        save_file(tensors, encoder / "model.safetensors")
    else:
        names = [f"model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
        places = {key: names[place % shards] for place, key in enumerate(sorted(tensors))}
        for file in names:
            save_file({key: tensors[key] for key in places if places[key] == file}, encoder / file)
        (encoder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    write_tokenizer(tokenizer, unigram=name == "text_t5")
    return tensors


def write_tokenizer(folder: Path, *, unigram: bool) -> None:
    """A tokenizer that knows three words, whole words or pieces."""
    folder.mkdir()
    words = ["!", "a", "cat", "<unk>", "<end>"]
    if unigram:
        model = {"type": "Unigram", "unk_id": 3, "vocab": [[word, -1.0] for word in words]}
        (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": {"content": "!"}}))
    else:
        vocabulary = {word: place for place, word in enumerate(words)}
        model = {"type": "WordLevel", "unk_token": "<unk>", "vocab": vocabulary}
        (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "<end>"}))
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    values = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": 4, "content": "<end>", **added}],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": model,
    }
    (folder / "tokenizer.json").write_text(json.dumps(values))
