"""Manifests and bundles: sound ones read back the same, others are refused, nothing outside is read."""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.manifests import mutated, write_bundle

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, FileRecord, read_manifest
from dit4sr.runtime.errors import BadInputError, Dit4srError, IncompatibleError, IntegrityError

WITHOUT_FIXTURE_CHECK = [HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Bundle:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "sound")


class OpenedPaths:
    """Every path this process opens while watching; the interpreter itself reports them."""

    def __init__(self) -> None:
        self.paths: list[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple) -> None:
        if event == "open" and self.paths is not None and isinstance(arguments[0], (str, bytes)):
            self.paths.append(str(arguments[0]))

    def __enter__(self) -> list[str]:
        self.paths = []
        return self.paths

    def __exit__(self, *_: object) -> None:
        self.paths = None


OPENED = OpenedPaths()


def use_everything(folder: Path) -> None:
    """Read all there is to read, as a runtime would."""
    bundle = Bundle.open(folder)
    for name in bundle.components:
        bundle.component_file(name)
    for name in bundle.manifest.embeddings:
        bundle.embedding(name)
    bundle.verify()


def test_what_is_written_is_what_is_read(sound):
    assert Bundle.open(sound.path).manifest == sound.manifest
    assert read_manifest(sound.path / MANIFEST).to_text() == sound.manifest.to_text()
    use_everything(sound.path)
    prompt = sound.embedding("positive")
    assert list(prompt) == ["text", "pooled"]
    assert prompt["text"].shape == (3, 8)
    assert prompt["pooled"].dtype == np.float32


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../b", "a//b", "", ".", "./a", "a\\b", "C:x", "a/./b", "a/", "a\0b", ".."]
)
def test_paths_that_do_not_stay_inside(path):
    with pytest.raises(ValueError, match="inside the bundle"):
        FileRecord(path, 1, "a" * 64)


@settings(max_examples=1200, deadline=None, suppress_health_check=WITHOUT_FIXTURE_CHECK)
@given(seed=st.integers(0, 2**48))
def test_a_mutated_manifest_is_refused_or_harmless(sound, seed):
    """Whatever the manifest says, the answer is a typed error or a sound reading, and it stays inside."""
    file = sound.path / MANIFEST
    document = mutated(json.loads(sound.manifest.to_text()), random.Random(seed))
    file.write_text(json.dumps(document), encoding="utf-8")
    try:
        with OPENED as opened:
            use_everything(sound.path)
    except Dit4srError as refusal:
        assert "\n" not in str(refusal)
    finally:
        file.write_text(sound.manifest.to_text(), encoding="utf-8")
    inside = str(sound.path)
    assert all(path.startswith(inside) for path in opened)


def truncate(file: Path, rng: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: rng.randrange(file.stat().st_size)])


def flip_a_bit(file: Path, rng: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)


def lose(file: Path, rng: random.Random) -> None:
    del rng
    file.unlink()


def become_a_folder(file: Path, rng: random.Random) -> None:
    del rng
    file.unlink()
    file.mkdir()


def lead_outside(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.symlink_to(rng.choice(["/etc/passwd", "../../outside", "/dev/zero"]))


@settings(max_examples=250, deadline=None, suppress_health_check=WITHOUT_FIXTURE_CHECK)
@given(
    seed=st.integers(0, 2**48),
    damage=st.sampled_from([truncate, flip_a_bit, lose, become_a_folder, lead_outside]),
)
def test_a_damaged_bundle_is_refused(sound, seed, damage):
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(sound.path, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
        damage(rng.choice(files), rng)
        with OPENED as opened, pytest.raises(Dit4srError) as refusal:
            use_everything(folder)
        assert all(path.startswith(str(folder)) for path in opened)
    assert refusal.value.exit_code == IntegrityError.exit_code
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10**5, b'{"a": NaN}', b"1" * 5000]
)
def test_a_manifest_that_is_no_manifest(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(IntegrityError):
        Bundle.open(tmp_path)


def test_another_schema_version_is_named(tmp_path):
    for version in (0, 3):
        (tmp_path / MANIFEST).write_text(json.dumps({"schema": version, "from": "another time"}))
        with pytest.raises(IncompatibleError, match=f"schema version {version}; expected 1 or 2"):
            Bundle.open(tmp_path)


def test_where_there_is_no_bundle(sound, tmp_path):
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(BadInputError, match="dit4sr-export"):
            Bundle.open(place)
    with pytest.raises(BadInputError, match="one of step"):
        sound.component_file("stride")
    with pytest.raises(BadInputError, match="no prompt"):
        sound.embedding("neutral")
