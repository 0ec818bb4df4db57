"""Stored prompts from strangers: a tensor of finite float32, or one line that says what else it is."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, record_of
from dit4sr.runtime.bundles.tensor_file import read_tensor
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import IntegrityError

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


def saved(values, save=np.save, **options) -> bytes:
    buffer = io.BytesIO()
    save(buffer, values, **options)
    return buffer.getvalue()


def announcing(header: str) -> bytes:
    text = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(48)


BAD = {
    "empty": b"",
    "text": b"a prompt of words",
    "npz": saved(ROWS, np.savez),
    "strings": saved(np.array(["a", "cat"])),
    "objects": saved(np.array([{"a": 1}], dtype=object)),
    "float64": saved(ROWS.astype(np.float64)),
    "big endian": saved(ROWS.astype(">f4")),
    "integers": saved(ROWS.astype(np.int32)),
    "records": saved(np.zeros(3, dtype=[("a", "f4")])),
    "no axes": saved(np.float32(1)),
    "no numbers": saved(ROWS[:0]),
    "five axes": saved(ROWS.reshape(3, 4, 1, 1, 1)),
    "columns first": saved(np.asfortranarray(ROWS)),
    "cut short": saved(ROWS)[:-1],
    "too long": saved(ROWS) + b"\0",
    "only a header": saved(ROWS)[:128],
    "half a header": saved(ROWS)[:40],
    "not a number": saved(ROWS * np.float32(np.nan)),
    "infinite": saved(ROWS + np.float32(np.inf)),
    "petabytes": announcing("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000000)}"),
    "below zero": announcing("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, -4)}"),
    "400 digits": announcing("{'descr': '<f4', 'fortran_order': 0, 'shape': (1" + "0" * 50 + ",)}"),
    "no header": announcing("__import__('os').abort()"),
    "brackets": announcing("(" * 100),
}


def test_a_tensor_is_read_as_it_was_saved():
    for values in (ROWS, ROWS[0], ROWS[None]):
        found = read_tensor(saved(values))
        np.testing.assert_array_equal(found, values)
        assert found.dtype == np.float32


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_is_no_tensor_is_said_in_one_line(content):
    with pytest.raises(ValueError, match=r"^(it|some)") as refusal:
        read_tensor(content)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("kind", ["empty", "npz", "strings", "objects", "petabytes", "not a number"])
def test_a_bundle_with_such_a_prompt_ends_with_exit_5(toy_bundle, tmp_path, photo_file, capfd, kind):
    path = shutil.copytree(toy_bundle, tmp_path / "bundle")
    file = path / "embeddings" / "positive.text.npy"
    file.write_bytes(BAD[kind])
    manifest = Bundle.open(path).manifest
    records = (record_of(file, path), *manifest.embeddings["positive"][1:])
    embeddings = {**manifest.embeddings, "positive": records}
    (path / MANIFEST).write_text(replace(manifest, embeddings=embeddings).to_text())
    with pytest.raises(IntegrityError, match="the stored prompt 'positive' is damaged"):
        Bundle.open(path).embedding("positive")
    arguments = [str(photo_file), "-o", str(tmp_path / "out.png"), "-m", str(path)]
    assert run_command(command, arguments) == 5
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_prompts_of_different_lengths_are_refused(toy_bundle, tmp_path, photo_file):
    path = shutil.copytree(toy_bundle, tmp_path / "bundle")
    file = path / "embeddings" / "positive.text.npy"
    np.save(file, np.load(file)[:-1])
    manifest = Bundle.open(path).manifest
    records = (record_of(file, path), *manifest.embeddings["positive"][1:])
    embeddings = {**manifest.embeddings, "positive": records}
    (path / MANIFEST).write_text(replace(manifest, embeddings=embeddings).to_text())
    arguments = [str(photo_file), "-o", str(tmp_path / "out.png"), "-m", str(path)]
    assert run_command(command, arguments) == 4


@pytest.fixture
def photo_file(tmp_path, photo):
    from PIL import Image  # noqa: PLC0415

    file = tmp_path / "photo.png"
    Image.fromarray(photo).save(file)
    return file
