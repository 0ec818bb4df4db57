"""Reading files."""

from __future__ import annotations

from dit4sr.runtime.files.reading import sha256_of


def test_digest(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
