"""The parts of a job over a cluster that need none: what goes there and back, and what is refused before."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo

from dit4sr.runtime.batch.entry import Entry
from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import Existing, Job, JobConfig, Record
from dit4sr.runtime.batch.ledger import Ledger
from dit4sr.runtime.batch.pieces import FOLDER, Pieces
from dit4sr.runtime.cli import command
from dit4sr.runtime.cluster import worker as worker_module
from dit4sr.runtime.cluster.addresses import is_cluster_address
from dit4sr.runtime.cluster.machines import Machine, Needs, needs_of_bundle
from dit4sr.runtime.cluster.progress import JobProgress
from dit4sr.runtime.cluster.rows import ENDS, Answer, Order
from dit4sr.runtime.cluster.shared_ledger import SharedLedger
from dit4sr.runtime.cluster.summary import ClusterSummary
from dit4sr.runtime.cluster.worker import TRIES, Work, Worker
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.console.progress import StatusLine
from dit4sr.runtime.console.version import version
from dit4sr.runtime.errors import BadInputError, MissingDependencyError, OutOfMemoryError
from dit4sr.runtime.files.address import Address
from dit4sr.runtime.settings import Settings

NOT_UTF8 = os.fsdecode(b"b\xff.png")
ITEM = Item(
    NOT_UTF8, Path("in") / NOT_UTF8, Address("s3://key:secret@bucket", "out/b.png", "region=x"), "PNG"
)
GIB = float(1 << 30)


@pytest.fixture
def item(tmp_path) -> Item:
    (tmp_path / "in").mkdir()
    Image.fromarray(make_photo(8, 8)).save(tmp_path / "in" / "a.png")
    return Item("a.png", tmp_path / "in" / "a.png", tmp_path / "out" / "a.png", "PNG")


@pytest.fixture
def work(toy_bundle, upscaler, tmp_path) -> Work:
    """What a worker is told, once its job has begun."""
    Pieces(tmp_path / "out").begin("job")
    return Work(
        job="job",
        bundle=toy_bundle,
        digest=upscaler.digest,
        opening={"threads": 1},
        config=JobConfig(Settings(steps=1)),
        output=tmp_path / "out",
        folder=Path.cwd(),
        version=version(),
    )


@pytest.fixture(autouse=True)
def restarted(monkeypatch):
    """Whether a worker takes the place of one that was lost; Ray knows, and is not asked here."""
    found = {"restarted": False}
    monkeypatch.setattr(worker_module, "was_restarted", lambda: found["restarted"])
    return found


def answer(worker: Worker, item: Item, earlier: Entry | None = None) -> Answer:
    [text] = worker({"order": [Order(item, earlier).to_json()]})["answer"]
    return Answer.of(text)


# ------------------------------------------------------------------------------------------- there and back


def test_an_order_and_an_answer_come_through_whatever_bytes_names_have():
    order = Order(ITEM, Entry(NOT_UTF8, "recipe", "digest"))
    assert order.to_json().isascii()
    assert Order.of(order.to_json()) == order
    found = Answer(NOT_UTF8, "done", {"seconds": {"step": 1.0}}, order.earlier, ("no CUDA here",))
    assert found.to_json().isascii()
    assert Answer.of(found.to_json()) == found


def test_a_secret_in_an_address_is_not_for_people_to_read():
    assert str(ITEM.target) == "s3://bucket/out/b.png"


# ---------------------------------------------------------------------------------------------- the ledger


def test_a_picture_that_a_lost_worker_had_finished_comes_back_as_it_was(work, item):
    first = answer(Worker(work), item)
    before = item.target.stat().st_mtime_ns
    assert answer(Worker(work), item) == first
    assert item.target.stat().st_mtime_ns == before
    assert (first.status, first.entry.name) == ("done", "a.png")


@pytest.mark.parametrize("existing", list(Existing))
def test_a_picture_whose_worker_was_lost_before_it_appeared_is_made_again(work, item, existing):
    work = replace(work, config=replace(work.config, existing=existing))
    first = answer(Worker(work), item)
    item.target.unlink()
    again = answer(Worker(work), item)
    assert (again.status, again.entry) == ("done", first.entry)
    assert item.target.is_file()


def test_a_picture_of_somebody_elses_is_refused_as_ever(work, item):
    item.target.write_bytes(b"precious")
    found = answer(Worker(work), item)
    assert (found.status, found.details["exit_code"]) == (ENDS, 2)
    assert "exists" in found.details["error"]
    assert item.target.read_bytes() == b"precious"


def test_one_process_knows_what_a_cluster_left_when_it_was_killed(work, item, upscaler):
    answer(Worker(work), item)  # and the command is gone before it has heard of it
    config = replace(work.config, existing=Existing.RESUME)
    with Ledger(work.output) as ledger:
        [record] = Job(upscaler, [item], config, ledger).run()
    assert (record.status, record.details) == ("skipped", {"reason": "finished before"})
    assert not (work.output / FOLDER).exists()
    assert Ledger(work.output).entry("a.png") is not None


def test_a_cluster_knows_what_one_process_has_finished(work, item, upscaler):
    with Ledger(work.output) as ledger:
        [_] = Job(upscaler, [item], work.config, ledger).run()
    Pieces(work.output).begin("job")
    resuming = replace(work, config=replace(work.config, existing=Existing.RESUME))
    assert answer(Worker(resuming), item, ledger.entry("a.png")).status == "skipped"
    assert answer(Worker(resuming), item).status == ENDS  # and of what nobody knows, it is not ours


def test_folding_leaves_the_pieces_that_come_meanwhile(tmp_path):
    late = SharedLedger(tmp_path, "job")
    late.write(Entry("a.png", "recipe", "digest"), {})
    ledger = Ledger(tmp_path)
    plain = ledger.pieces.remove

    def remove(found):
        late.write(Entry("b.png", "recipe", "digest"), {})
        plain(found)

    ledger.pieces.remove = remove
    ledger.fold()
    assert [piece.entry.name for piece in ledger.pieces.all()] == ["b.png"]
    assert Ledger(tmp_path).entry("a.png") == Entry("a.png", "recipe", "digest")


# ---------------------------------------------------------------------------------------------- the worker


def test_a_worker_without_the_bundle_says_so_and_where(work, item):
    found = answer(Worker(replace(work, bundle=Path("/nowhere/bundle"))), item)
    assert (found.status, found.details["exit_code"]) == (ENDS, 2)
    assert "no bundle at /nowhere/bundle; put it where all machines find it" in found.details["error"]


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"digest": "0"}, 5, "another bundle at"),
        ({"version": "0.0"}, 4, "this machine has dit4sr"),
        ({"job": "another"}, 2, "is not shared with this machine"),
    ],
)
def test_a_machine_that_is_not_as_the_command_ends_the_job(work, item, changes, code, words):
    found = answer(Worker(replace(work, **changes)), item)
    assert (found.status, found.details["exit_code"]) == (ENDS, code)
    assert words in found.details["error"]


@pytest.mark.parametrize(("goes_on", "status"), [(False, ENDS), (True, "failed")])
def test_a_picture_that_takes_every_worker_with_it_is_given_up(work, item, restarted, goes_on, status):
    restarted["restarted"] = True
    work = replace(work, config=replace(work.config, continue_on_error=goes_on))
    pieces = Pieces(work.output)
    for _ in range(TRIES):
        pieces.count("a.png")
    found = answer(Worker(work), item)
    assert (found.status, found.details["exit_code"]) == (status, 1)
    assert f"its worker was lost {TRIES} times" in found.details["error"]


def test_a_worker_that_takes_a_lost_ones_place_goes_on_with_its_picture(work, item, restarted):
    restarted["restarted"] = True
    assert answer(Worker(work), item).status == "done"


# -------------------------------------------------------------------------------------------- the machines


def test_cores_are_shared_out_by_what_memory_holds(upscaler):
    def cpus(memory: float) -> int:
        machines = [Machine(8, 0, memory * least.memory)]
        return needs_of_bundle(upscaler, Settings(), machines, device="auto", threads=0).cpus

    least = needs_of_bundle(upscaler, Settings(), [Machine(8, 0, 64 * GIB)], device="auto", threads=1)
    assert [cpus(memory) for memory in (8.5, 4.5, 1.5)] == [1, 2, 8]


def test_as_many_workers_as_every_one_of_their_needs_has_room_for():
    machines = [Machine(8, 2, 10), Machine(2, 0, 10), Machine(1, 8, 10)]
    assert Needs(1, 1, 4).workers(machines) == 2 + 0 + 1
    assert Needs(2, 0, 4).workers(machines) == 2 + 1 + 0


@pytest.mark.parametrize(
    ("machines", "choice", "error", "words"),
    [
        ([Machine(8, 0, 1.0)], {}, OutOfMemoryError, "a worker needs"),
        ([Machine(8, 0, 64 * GIB)], {"device": "cuda"}, MissingDependencyError, "no machine of the cluster"),
        ([Machine(2, 0, 64 * GIB)], {"threads": 4}, BadInputError, "expected 2 at most"),
        ([], {}, MissingDependencyError, "no machine with CPUs"),
    ],
)
def test_what_no_machine_has_is_refused_rather_than_waited_for(upscaler, machines, choice, error, words):
    with pytest.raises(error, match=words):
        needs_of_bundle(upscaler, Settings(), machines, **{"device": "auto", "threads": 0, **choice})


def test_a_gpu_for_each_worker_where_there_are_any(upscaler):
    machines = [Machine(8, 4, 64 * GIB), Machine(8, 0, 64 * GIB)]
    needs = needs_of_bundle(upscaler, Settings(), machines, device="auto", threads=0)
    assert (needs.cpus, needs.gpus, needs.workers(machines)) == (1, 1, 4)


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-", "-o", "out", "--ray"], 2, "--ray restores files, and - is none"),
        (["in", "-o", "-", "--ray"], 2, "--ray restores files, and - is none"),
        (["in", "-o", "out", "--ray", "--dry-run"], 2, "leave out --ray"),
        (["in", "-o", "a.png", "--ray"], 2, "--ray writes into a folder"),
        (["in", "-o", "out", "--ray", "127.0.0.1:9"], 3, "no Ray cluster could be joined at 127.0.0.1:9"),
        (["in", "-o", "out", "--ray", "ray://127.0.0.1:9"], 2, "Ray Data does not run through Ray's client"),
    ],
)
@pytest.mark.usefixtures("item")
def test_what_makes_no_sense_over_a_cluster_is_refused_in_a_line(
    toy_bundle, tmp_path, monkeypatch, capfd, words, code, said
):
    monkeypatch.chdir(tmp_path)
    assert run_command(command, [*words, "-m", str(toy_bundle)]) == code
    [line] = capfd.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("item")
def test_without_ray_it_is_said_what_brings_it(toy_bundle, tmp_path, monkeypatch, capfd):
    plain = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ray" else plain(name))
    assert run_command(command, [str(tmp_path / "in"), "-o", "out", "-m", str(toy_bundle), "--ray"]) == 3
    assert "pip install 'dit4sr[ray]'" in capfd.readouterr().err


@pytest.mark.parametrize(
    "word", ["auto", "local", "head:6379", "10.0.0.1:6379", "[::1]:6379", "ray://head:10001"]
)
def test_a_word_that_names_a_cluster_is_the_options_own(word):
    assert is_cluster_address(word)


@pytest.mark.parametrize("word", ["photos", "photos/", "a.png", "s3://bucket/a", "C:photos"])
def test_any_other_word_is_an_input(word):
    assert not is_cluster_address(word)


# --------------------------------------------------------------------------------------------- what is told


def test_one_line_for_the_whole_job():
    now = iter([0.0, 5.0, 5.0, 10.0])
    progress = JobProgress(StatusLine(is_wanted=False), 9, lambda: next(now))
    assert progress.text() == "[0/9] workers are at work  0:05"
    progress.finish_picture()
    progress.finish_picture()
    progress.finish_picture()
    assert progress.text() == "[3/9] 0.4 pictures/s  0:15 left"


def test_the_summary_names_the_slowest_and_the_failed():
    summary = ClusterSummary(7)
    for seconds, name in [(1.0, "a"), (4.0, "b"), (2.0, "c"), (3.0, "d")]:
        summary.count(Record(replace(ITEM, name=name), "done", {"seconds": {"step": seconds}}))
    for i in range(12):
        summary.count(Record(replace(ITEM, name=f"x{i:02}"), "failed", {"error": "why"}))
    line, slowest, failed = summary.lines()
    assert line.startswith("4 pictures restored in ")
    assert slowest == "slowest: b 4.0 s, d 3.0 s, c 2.0 s"
    assert failed == f"failed: {', '.join(f'x{i:02}' for i in range(10))}, 2 more"
