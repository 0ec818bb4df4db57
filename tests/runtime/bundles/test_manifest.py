"""What version 2 of the manifest adds, and how version 1 is still read."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.manifests import CARD, CONFIG, write_bundle

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, ArchitectureRecord, Manifest, View, read_manifest
from dit4sr.runtime.bundles.manifest_v1 import ADDED_SINCE
from dit4sr.runtime.errors import IntegrityError


def component(name):
    tensor = {"name": "x", "dtype": "float32", "shape": ["rows", 4]}
    file = {"path": f"onnx/{name}.onnx", "bytes": 3, "sha256": "0" * 64}
    return {"files": [file], "precision": "fp16", "inputs": [tensor], "outputs": [tensor]}


def version_1(*components):
    """A manifest as version 1 wrote it, by hand."""
    return {
        "schema": 1,
        "model": {name: value for name, value in asdict(CARD).items() if name != "presets"},
        "components": {name: component(name) for name in components},
        "provenance": {"checkpoint": {}, "versions": {}, "command": "dit4sr-export"},
        "engines": [],
        "embeddings": {},
        "tokenizers": [],
        "verification": [],
    }


def read(folder: Path, document: dict) -> Manifest:
    (folder / MANIFEST).write_text(json.dumps(document))
    return read_manifest(folder / MANIFEST)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("manifests") / "sound")


def test_a_manifest_of_version_1_is_read_with_the_order_that_it_implied(tmp_path):
    encoders = ("text_t5", "text_clip_g", "text_clip_l")
    manifest = read(tmp_path, version_1("prepare", "step", *encoders))
    assert manifest.text_encoders == ("text_clip_l", "text_clip_g", "text_t5")
    assert manifest.architecture is None
    assert manifest.model == CARD
    assert read(tmp_path, version_1("step", "text_t5", "text_new")).text_encoders == ("text_t5",)


def test_a_manifest_of_version_1_without_encoders_reads_no_words(tmp_path):
    manifest = read(tmp_path, version_1("prepare", "step"))
    assert manifest.text_encoders == ()
    assert list(manifest.components) == ["prepare", "step"]


def test_a_manifest_of_version_1_is_written_as_one_of_version_2(tmp_path):
    old = version_1("prepare", "step", "text_t5")
    new = json.loads(read(tmp_path, old).to_text())
    assert new == {**old, "schema": 2, "architecture": None, "text_encoders": ["text_t5"]}
    places = ["schema", "model", "architecture", "components", "text_encoders", "provenance"]
    assert list(new)[:6] == places
    assert [name for name in new if name in old] == list(old)


ADDITIONS = [{name: None} for name in sorted(ADDED_SINCE)]


def test_what_was_added_since_version_1_is_named():
    assert {field.name for field in fields(Manifest)} - ADDED_SINCE == set(version_1("step"))


@pytest.mark.parametrize("addition", [*ADDITIONS, {"later": 1}])
def test_version_1_never_said_what_version_2_says(tmp_path, addition):
    with pytest.raises(IntegrityError, match=f"unknown field '{next(iter(addition))}'"):
        read(tmp_path, version_1("step") | addition)


@pytest.mark.parametrize("broken", [None, [], "step"])
def test_a_damaged_manifest_of_version_1_is_refused(tmp_path, broken):
    with pytest.raises(IntegrityError, match="components is"):
        read(tmp_path, version_1() | {"components": broken})


SHOWN = {"image_encoders": ["image_clip"], "views": [{"reach": 2.0, "tokens": "far", "pooled": ""}]}


def version_2(*components):
    return version_1(*components) | {"schema": 2}


def test_what_image_encoders_are_shown_comes_back_as_it_was(tmp_path):
    manifest = read(tmp_path, version_2("step", "image_clip") | SHOWN)
    assert (manifest.views, manifest.seen_inputs) == ((View(2.0, "far"),), {"far"})
    (tmp_path / MANIFEST).write_text(manifest.to_text())
    assert read_manifest(tmp_path / MANIFEST) == manifest


def test_bundles_without_image_encoders_say_nothing_of_them(tmp_path):
    assert not SHOWN.keys() & json.loads(read(tmp_path, version_2("step")).to_text()).keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"views": []}, "not without one another"),
        ({"image_encoders": []}, "not without one another"),
        ({"image_encoders": ["image_clip", "image_clip"]}, "an image encoder is listed twice"),
        ({"image_encoders": ["image_other"]}, "image encoder 'image_other' is no component"),
        ({"views": [{"reach": 0.5, "tokens": "far"}]}, "reaches 0.5 tiles far"),
        ({"views": [{"reach": 1e9, "tokens": "far"}]}, "reaches 1000000000.0 tiles far"),
    ],
)
def test_image_encoders_that_nobody_could_show_anything_are_refused(tmp_path, change, said):
    with pytest.raises(IntegrityError, match=said):
        read(tmp_path, version_2("step", "image_clip") | SHOWN | change)


def test_the_architectures_config_comes_back_as_it_was(sound):
    assert read_manifest(sound.path / MANIFEST).architecture == ArchitectureRecord("toy", CONFIG)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=st.dictionaries(st.text(), JSON, max_size=5))
def test_any_json_is_carried_faithfully(sound, tmp_path, config):
    manifest = replace(sound.manifest, architecture=ArchitectureRecord("any", config))
    (tmp_path / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    again = read_manifest(tmp_path / MANIFEST)
    assert again == manifest
    assert repr_sorted(again.architecture.config) == repr_sorted(config)


def repr_sorted(value):
    """The value with its types: 1, 1.0 and True are equal, but not the same JSON."""
    if isinstance(value, dict):
        return {key: repr_sorted(value[key]) for key in sorted(value)}
    return [repr_sorted(item) for item in value] if isinstance(value, list) else repr(value)


@pytest.mark.parametrize(
    "config",
    [
        {"a": "\ud800"},
        {"\udfff": 1},
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": (1, 2)},
        {1: 2},
        {"a": {None: 0}},
        {"a": {1}},
    ],
)
def test_a_config_that_json_would_change_is_refused(config):
    with pytest.raises(ValueError, match="config"):
        ArchitectureRecord("toy", config)


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_refused_inside_the_config(sound, tmp_path, value):
    text = sound.manifest.to_text().replace('"layers": 24', f'"layers": {value}')
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(IntegrityError):
        read_manifest(tmp_path / MANIFEST)


def test_a_fault_inside_the_architecture_is_named_by_its_place(sound, tmp_path):
    document = json.loads(sound.manifest.to_text())
    document["architecture"]["name"] = 3
    with pytest.raises(IntegrityError, match=r"architecture\.name is 3, not str"):
        read(tmp_path, document)


def test_text_encoders_are_components_and_each_is_listed_once(sound):
    with pytest.raises(ValueError, match="'text_t5' is no component"):
        replace(sound.manifest, text_encoders=("text_t5",))
    with pytest.raises(ValueError, match="listed twice"):
        replace(sound.manifest, text_encoders=("step", "step"))


def test_a_card_may_do_without_positions_and_words(sound, tmp_path):
    document = json.loads(sound.manifest.to_text())
    document["model"] |= {"positions": None, "text_tokens": 0}
    card = read(tmp_path, document).model
    assert card.positions is None
    assert card == replace(CARD, positions=None, text_tokens=0)
    document["model"]["text_tokens"] = -1
    with pytest.raises(IntegrityError, match="tokens"):
        read(tmp_path, document)
