"""A picture that fails in whatever way fails alone; few failures end a job."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image
from support.photos import make_photo
from support.runtime_system import write_toy_bundle
from support.toy_text import add_text_encoders

from dit4sr.runtime.batch import faults, job
from dit4sr.runtime.batch.faults import fault_of_picture
from dit4sr.runtime.batch.ledger import NAME as LEDGER
from dit4sr.runtime.batch.ledger import LedgerError
from dit4sr.runtime.batch.records import write_record
from dit4sr.runtime.cli import command
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import (
    BadInputError,
    Dit4srError,
    IncompatibleError,
    IntegrityError,
    MissingDependencyError,
    RunError,
)
from dit4sr.runtime.noise.streams import picture_seed

NOT_UTF8 = os.fsdecode(b"b\xff\xed\xa0\x80.png")
"""A name that is bytes and no text, as old archives and other systems leave them."""


@pytest.fixture
def folder(tmp_path):
    """Three pictures; the one in the middle is to fail."""
    place = tmp_path / "in"
    place.mkdir()
    for i, name in enumerate(["a.png", "b.png", "c.png"]):
        Image.fromarray(make_photo(8, 8, i)).save(place / name)
    return place


@pytest.fixture(scope="module")
def reading_bundle(tmp_path_factory):
    """A bundle that reads prompts."""
    return add_text_encoders(write_toy_bundle(tmp_path_factory.mktemp("text") / "toy"))


@pytest.fixture
def restore(toy_bundle, folder, tmp_path):
    """Run the command on the folder; returns its exit code and the records by the names of pictures."""

    def run(*arguments, bundle=toy_bundle):
        log = tmp_path / "log"
        words = ["-m", bundle, "--steps", "1", "--threads", "1", "--json", log, *arguments]
        code = run_command(command, [str(folder), "-o", str(tmp_path / "out"), *map(str, words)])
        records = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
        return code, {Path(record["input"]).name: record for record in records}

    return run


def failing_on_b(what, error):
    """The same function, but for the picture b.png."""

    def fails(*arguments, **named):
        if any("b.png" in str(each) for each in arguments):
            raise error
        return what(*arguments, **named)

    return fails


def statuses(records):
    return {name: record["status"] for name, record in records.items()}


ONLY_B_FAILED = {"a.png": "done", "b.png": "failed", "c.png": "done"}


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 7, "b.png: out of memory"),
        (OSError(5, "Input/output error"), 2, "b.png: Input/output error"),
        (IsADirectoryError(21, "Is a directory"), 2, "b.png: Is a directory"),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), 1, "b.png: internal error: Unicode"),
        (RecursionError("too deep"), 1, "b.png: internal error: RecursionError: too deep"),
        (AssertionError(), 1, "b.png: internal error: AssertionError"),
        (RunError("no engine for this size"), 4, "no engine for this size"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
@pytest.mark.parametrize("step", ["read_content", "read_photo", "write_whole"])
def test_a_picture_fails_alone(restore, monkeypatch, step, error, code, words):
    monkeypatch.delenv("DIT4SR_DEBUG", raising=False)
    monkeypatch.setattr(job, step, failing_on_b(getattr(job, step), error))
    exit_code, records = restore("--continue-on-error")
    assert exit_code == 9
    assert statuses(records) == ONLY_B_FAILED
    assert words in records["b.png"]["error"]
    assert records["b.png"]["exit_code"] == code


@pytest.mark.parametrize(
    "error",
    [
        MissingDependencyError("no library"),
        IncompatibleError("another version"),
        IntegrityError("a damaged component"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_every_picture_would_meet_ends_the_job(restore, monkeypatch, error):
    monkeypatch.setattr(job, "read_photo", failing_on_b(job.read_photo, error))
    exit_code, records = restore("--continue-on-error")
    assert exit_code == error.exit_code
    assert statuses(records) == {"a.png": "done"}


def test_a_ledger_that_cannot_be_written_ends_the_job(restore, tmp_path):
    (tmp_path / "out").mkdir()
    restore("--continue-on-error")
    ledger = tmp_path / "out" / LEDGER
    ledger.unlink()
    ledger.mkdir()
    assert restore("--continue-on-error", "--force")[0] == 2
    assert fault_of_picture(LedgerError("full"), "b.png") is None


def test_an_internal_error_has_its_traceback_where_it_is_asked_for(restore, monkeypatch, capfd):
    monkeypatch.setenv("DIT4SR_DEBUG", "1")
    monkeypatch.setattr(job, "read_photo", failing_on_b(job.read_photo, ValueError("why")))
    assert restore("--continue-on-error")[0] == 1
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(MemoryError(), 7), (OSError(5, "Input/output error"), 2), (ValueError("why"), 1)]
)
def test_one_that_ends_the_job_says_its_code(restore, monkeypatch, capfd, error, code):
    monkeypatch.delenv("DIT4SR_DEBUG", raising=False)
    monkeypatch.setattr(job, "read_content", failing_on_b(job.read_content, error))
    assert restore()[0] == code
    assert "Traceback" not in capfd.readouterr().err


def test_every_typed_error_is_either_a_pictures_or_the_jobs():
    for kind in [*Dit4srError.__subclasses__(), *BadInputError.__subclasses__()]:
        fault = fault_of_picture(kind("why"), "b.png")
        assert (fault is None) == issubclass(kind, faults.ENDS_A_JOB)


# --------------------------------------------------------------------------------------- names and words


def test_a_name_that_is_no_text_is_a_name_like_any_other(restore, folder, tmp_path, capfd):
    (folder / "b.png").rename(folder / NOT_UTF8)
    code, records = restore("--progress", "plain", "--resume")
    assert code == 0
    assert statuses(records) == {"a.png": "done", NOT_UTF8: "done", "c.png": "done"}
    assert (tmp_path / "out" / NOT_UTF8).is_file()
    *said, summary = capfd.readouterr().err.splitlines()
    assert (len(said), summary[:19]) == (3, "3 pictures restored")
    # The ledger knows it again.
    code, records = restore("--resume")
    assert (code, records[NOT_UTF8]["status"]) == (0, "skipped")


def test_a_dry_run_shows_names_that_are_no_text(toy_bundle, folder, tmp_path, capfd):
    (folder / "b.png").rename(folder / NOT_UTF8)
    words = [folder, "-o", tmp_path / "out", "-m", toy_bundle, "--dry-run"]
    assert run_command(command, [str(word) for word in words]) == 0
    assert "b\\udcff" in capfd.readouterr().out


def test_names_of_text_have_the_seeds_they_always_had():
    digest = hashlib.sha256("7\0ä.png".encode()).digest()
    assert picture_seed(7, "ä.png") == int.from_bytes(digest[:4], "little")
    assert picture_seed(7, NOT_UTF8) != picture_seed(7, "b.png")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_records_are_valid_json_on_any_stream(encoding):
    item = job.Item(NOT_UTF8, Path("é") / NOT_UTF8, Path("日本") / NOT_UTF8, "PNG")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    write_record(job.Record(item, "failed", {"error": NOT_UTF8, "exit_code": 2}), stream)
    record = json.loads(stream.buffer.getvalue().decode(encoding))
    assert record["input"] == str(item.source)
    assert os.fsencode(record["output"]) == os.fsencode(item.target)


def test_records_of_text_stay_readable():
    item = job.Item("日本.png", Path("日本.png"), None, "PNG")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    write_record(job.Record(item, "skipped", {}), stream)
    assert "日本.png" in stream.buffer.getvalue().decode()


def test_a_link_in_a_circle_fails_alone(restore, folder):
    (folder / "b.png").unlink()
    (folder / "b.png").symlink_to("b.png")
    exit_code, records = restore("--continue-on-error")
    assert (exit_code, statuses(records)) == (9, ONLY_B_FAILED)


def test_a_captioner_that_never_stops_fails_its_picture_alone(restore, reading_bundle):
    captioner = "sh -c 'case $1 in *b.png) yes;; *) echo a cat;; esac' name"
    exit_code, records = restore("--continue-on-error", "--captioner", captioner, bundle=reading_bundle)
    assert (exit_code, statuses(records)) == (9, ONLY_B_FAILED)
    assert "does not stop printing" in records["b.png"]["error"]
    assert records["c.png"]["prompt"] == "a cat"


def test_a_prompt_that_is_no_text_fails_its_picture_alone(restore, reading_bundle, tmp_path):
    prompts = {"a.png": "a cat", "b.png": "\ud800", "c.png": "a\0dog"}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    exit_code, records = restore(
        "--continue-on-error", "--prompts", tmp_path / "prompts.json", bundle=reading_bundle
    )
    assert (exit_code, statuses(records)) == (9, ONLY_B_FAILED)
    assert "is no Unicode text" in records["b.png"]["error"]
    assert records["b.png"]["exit_code"] == 2
