"""Bundles from the hub and to it: the real client, and a stand-in for the hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from PIL import Image
from support.hub import Hub
from support.photos import make_photo

from dit4sr.export.cli import command as export
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.cli import command as upscale
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.hub.client import UnreachableError
from dit4sr.runtime.hub.fetching import fetched
from dit4sr.runtime.hub.name import HubName

NAME = HubName("someone", "tiny")


def tiny_files() -> dict[str, bytes]:
    home = tiny_bundle()
    return {
        path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()
    }


def files_in(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    hub = Hub()
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "cache"))
    yield hub
    if not hub.is_closed:
        hub.close()


def test_what_is_pushed_comes_back_and_restores_the_same_picture(hub, tmp_path, capsys):
    assert run_command(export, [str(tiny_bundle()), "--push", "hf://someone/tiny"]) == 0
    assert f"{hub.endpoint}/someone/tiny/commit/" in capsys.readouterr().err
    assert hub.created[0]["visibility"] == "private"
    (files,) = hub.commits.values()
    assert files.keys() == {*tiny_files(), "README.md"}
    Image.fromarray(make_photo(16, 16)).save(tmp_path / "a.png")
    for model, output in (("hf://someone/tiny", "hub.png"), (str(tiny_bundle()), "box.png")):
        words = [str(tmp_path / "a.png"), "-o", str(tmp_path / output), "-m", model, "--steps", "1"]
        assert run_command(upscale, words) == 0
    assert (tmp_path / "hub.png").read_bytes() == (tmp_path / "box.png").read_bytes()


def test_the_card_says_sizes_precision_what_was_measured_and_the_licence(hub):
    assert run_command(export, [str(tiny_bundle()), "--push", "hf://someone/tiny"]) == 0
    card = next(iter(hub.commits.values()))["README.md"].decode()
    manifest = json.loads((tiny_bundle() / MANIFEST).read_text())
    assert "in fp16" in card
    for name in manifest["components"]:
        assert f"| {name} | fp16 |" in card
    for preset in manifest["model"].get("presets", []):
        assert f"| {preset['name']} | {preset['steps']} |" in card
    assert f"{len(manifest['verification'])} outputs compared with torch" in card
    assert "-m hf://someone/tiny" in card
    assert "non-commercial" in card


def test_only_what_the_manifest_names_is_fetched_and_only_once(hub):
    hub.commit("someone/tiny", tiny_files() | {"huge.bin": b"x", "README.md": b"y"})
    folder = fetched(NAME)
    assert files_in(folder) == tiny_files().keys()
    hub.requests.clear()
    assert fetched(NAME) == folder
    assert [request for request in hub.requests if "resolve" in request] == []


def test_a_fetch_that_was_cut_short_goes_on(hub, tmp_path):
    hub.commit("someone/tiny", tiny_files())
    hub.withheld = "onnx/step.onnx.data"
    with pytest.raises(BadInputError, match="the hub answers 403"):
        fetched(NAME)
    got = {path for path in tiny_files() if list((tmp_path / "cache").rglob(f".tiny.partial/{path}"))}
    assert got
    assert not list((tmp_path / "cache").rglob("*/tiny/manifest.json"))
    hub.withheld = ""
    hub.requests.clear()
    assert files_in(fetched(NAME)) == tiny_files().keys()
    asked = {
        request.rpartition("/resolve/")[2].partition("/")[2] for request in hub.requests if "GET" in request
    }
    assert "onnx/step.onnx.data" in asked
    assert not asked & got


def test_a_branch_is_looked_up_again_and_a_commit_never(hub):
    first = hub.commit("someone/tiny", tiny_files())
    at_first = fetched(NAME)
    assert first in str(at_first)
    second = hub.commit("someone/tiny", tiny_files())
    assert second in str(fetched(NAME))
    hub.requests.clear()
    assert fetched(HubName("someone", "tiny", first)) == at_first
    assert hub.requests == []


def test_without_an_answer_what_is_in_the_cache_is_taken_and_told(hub):
    hub.commit("someone/tiny", tiny_files())
    folder, told = fetched(NAME), []
    hub.close()
    assert fetched(NAME, told.append) == folder
    assert told[0].startswith("hf://someone/tiny@main cannot be reached")
    with pytest.raises(UnreachableError, match="and it is not in the cache; check the network"):
        fetched(HubName("someone", "other"))


def test_offline_is_told_clearly(hub):
    script = (
        "from dit4sr.runtime.hub.fetching import fetched\n"
        "from dit4sr.runtime.hub.name import HubName\n"
        "from dit4sr.runtime.errors import MissingDependencyError\n"
        "try: fetched(HubName('someone', 'tiny'))\n"
        "except MissingDependencyError as error: print(error)"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    reason = "hf://someone/tiny@main is not asked for: HF_HUB_OFFLINE is set"
    assert (done.stdout, done.returncode) == (f"{reason}, and it is not in the cache; unset it\n", 0)
    assert hub.requests == []


def test_a_damaged_file_is_refused_and_nothing_of_it_stays(hub, tmp_path):
    files = tiny_files()
    files["onnx/step.onnx.data"] = bytes(len(files["onnx/step.onnx.data"]))
    hub.commit("someone/tiny", files)
    with pytest.raises(IntegrityError, match=r"step\.onnx\.data has digest"):
        fetched(NAME)
    assert list((tmp_path / "cache").rglob("step.onnx*")) == []


def test_of_a_checkpoint_no_pickle_is_fetched(hub):
    hub.commit("someone/tiny", {"a/model.safetensors": b"s", "a/config.json": b"{}", "a/model.bin": b"p"})
    assert files_in(fetched(NAME)) == {"a/config.json", "a/model.safetensors"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "hf://someone/tiny@main: the hub answers 404; expected a repository and a revision"),
        ({"a.bin": b""}, "is neither bundle nor checkpoint; expected manifest.json or .safetensors files"),
    ],
)
def test_what_is_not_there_is_one_line(hub, files, said):
    if files:
        hub.commit("someone/tiny", files)
    with pytest.raises(BadInputError) as caught:
        fetched(NAME)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["hf://", "hf://a", "hf://a/b/c", "hf://../b", "hf://a/b@", "hf://a/b@-x"])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(BadInputError, match=r"is no name on the hub; expected hf://owner/name\[@revision\]"):
        HubName.of(text)


def test_names_are_read_with_and_without_a_revision():
    assert HubName.of("hf://a/b") == HubName("a", "b", "main")
    assert str(HubName.of("hf://a/b@v1.0/x")) == "hf://a/b@v1.0/x"
