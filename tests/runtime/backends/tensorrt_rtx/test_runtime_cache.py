"""Kernels that are kept for the next process."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_tensorrt_rtx import (
    MACHINE,
    another_process,
)
from support.plan_pictures import photo, restored

from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.backends.tensorrt_rtx import runtime_cache as caches
from dit4sr.runtime.backends.tensorrt_rtx.backend import TensorRtx
from dit4sr.runtime.backends.tensorrt_rtx.runtime_cache import RuntimeCache
from dit4sr.runtime.bundles.manifest import FileRecord


def grown_old(folder: Path) -> list[Path]:
    """Files that from now on tell whether they were written anew."""
    files = list(folder.iterdir())
    for file in files:
        os.utime(file, (0, 0))
    return files


def test_kernels_are_compiled_once_and_not_by_the_next_process(planned, gpu, cache, monkeypatch):
    picture = restored(planned, NAME, photo(8, 8))
    assert set(gpu.compiled.values()) == {1}
    assert len(grown_old(cache)) == 4
    again = another_process(monkeypatch)
    np.testing.assert_array_equal(restored(planned, NAME, photo(8, 8)), picture)
    assert not again.compiled
    assert [path for path in cache.iterdir() if path.stat().st_mtime] == [], "written though nothing was new"


@pytest.mark.parametrize("change", [{"driver": "13.1"}, {"device": "Fake RTX 3090", "architecture": "sm_80"}])
def test_each_driver_and_card_has_kernels_of_its_own(planned, gpu, cache, monkeypatch, change):
    restored(planned, NAME, photo(8, 8))
    again = another_process(monkeypatch, **change)
    restored(planned, NAME, photo(8, 8))
    assert again.compiled == gpu.compiled
    assert len(list(cache.iterdir())) == 8


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda old: old[:-1], lambda old: old + b" ", lambda _: b"x" * 99]
)
def test_kernels_that_are_damaged_are_compiled_and_written_anew(planned, gpu, cache, monkeypatch, damage):
    restored(planned, NAME, photo(8, 8))
    kept = {path: path.read_bytes() for path in cache.iterdir()}
    for path, content in kept.items():
        path.write_bytes(damage(content))
    again = another_process(monkeypatch)
    restored(planned, NAME, photo(8, 8))
    assert again.compiled == gpu.compiled
    assert {path: path.read_bytes() for path in cache.iterdir()} == kept


def test_kernels_that_the_library_rejects_are_compiled_and_written_anew(planned, gpu, cache, monkeypatch):
    restored(planned, NAME, photo(8, 8))
    grown_old(cache)
    again = another_process(monkeypatch)
    again.rejects_caches = True
    restored(planned, NAME, photo(8, 8))
    assert again.compiled == gpu.compiled
    assert all(path.stat().st_mtime for path in cache.iterdir())


def test_kernels_for_sizes_that_are_free_are_kept_when_they_are_there(planned, gpu, cache):
    """They are compiled while others run, so that they are there some runs later."""
    backend = TensorRtx(gpu)
    decoder = backend.open(planned, "vae_decoder").context()
    kernels = []
    for _ in range(4):
        decoder.run({"latent": backend.upload(np.ones((1, 4, 8, 8), np.float32))})
        [file] = cache.iterdir()
        kernels.append(len(json.loads(file.read_bytes()[32:])))
    assert kernels == [1, 2, 2, 2]


RECORD = FileRecord("engines/any.plan", 1, "ab" * 32)


def test_what_is_too_large_is_not_kept(cache, monkeypatch):
    monkeypatch.setattr(caches, "LARGEST", 5)
    kept = RuntimeCache.of(RECORD, MACHINE)
    kept.write(b"kernel")
    assert not cache.exists()
    kept.write(b"small")
    assert kept.read() == b"small"


def test_only_the_latest_are_kept(cache, monkeypatch):
    monkeypatch.setattr(caches, "MOST", 2)
    for number in range(4):
        RuntimeCache.of(replace(RECORD, sha256=f"{number}" * 64), MACHINE).write(b"kernels")
    assert len(list(cache.iterdir())) == 2


def test_a_folder_that_others_may_write_to_is_neither_read_nor_written(cache):
    """Kernels are code: what somebody else has put there is not run, and does not become ours."""
    kept = RuntimeCache.of(RECORD, MACHINE)
    kept.write(b"kernels")
    assert cache.stat().st_mode & 0o777 == 0o700
    cache.chmod(0o777)
    assert kept.read() == b""
    kept.write(b"others")
    cache.chmod(0o700)
    assert kept.read() == b"kernels"


@pytest.mark.usefixtures("gpu")
def test_a_user_without_a_home_runs_all_the_same(planned, monkeypatch):
    monkeypatch.delenv("DIT4SR_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(caches, "user_cache", lambda _: None)
    found = restored(planned, NAME, photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))


@pytest.mark.usefixtures("gpu")
def test_a_disk_that_takes_nothing_is_no_reason_to_stop(planned, cache):
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"in the way")
    found = restored(planned, NAME, photo(8, 8))
    np.testing.assert_array_equal(found, restored(planned, "onnxruntime", photo(8, 8)))
