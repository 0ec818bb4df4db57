"""What is loaded is what was hashed: files that are exchanged, written to or led away in between."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.fake_tensorrt import FakeGpu
from support.runtime_system import write_toy_bundle
from support.tensorrt_bundle import plan_bundle
from support.toy_text import add_text_encoders

from dit4sr.runtime import Upscaler
from dit4sr.runtime.backends.inductor.backend import Inductor
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.bundles import checked_files
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.checked_files import CheckedFile
from dit4sr.runtime.bundles.manifest import Engine, FileRecord, record_of
from dit4sr.runtime.errors import IntegrityError

TICK = 0.05
"""Seconds, longer than a tick of any file system's clock."""


def exchange(path: Path) -> None:
    """Another file of the same size takes its place."""
    other = path.with_name("other")
    other.write_bytes(bytes(byte ^ 0x55 for byte in path.read_bytes()))
    other.replace(path)


def overwrite(path: Path) -> None:
    """The same file gets another content, and its old time."""
    times = path.stat()
    path.write_bytes(bytes(byte ^ 0x55 for byte in path.read_bytes()))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def exchange_and_put_back(path: Path) -> None:
    """Who looks afterwards finds the file that was there before."""
    aside = path.with_name("aside")
    path.rename(aside)
    path.write_bytes(b"something else")
    aside.replace(path)


def lead_away(path: Path) -> None:
    """The same bytes, behind a link."""
    aside = path.with_name("aside")
    path.rename(aside)
    path.symlink_to(aside)


def shorten(path: Path) -> None:
    path.write_bytes(b"")


CHANGES = (exchange, overwrite, exchange_and_put_back, lead_away, shorten)


@pytest.fixture
def file(tmp_path) -> Callable[[], CheckedFile]:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_bytes(b"content" * 999)
    record = record_of(tmp_path / "in" / "file", tmp_path)
    time.sleep(TICK)
    return lambda: CheckedFile(tmp_path, record)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_after_its_digest_is_refused(file, change):
    with file() as opened:
        opened.check()
        opened.require_unchanged()
        change(opened.path)
        with pytest.raises(IntegrityError, match=r"in/file (changed while it was read|cannot be read)"):
            opened.require_unchanged()


def test_bytes_that_were_hashed_are_ours(file):
    with file() as opened:
        content = opened.content()
        with opened.copied() as copy:
            overwrite(opened.path)
            assert content == copy.read_bytes() == b"content" * 999
        assert not copy.exists()
        for read in (opened.content, opened.check, lambda: opened.copied().__enter__()):
            with pytest.raises(IntegrityError, match="has digest"):
                read()


@pytest.mark.parametrize("change", [exchange, exchange_and_put_back, lead_away])
def test_an_open_file_is_read_wherever_its_path_leads_now(file, change):
    with file() as opened:
        change(opened.path)
        assert bytes(opened.mapped()) == opened.content() == b"content" * 999


def test_an_empty_file_is_a_file(tmp_path):
    (tmp_path / "empty").touch()
    with CheckedFile(tmp_path, record_of(tmp_path / "empty", tmp_path)) as opened:
        assert bytes(opened.mapped()) == opened.content() == b""


def link_to_another_file(path: Path) -> None:
    path.symlink_to(path.with_name("target"))


def link_on_the_way(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to(path.parent.with_name("elsewhere"))
    path.write_bytes(b"target")


def pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (link_to_another_file, "is a link"),
        (link_on_the_way, "is a link"),
        (pipe, "missing"),
        (Path.mkdir, "missing"),
    ],
)
def test_only_files_that_are_themselves_are_opened(tmp_path, make, words):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "target").write_bytes(b"target")
    record = record_of(tmp_path / "in" / "target", tmp_path)
    make(tmp_path / "in" / "file")
    with pytest.raises(IntegrityError, match=words):
        CheckedFile(tmp_path, FileRecord("in/file", record.bytes, record.sha256))


# ---------------------------------------------------------------------------------------- for every loader


class Swap:
    """Changes a file as soon as its digest has been found right."""

    def __init__(self, monkeypatch) -> None:
        check = CheckedFile._require_digest
        self.change, self.wanted, self.done = None, "none", 0

        def require(file: CheckedFile, digest: str) -> None:
            check(file, digest)
            self.after(file)

        monkeypatch.setattr(CheckedFile, "_require_digest", require)

    def after(self, file: CheckedFile) -> None:
        if file.path.match(self.wanted) and not self.done:
            self.done += 1
            self.change(file.path)


@pytest.fixture
def swap(monkeypatch) -> Iterator[Swap]:
    swap = Swap(monkeypatch)
    yield swap
    assert swap.done == 1, "nothing was exchanged"


@pytest.fixture
def tiny(tmp_path) -> Bundle:
    shutil.copytree(tiny_bundle(), tmp_path / "tiny")
    time.sleep(TICK)
    return Bundle.open(tmp_path / "tiny")


LATENT = np.ones((1, 4, 8, 8), np.float32)


