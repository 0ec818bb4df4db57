"""Cards that do not describe their components: refused when the bundle is opened, in one line."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from support.runtime_system import write_toy_bundle
from support.toy_text import add_text_encoders

from dit4sr.runtime import Upscaler
from dit4sr.runtime.backends.card_fit import check_card
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.errors import IncompatibleError, IntegrityError


def changed(path, tmp_path, change) -> Any:
    """A copy of the bundle whose manifest says something else."""
    copy = shutil.copytree(path, tmp_path / "bundle")
    document = json.loads((copy / MANIFEST).read_text())
    change(document)
    (copy / MANIFEST).write_text(json.dumps(document))
    return copy


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("latent_channels", 5, r"as images×8×H//4×W//4; expected \?×10×\?×\?, by the model card"),
        ("latent_channels", 10**15, "by the model card"),
        ("vae_factor", 8, "by the model card's vae_factor of 8"),
        ("vae_factor", 2, "by the model card's vae_factor of 2"),
        ("vae_factor", 1 << 62, "by the model card's vae_factor"),
        ("training_tile", 368, "training_tile is 368; expected at most 48, the side of its positions' table"),
        ("text_channels", 13, r"prepare has text as rows×text×12; expected \?×\?×13, by the model card"),
        ("pooled_channels", 7, r"prepare has pooled as rows×6; expected \?×7, by the model card"),
        (
            "positions",
            {"width": 20, "table_size": 24, "base_size": 4},
            r"positions as tokens×16; expected \?×20",
        ),
    ],
)
def test_a_card_of_another_network(toy_bundle, tmp_path, field, value, said):
    path = changed(toy_bundle, tmp_path, lambda document: document["model"].update({field: value}))
    with pytest.raises(IncompatibleError, match=said) as refusal:
        Upscaler(path, use_cache=False)
    assert "\n" not in str(refusal.value)


def test_views_that_nobody_reads(toy_bundle, tmp_path):
    def show(document):
        encoder = document["components"]["vae_encoder"]
        pooled = {"name": "pooled", "dtype": "float32", "shape": ["images", 4]}
        outputs = [{**pooled, "name": "tokens", "shape": ["images", 2, 4]}, pooled]
        document["components"]["image_clip"] = {**encoder, "outputs": outputs}
        document |= {"image_encoders": ["image_clip"], "views": [{"reach": 1.0, "tokens": "far"}]}

    path = changed(toy_bundle, tmp_path, show)
    with pytest.raises(IncompatibleError, match="image encoders fill 'far', which prepare does not read"):
        Upscaler(path, use_cache=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vae_factor", 10**400),
        ("scaling", 10**400),
        ("scaling", 1e-300),
        ("shift", -(10**400)),
        ("schedule_shift", 0.0),
        ("schedule_shift", 1e300),
        ("default_guidance", 10**400),
        ("default_steps", 10**400),
        ("pooled_channels", -1),
        ("name", "\ud800"),
        ("positions", {"width": 2, "table_size": 24, "base_size": 4}),
        ("positions", {"width": 16, "table_size": 0, "base_size": 4}),
        ("positions", {"width": 16, "table_size": 24, "base_size": -1}),
    ],
)
def test_numbers_and_texts_that_no_network_has(toy_bundle, tmp_path, field, value):
    path = changed(toy_bundle, tmp_path, lambda document: document["model"].update({field: value}))
    with pytest.raises(IntegrityError, match=r"model|no JSON") as refusal:
        Bundle.open(path)
    str(refusal.value).encode()
    assert len(str(refusal.value)) < 400


def test_a_number_too_large_for_a_float_is_refused(toy_bundle, tmp_path):
    path = shutil.copytree(toy_bundle, tmp_path / "bundle")
    text = (path / MANIFEST).read_text()
    (path / MANIFEST).write_text(text.replace('"scaling": 1.3', '"scaling": 1e999'))
    with pytest.raises(IntegrityError, match="1e999 is no finite number"):
        Bundle.open(path)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda d: d["components"]["step"]["inputs"].pop(2), "step has the tensors"),
        (lambda d: d["components"]["step"]["outputs"].pop(0), "step has the tensors velocity"),
        (lambda d: d["components"]["vae_decoder"]["outputs"].clear(), "has the tensors of nobody"),
        (
            lambda d: d["components"]["vae_decoder"]["outputs"][0].update(name="picture"),
            "vae_decoder has the tensors picture; expected image",
        ),
        (
            lambda d: d["components"]["vae_encoder"]["outputs"][0].update(
                shape=["images", 8, "H//3", "W//4"]
            ),
            "vae_encoder makes 1×8×8×10 of 1×3×24×40; expected 1×8×6×10",
        ),
        (
            lambda d: d["components"]["vae_encoder"]["outputs"][0].update(shape=["images", 8, "H//4"]),
            "vae_encoder has moments as images×8×H//4",
        ),
    ],
    ids=range(6),
)
def test_components_that_the_runtime_cannot_call(toy_bundle, tmp_path, change, error):
    with pytest.raises(IncompatibleError, match=error):
        check_card(Bundle.open(changed(toy_bundle, tmp_path, change)).manifest)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["components"]["step"]["inputs"].append(d["components"]["step"]["inputs"][0]),
        lambda d: d["components"]["step"]["inputs"][0].update(shape=["images", -4, "h", "w"]),
        lambda d: d["components"]["step"]["inputs"][0].update(shape=["h" + "+h" * 9999]),
        lambda d: d["components"].update({"\udfff": d["components"]["step"]}),
        lambda d: d["components"]["step"]["files"][0].update(path="onnx/\ud800.onnx"),
        lambda d: d["components"]["step"]["files"][0].update(bytes=10**400),
    ],
    ids=["two of one name", "below zero", "endless", "name", "path", "size"],
)
def test_components_that_are_none(toy_bundle, tmp_path, change):
    with pytest.raises(IntegrityError) as refusal:
        Bundle.open(changed(toy_bundle, tmp_path, change))
    str(refusal.value).encode()
    assert len(str(refusal.value)) < 400


def test_what_prepare_makes_is_what_step_reads(toy_bundle, tmp_path):
    def narrow(document):
        document["components"]["prepare"]["outputs"][2]["dtype"] = "float16"

    with pytest.raises(
        IncompatibleError, match="makes modulation as float16; expected float32, as step reads"
    ):
        check_card(Bundle.open(changed(toy_bundle, tmp_path, narrow)).manifest)


def test_a_text_encoder_answers_in_rows(tmp_path):
    path = add_text_encoders(write_toy_bundle(tmp_path / "toy"))
    check_card(Bundle.open(path).manifest)

    def flatten(document):
        document["components"]["text_t5"]["outputs"][0]["shape"] = ["rows", 12]

    with pytest.raises(IncompatibleError, match=r"text_t5 has text as rows×12; expected \?×\?×\?"):
        check_card(Bundle.open(changed(path, tmp_path, flatten)).manifest)


def test_what_is_in_the_box_fits(toy_bundle):
    for path in (toy_bundle, tiny_bundle()):
        check_card(Bundle.open(path).manifest)
