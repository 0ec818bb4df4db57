"""Engines are code: those that were built here are known by their digests, and no others run unasked."""

from __future__ import annotations

import dataclasses
import stat
import threading
from pathlib import Path

import pytest

from dit4sr.runtime.bundles import trust
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine, FileRecord


@pytest.fixture
def config(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("DIT4SR_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config" / "built-engines"


def files(*digests: str, folder: str = "engines/any") -> tuple[FileRecord, ...]:
    return tuple(FileRecord(f"{folder}/{i}", 1, digest * 64) for i, digest in enumerate(digests))


@pytest.mark.usefixtures("config")
def test_what_was_built_here_is_known_by_every_one_of_its_files():
    assert not trust.was_built_here(files("a", "b"))
    trust.remember(files("a", "b"))
    assert trust.was_built_here(files("a", "b"))
    assert trust.was_built_here(files("a", "b", folder="engines/moved"))
    for others in (files("a", "c"), files("c", "b"), files("a"), files("b", "a"), files("a", "b", "b"), ()):
        assert not trust.was_built_here(others)


@pytest.mark.parametrize("damage", [b"", b"a", ("a" * 64 + "\n" + "b" * 63).encode(), b"\xff" * 130])
def test_a_damaged_memory_trusts_nothing(config, damage):
    trust.remember(files("a", "b"))
    [entry] = config.iterdir()
    entry.write_bytes(damage)
    assert not trust.was_built_here(files("a", "b"))
    entry.unlink()
    entry.mkdir()
    assert not trust.was_built_here(files("a", "b"))
    trust.remember(files("a", "b"))  # cannot be written, and that is no failure


def test_what_others_could_have_written_trusts_nothing(config):
    trust.remember(files("a"))
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    for mode in (0o770, 0o707, 0o720):
        config.chmod(mode)
        assert not trust.was_built_here(files("a"))
    trust.remember(files("a"))
    assert trust.was_built_here(files("a"))


def test_without_a_home_nothing_is_remembered_and_nothing_fails(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for variable in ("DIT4SR_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    trust.remember(files("a"))
    assert not trust.was_built_here(files("a"))


def test_where_nothing_can_be_written_nothing_fails(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DIT4SR_CONFIG", str(tmp_path / "file"))
    trust.remember(files("a"))
    assert not trust.was_built_here(files("a"))


@pytest.mark.usefixtures("config")
def test_writers_at_once_lose_nothing():
    engines = [files(a, b) for a in "0123456789abcdef" for b in "0123456789"]
    parts = [engines[i::8] + engines[:4] for i in range(8)]
    threads = [threading.Thread(target=lambda part=part: [trust.remember(e) for e in part]) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(trust.was_built_here(engine) for engine in engines)


def test_the_oldest_are_forgotten(config, monkeypatch):
    monkeypatch.setattr(trust, "MOST", 5)
    for number in "0123456789":
        trust.remember(files(number))
    assert len(list(config.iterdir())) == 5
    assert trust.was_built_here(files("9"))


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize(("said", "is_given"), [("1", True), ("", False), ("0", False), ("false", False)])
def test_an_environment_gives_its_word_in_one_way(toy_bundle, monkeypatch, said, is_given):
    monkeypatch.setenv(trust.VARIABLE, said)
    assert bool(with_engine(toy_bundle).engines) is is_given


@pytest.mark.usefixtures("config")
def test_a_bundle_shows_the_engines_that_may_run_and_no_others(toy_bundle):
    bundle = with_engine(toy_bundle)
    assert len(bundle.manifest.engines) == 1
    assert bundle.engines == ()
    assert bundle.withholds_engines("inductor")
    assert not bundle.withholds_engines("tensorrt")
    for trusting in (
        dataclasses.replace(bundle, trusts_engines=True),
        with_engine(toy_bundle, remembered=True),
    ):
        assert trusting.engines == bundle.manifest.engines
        assert not trusting.withholds_engines("inductor")


def with_engine(path: Path, *, remembered: bool = False) -> Bundle:
    bundle = Bundle.open(path)
    engine = Engine("inductor", "step", files("d", "e"), "fp32", "cpu", {}, ())
    if remembered:
        trust.remember(engine.files)
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, engines=(engine,)))