def decoded(bundle: Bundle) -> np.ndarray:
    backend = OnnxRuntime("cpu", threads=1)
    context = backend.open(bundle, "vae_decoder").context()
    latent = np.ones((1, bundle.card.latent_channels, 8, 8), np.float32)
    return backend.download(context.run({"latent": backend.upload(latent)})["image"])


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("is_small", "wanted"), [(True, "*.data"), (False, "*.data"), (False, "*.onnx")])
def test_onnxruntime_refuses_what_changed_while_it_read(tiny, swap, monkeypatch, is_small, wanted, change):
    """Whether the library made something of the other content or failed."""
    if not is_small:
        monkeypatch.setattr(checked_files, "IN_MEMORY", 0)
    swap.wanted, swap.change = wanted, change
    with pytest.raises(IntegrityError, match=r"vae_decoder.* (changed while it was read|cannot be read)"):
        decoded(tiny)


@pytest.mark.parametrize("change", CHANGES)
def test_onnxruntime_loads_the_graph_that_was_hashed(tiny, swap, change):
    expected = decoded(Bundle.open(tiny_bundle()))
    swap.wanted, swap.change = "*.onnx", change
    np.testing.assert_array_equal(decoded(tiny), expected)


@pytest.mark.parametrize("is_small", [True, False], ids=["small", "large"])
@pytest.mark.parametrize("change", CHANGES)
def test_tensorrt_loads_what_was_hashed(planned, swap, monkeypatch, change, is_small):
    """It was opened and hashed; it is read when it is first run."""
    if not is_small:
        monkeypatch.setattr(checked_files, "IN_MEMORY", 0)
    backend = TensorRt(FakeGpu())
    swap.wanted, swap.change = "vae_decoder*.plan", change
    engine = backend.open(planned, "vae_decoder")
    try:
        answer = engine.context().run({"latent": backend.upload(LATENT)})["image"]
    except IntegrityError as refusal:
        assert ".plan" in str(refusal)
    else:
        assert is_small
        assert change not in {overwrite, shorten}
        expected = TensorRt(FakeGpu())
        context = expected.open(Bundle.open(planned.path.with_name("copy")), "vae_decoder").context()
        found = expected.download(context.run({"latent": expected.upload(LATENT)})["image"])
        np.testing.assert_array_equal(backend.download(answer), found)


@pytest.fixture
def planned(tmp_path) -> Bundle:
    """A bundle with plans, and a copy of it."""
    bundle = plan_bundle(tmp_path / "planned", FakeGpu())
    shutil.copytree(bundle.path, tmp_path / "copy")
    time.sleep(TICK)
    return bundle


def with_package(folder: Path) -> Bundle:
    """A bundle with a package that torch never sees: what it would be given is looked at."""
    bundle = Bundle.open(write_toy_bundle(folder))
    (folder / "step.pt2").write_bytes(b"code" * 99)
    save_file({"weight": torch.arange(64.0)}, folder / "step.safetensors")
    files = tuple(record_of(folder / name, folder) for name in ("step.pt2", "step.safetensors"))
    engine = Engine("inductor", "vae_decoder", files, "fp32", "cpu", {}, ())
    time.sleep(TICK)
    return replace(bundle, manifest=replace(bundle.manifest, engines=(engine,)), trusts_engines=True)


class Looking(Inductor):
    """Keeps what torch would be given."""

    def loaded(self, package, weights):
        self.given = package.read_bytes(), weights["weight"].clone()
        return lambda _: (torch.zeros(1, 3, 32, 32),)


@pytest.mark.parametrize("change", CHANGES)
def test_inductor_loads_what_was_hashed(tmp_path, swap, change):
    bundle, backend = with_package(tmp_path / "compiled"), Looking("cpu", threads=1)
    swap.wanted, swap.change = "step.pt2", change
    engine = backend.open(bundle, "vae_decoder")
    try:
        engine.context().run({"latent": backend.upload(LATENT)})
    except IntegrityError as refusal:
        assert "step.pt2 has digest" in str(refusal)
    else:
        assert backend.given[0] == b"code" * 99
        assert change not in {overwrite, shorten}


@pytest.mark.parametrize("change", CHANGES)
def test_inductor_takes_the_weights_that_were_hashed(tmp_path, swap, change):
    bundle, backend = with_package(tmp_path / "compiled"), Looking("cpu", threads=1)
    swap.wanted, swap.change = "step.safetensors", change
    with pytest.raises(IntegrityError, match="safetensors"):
        backend.open(bundle, "vae_decoder")


@pytest.mark.parametrize("change", CHANGES)
def test_stored_prompts_are_what_was_hashed(tiny, swap, change):
    expected = np.load(tiny.path / "embeddings" / "positive.text.npy")
    swap.wanted, swap.change = "positive.text.npy", change
    np.testing.assert_array_equal(tiny.embedding("positive")["text"], expected)


@pytest.mark.parametrize("change", CHANGES)
def test_tokenizers_are_what_was_hashed(tmp_path, swap, change):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"))
    with Upscaler(path, use_cache=False) as upscaler:
        expected = upscaler._text._tokens("a cat", None)
        swap.wanted, swap.change = "tokenizers/t5/tokenizer.json", change
        np.testing.assert_array_equal(upscaler._text._tokens("a cat", None), expected)
