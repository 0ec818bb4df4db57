"""A job over a real cluster of two nodes: the same as by one process, whatever happens to its machines."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo
from support.runtime_system import write_toy_bundle
from support.toy_text import add_text_encoders

from dit4sr.bench.cluster.command import Command, by_name, pictures
from dit4sr.bench.cluster.trials import Trials
from dit4sr.runtime.batch.ledger import NAME as LEDGER
from dit4sr.runtime.batch.pieces import FOLDER
from dit4sr.runtime.cluster.worker import TRIES

EQUAL = {"exit_code": 0, "records_are_equal": True, "pictures_are_equal": True}


@pytest.fixture
def folder(tmp_path) -> Path:
    """Four pictures, one deeper down and one of a name that is no text; and a fifth that is none."""
    place = tmp_path / "photos"
    (place / "deeper").mkdir(parents=True)
    for i, name in enumerate(["a.png", "b.jpg", "deeper/c.png", "d\udcff.png"]):
        Image.fromarray(make_photo(8, 8, i)).save(place / name)
    (place / "broken.png").write_bytes(b"no picture")
    return tmp_path


def lines(folder: Path) -> set[str]:
    return set((folder / LEDGER).read_text().splitlines())


def test_a_cluster_makes_what_one_process_makes(toy_bundle, folder, nodes):
    words = ["photos", "--recursive", "-m", str(toy_bundle), "--steps", "1", "--threads", "1"]
    words += ["--continue-on-error", "--progress", "plain"]
    with Command([*words, "-o", "serial"], folder) as serial:
        assert serial.finish() == 9
    with Command([*words, "-o", "cluster", "--ray", nodes.address], folder) as cluster:
        assert cluster.finish() == 9
    assert by_name(cluster.records) == by_name(serial.records)
    assert pictures(folder / "cluster") == pictures(folder / "serial")
    assert lines(folder / "cluster") == lines(folder / "serial")
    assert not (folder / "cluster" / FOLDER).exists()
    *told, summary, slowest, failed, error = cluster.said.splitlines()
    assert len(told) == len(by_name(cluster.records))  # a line a picture, and nothing of Ray's
    assert summary.startswith("4 pictures restored in ")
    assert summary.endswith(", 1 failed, seed 0")
    assert slowest.startswith("slowest: ")
    assert failed == "failed: broken.png"
    assert error == "error: 1 of 5 pictures failed; see the lines above"

    # What a cluster has finished, one process knows.
    with Command([*words, "-o", "cluster", "--resume"], folder) as resumed:
        assert resumed.finish() == 9
    assert [record["status"] for record in resumed.records].count("skipped") == 4


@pytest.mark.slow
def test_two_hundred_photos_are_those_of_one_process(trials, nodes):
    found = trials.equal(nodes)
    assert {**found, **EQUAL} == found
    assert found["records"] == 200


@pytest.mark.slow
def test_a_killed_worker_and_a_lost_node_lose_nothing_and_repeat_nothing(trials, nodes):
    found = trials.with_kills(nodes)
    assert {**found, **EQUAL} == found
    assert (found["records"], found["not_done"]) == (200, 0)


@pytest.mark.slow
@pytest.mark.parametrize("way", [(), ("--progress", "plain")], ids=["cluster", "one process"])
def test_a_killed_command_is_taken_up_by_either(trials, nodes, way):
    found = trials.resumed(nodes, *way)
    assert (found["exit_code"], found["pictures_are_equal"]) == (0, True)
    assert found["records_after"] == 200
    assert found["restored_after"] <= 200 - found["records_before"]


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda by: by.name)
def test_an_end_at_once_leaves_nothing_of_a_cluster_of_its_own(toy_bundle, tmp_path, by):
    # Two of Ray's processes look for their parents themselves, once a minute or so.
    patience = 150.0 if by is signal.SIGKILL else 10.0
    found = Trials(tmp_path, 200, toy_bundle).interrupted("local", by=by, patience=patience)
    assert found["started"] > 3  # the head, a node and its workers
    assert found["left"] == 0
    assert found["exit_code"] == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[by]
    if by is not signal.SIGKILL:
        assert found["seconds"] < 10
        assert any("go on with --resume" in line for line in found["said"])


@pytest.mark.slow
def test_a_picture_that_takes_every_worker_with_it_fails_alone(folder, nodes):
    """The captioner is the worker's child, and ends it without a word; as a decoder might that crashes."""
    (folder / "photos" / "broken.png").unlink()
    bundle = add_text_encoders(write_toy_bundle(folder / "reading"))
    captioner = "sh -c 'case $1 in *b.jpg) kill -9 $PPID;; esac; echo a cat' name"
    words = ["photos", "-o", "out", "-m", str(bundle), "--steps", "1", "--ray", nodes.address]
    with Command([*words, "--captioner", captioner, "--continue-on-error"], folder) as command:
        assert command.finish() == 9
    found = by_name(command.records)
    assert {name: record["status"] for name, record in found.items() if record["status"] != "done"} == {
        "b.jpg": "failed"
    }
    assert len(found) == 3  # the fourth lies deeper down
    assert f"its worker was lost {TRIES} times" in found["b.jpg"]["error"]


@pytest.mark.slow
def test_what_ends_a_job_ends_it_from_the_worker_through_to_the_command(toy_bundle, folder, nodes):
    words = ["photos", "-m", str(toy_bundle), "--steps", "1", "--ray", nodes.address]
    with Command([*words, "-o", "out"], folder) as command:  # a picture that is none, where none may fail
        assert command.finish() == 2
    assert "broken.png is no picture" in command.said
    step = next(toy_bundle.glob("onnx/step.onnx*"))
    content = step.read_bytes()
    try:
        step.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with Command([*words, "-o", "new", "--continue-on-error"], folder) as command:
            assert command.finish() == 5
    finally:
        step.write_bytes(content)
    assert len(command.said.splitlines()) <= 2
    json.dumps(command.records)
