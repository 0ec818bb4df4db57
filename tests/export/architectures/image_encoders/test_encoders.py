"""Image encoders: equal to transformers' own from the same picture, and opened strictly."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from support.dual_prompted import TOWER, write_dual_prompted

from dit4sr.export.architectures.dpir.config import SMALLEST
from dit4sr.export.architectures.dpir.network import random_network
from dit4sr.export.architectures.image_encoders.encoders import (
    CLIP_L,
    ImageEncoder,
    checkpoint_image_encoders,
    layout,
)
from dit4sr.export.verify import torch_runner
from dit4sr.export.weights.folds import evaluate
from dit4sr.export.weights.sources import RandomWeights, StateDict
from dit4sr.runtime.errors import BadInputError, Dit4srError

SIGHT = random_network(SMALLEST, 0).sight()


def photo(side: int) -> np.ndarray:
    return np.random.default_rng(8).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("layer", [-1, -2, -3])
@pytest.mark.parametrize("class_token", [False, True])
@pytest.mark.parametrize("side", [28, 61])
def test_it_is_transformers_tower_from_the_same_picture(layer, class_token, side):
    """Its preprocessing as well: Pillow's resize and CLIP's colours."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(5)
    values = transformers.CLIPVisionConfig(**asdict(TOWER))
    witness = transformers.CLIPVisionModelWithProjection(values).double().eval().requires_grad_(False)
    for name, parameter in witness.named_parameters():
        is_norm = "norm" in name and name.endswith("weight")
        parameter.copy_(0.4 * torch.randn_like(parameter) + (1 if is_norm else 0))

    square = Image.fromarray(photo(side)).resize((28, 28), Image.Resampling.BICUBIC)
    mean, spread = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    pixels = (np.asarray(square) / 255 - np.array(mean)) / np.array(spread)
    theirs = witness(
        pixel_values=torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()), output_hidden_states=True
    )
    state = {key: value for key, value in witness.state_dict().items() if "position_ids" not in key}
    sight = replace(SIGHT, layer=layer, class_token=class_token)
    source = ImageEncoder("image_clip", TOWER, StateDict(state), sight).component()
    shown = np.asarray(square).transpose(2, 0, 1)[None] / 127.5 - 1
    tokens, pooled = torch_runner(source, torch.float64)({"image": shown})
    wanted = theirs.hidden_states[layer][:, 0 if class_token else 1 :]
    np.testing.assert_allclose(tokens, wanted.numpy(), rtol=0, atol=1e-10)
    np.testing.assert_allclose(pooled, theirs.image_embeds.numpy(), rtol=0, atol=1e-10)


def test_what_the_runtime_shows_is_what_clips_own_processor_makes():
    """But for the arithmetic: a square of bytes, resized by Pillow, its colours from -1 to 1."""
    transformers = pytest.importorskip("transformers")
    from dit4sr.runtime.image.photo import resized  # noqa: PLC0415

    picture = photo(61)
    sizes = {"size": {"shortest_edge": 28}, "crop_size": {"height": 28, "width": 28}}
    processor = transformers.CLIPImageProcessor(**sizes)
    theirs = processor(Image.fromarray(picture), return_tensors="np")["pixel_values"][0]
    ours = resized(picture, (28, 28)).transpose(2, 0, 1) / 127.5 - 1
    mean, spread = (np.array(values)[:, None, None] for values in (processor.image_mean, processor.image_std))
    np.testing.assert_allclose(((ours + 1) / 2 - mean) / spread, theirs, rtol=0, atol=2e-6)


def test_clip_l_has_the_published_size():
    sizes = [int(np.prod(shape)) for shape in layout(CLIP_L).values()]
    assert sum(sizes) == 303_966_208
    assert CLIP_L.patches == 256


def test_a_folder_is_opened_with_its_preprocessor(tmp_path):
    folder = write_dual_prompted(tmp_path / "checkpoint")
    (folder / "feature_extractor").mkdir()
    stated = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
    (folder / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(stated))
    [encoder] = checkpoint_image_encoders(folder, SIGHT)
    source = encoder.component()
    # Colours from -1 to 1 are then those that the tower was trained on: nothing is left to fold.
    key = "vision_model.embeddings.patch_embedding.weight"
    weights = RandomWeights(layout(TOWER), 9)
    patches = (key, key.replace("weight", "bias"))
    folded = {name: evaluate(source.recipes[name], weights.read) for name in patches}
    torch.testing.assert_close(folded[key], weights.read(key))
    assert not folded[key.replace("weight", "bias")].any()


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("image_encoder/config.json", {"hidden_act": "relu"}, "hidden_act is 'relu'"),
        ("image_encoder/config.json", {"patch_size": 13}, "no multiple of patches of 13"),
        ("image_encoder/config.json", {"num_channels": 4}, "num_channels is 4"),
        ("image_encoder/config.json", {"hidden_size": 32}, "has shape"),
        ("image_encoder/config.json", {"num_hidden_layers": 3}, "lacks"),
        ("feature_extractor/preprocessor_config.json", {"image_std": [0.2, 0.2]}, "spread is"),
        ("feature_extractor/preprocessor_config.json", {"image_mean": [0.2, "a", 1]}, "mean is"),
    ],
)
def test_a_folder_that_is_amiss_is_refused_in_a_line(tmp_path, file, change, named):
    folder = write_dual_prompted(tmp_path / "checkpoint")
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | change))
    with pytest.raises(Dit4srError) as refusal:
        checkpoint_image_encoders(folder, SIGHT)
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"channels": 24}, "makes 64 channels"),
        ({"pooled_channels": 8}, "makes 12 pooled channels"),
        ({"tokens": 5}, "makes 4 tokens"),
        ({"layer": -9}, "fewer layers than 9"),
    ],
)
def test_the_encoder_of_another_network_is_refused(tmp_path, wanted, named):
    folder = write_dual_prompted(tmp_path / "checkpoint")
    with pytest.raises(BadInputError) as refusal:
        checkpoint_image_encoders(folder, replace(SIGHT, **wanted))
    assert named in refusal.value.found
