"""Addresses: what is one, how it behaves as a path does, and what goes wrong with it in one line."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime.batch.inputs import plan_items
from dit4sr.runtime.batch.ledger import NAME as LEDGER
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Address, is_address, place_of
from dit4sr.runtime.files.reading import read_file, sha256_of
from dit4sr.runtime.files.whole import write_whole

pytest.importorskip("pyarrow")
S3 = Address.parse("s3://key:secret@bucket/photos/a.b.png?region=eu-west-1")


@pytest.fixture
def store(tmp_path) -> Address:
    """This machine's files as a store that fsspec knows and pyarrow does not."""
    return Address.parse(f"local://{tmp_path}/store")


def test_what_begins_as_an_address_is_one():
    assert all(map(is_address, ["s3://b/a.png", "gs://b", "hf://o/n", "memory://x"]))
    assert not any(map(is_address, ["a.png", "C:\\a.png", "C://a.png", "://", "dir/s3://b", ""]))


def test_a_file_by_its_address_is_a_file():
    assert place_of("file:///photos/an%20a.png") == Path("/photos/an a.png")
    assert place_of("photos/a.png") == Path("photos/a.png")
    assert place_of("s3://bucket/a.png") == Address("s3://bucket", "a.png")


def test_an_address_has_the_parts_of_a_path_and_keeps_how_it_is_reached():
    assert (S3.name, S3.stem, S3.suffix) == ("a.b.png", "a.b", ".png")
    assert S3.parent == Address(S3.root, "photos", S3.query)
    assert S3.parent.parent.parent == Address(S3.root, "", S3.query)
    assert S3.parent / "deeper" / "c.png" == Address(S3.root, "photos/deeper/c.png", S3.query)
    assert S3.with_suffix(".txt").path == "photos/a.b.txt"
    assert pickle.loads(pickle.dumps(S3)) == S3


def test_nobody_reads_a_key_off_an_address():
    assert str(S3) == "s3://bucket/photos/a.b.png"


def test_files_are_written_whole_read_and_listed(store):
    place = store / "deeper" / "a.png"
    assert (place.exists(), store.is_dir(), store.files(recursive=True)) == (False, False, [])
    write_whole(place, b"content")
    assert read_file(place, most=7) == b"content"
    assert sha256_of(place).startswith("ed7002b439e9ac84")
    assert (place.is_file(), store.is_dir(), place.is_dir()) == (True, True, False)
    assert store.files(recursive=True) == [place]
    assert store.files(recursive=False) == []
    store.remove_folder()
    assert not store.exists()


def test_what_is_there_is_replaced_only_on_demand(store):
    write_whole(store / "a.png", b"first")
    with pytest.raises(BadInputError, match="exists; choose another -o"):
        write_whole(store / "a.png", b"second")
    assert read_file(store / "a.png", most=10) == b"first"
    write_whole(store / "a.png", b"second", replace=True)
    assert read_file(store / "a.png", most=10) == b"second"


@pytest.mark.parametrize("most", [0, 6])
def test_more_than_a_reader_can_use_is_refused(store, most):
    write_whole(store / "a.png", b"content")
    with pytest.raises(BadInputError, match=f"expected {most} at most"):
        read_file(store / "a.png", most=most)


def test_what_is_not_there_is_one_line(store):
    with pytest.raises(BadInputError, match=r"a.png cannot be read \(No such file or directory\)"):
        read_file(store / "a.png", most=10)


@pytest.mark.parametrize(
    "text", ["nothing://bucket/a.png", "s3://bucket/a.png?no_such_option=1", "s3:///a.png"]
)
def test_a_store_that_nobody_knows_is_one_line(text):
    with pytest.raises(BadInputError, match="cannot be"):
        read_file(Address.parse(text), most=10)


def test_names_below_a_folder_are_those_that_a_path_would_give(store, tmp_path):
    for name in ("a.png", "deeper/b.jpg", ".hidden.png", "notes.md"):
        write_whole(store / name, b"")
    here = plan_items([str(tmp_path / "store")], str(tmp_path / "out"), recursive=True)
    there = plan_items([str(store)], f"local://{tmp_path}/out", recursive=True)
    assert [(item.name, item.format) for item in there] == [(item.name, item.format) for item in here]
    assert [item.target.path for item in there] == [str(item.target).strip("/") for item in here]
    with pytest.raises(BadInputError, match="is itself an input"):
        plan_items([str(store)], str(store))


def test_one_process_restores_from_a_store_into_it_and_goes_on_there(toy_bundle, store, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(3):
        Image.fromarray(make_photo(8, 8, i)).save(tmp_path / "in" / f"{i}.png")
        write_whole(store / "in" / f"{i}.png", (tmp_path / "in" / f"{i}.png").read_bytes())
    words = ["-m", str(toy_bundle), "--steps", "1", "--threads", "1"]
    assert run_command(command, [str(tmp_path / "in"), "-o", f"file://{tmp_path}/here", *words]) == 0
    there = [str(store / "in"), "-o", str(store / "out"), *words]
    assert run_command(command, there) == 0
    assert run_command(command, there) == 2  # they exist
    (store / "out" / "1.png").remove_file()
    assert run_command(command, [*there, "--resume"]) == 0
    for i in range(3):
        made = (tmp_path / "here" / f"{i}.png").read_bytes()
        assert read_file(store / "out" / f"{i}.png", most=len(made)) == made
    ours = {LEDGER, "0.png", "1.png", "2.png"}
    assert {file.name for file in (store / "out").files(recursive=True)} == ours


def test_without_pyarrow_it_is_said_what_brings_it(toy_bundle, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    words = ["s3://another-bucket/a", "-o", "out", "-m", str(toy_bundle)]
    assert run_command(command, words) == 3
    assert "not installed: pyarrow; pip install 'dit4sr[ray]'" in capfd.readouterr().err
