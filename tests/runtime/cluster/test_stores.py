"""Photos from a store of objects and back into it: S3's protocol, spoken by moto's server."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo
from support.s3.server import KEYS, s3_server

from dit4sr.bench.cluster.command import Command, by_name, pictures
from dit4sr.runtime.batch.ledger import NAME as LEDGER
from dit4sr.runtime.files.address import Address

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def query():
    with s3_server("bucket") as found:
        yield found


@pytest.fixture(autouse=True)
def _keys(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(query, tmp_path) -> Address:
    """The same photos in a folder here and in the store."""
    place = Address.parse(f"s3://bucket/{tmp_path.name}?{query}")
    (tmp_path / "photos").mkdir()
    for i in range(5):
        file = tmp_path / "photos" / f"{i} é.png"
        Image.fromarray(make_photo(8, 8, i)).save(file)
        (place / "photos" / file.name).write(file.read_bytes())
    return place


def asked(place: Address) -> str:
    return f"{place}?{place.query}"


def stored(place: Address) -> dict[str, bytes]:
    found = {}
    for file in place.files(recursive=True):
        with file.opened() as stream:
            found[file.name] = stream.read()
    return found


def test_an_address_is_as_good_as_a_path(store):
    photos, absent = store / "photos", store / "absent"
    assert (photos.is_dir(), photos.is_file(), absent.exists()) == (True, False, False)
    assert [file.name for file in photos.files(recursive=False)] == [f"{i} é.png" for i in range(5)]
    with pytest.raises(FileNotFoundError), absent.opened():
        pass
    photos.remove_folder()
    assert not photos.files(recursive=True)


@pytest.mark.parametrize("way", ["alone", "cluster"])
def test_a_store_holds_what_a_folder_would(toy_bundle, store, tmp_path, request, way):
    ray = ["--ray", request.getfixturevalue("nodes").address] if way == "cluster" else []
    words = ["-m", str(toy_bundle), "--steps", "1", "--threads", "1"]
    with Command(["photos", "-o", "here", *words], tmp_path) as here:
        assert here.finish() == 0
    there = [asked(store / "photos"), "-o", asked(store / "out"), *words, *ray]
    with Command(there, tmp_path) as command:
        assert command.finish() == 0, command.said
    assert by_name(command.records) == by_name(here.records)
    found = stored(store / "out")
    assert LEDGER in found
    assert {name: content for name, content in found.items() if name != LEDGER} == pictures(tmp_path / "here")
    assert "secret" not in str(command.records)

    (store / "out" / "2 é.png").remove_file()
    with Command([*there, "--resume"], tmp_path) as command:
        assert command.finish() == 0
    assert sorted(record["status"] for record in command.records) == ["done", *["skipped"] * 4]
    with Command(there, tmp_path) as command:
        assert command.finish() == 2
    assert "exists" in command.said
    assert list(Path(tmp_path).glob("s3*")) == []


def test_a_store_that_does_not_answer_is_one_line(toy_bundle, tmp_path):
    address = "s3://bucket/photos?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    with Command([address, "-o", "out", "-m", str(toy_bundle)], tmp_path) as command:
        assert command.finish() == 2
    [line] = command.said.splitlines()
    assert line.startswith("error: s3://bucket/photos cannot be searched (")
