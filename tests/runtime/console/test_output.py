"""Files appear whole, and what cannot be written is refused before there is something to write."""

from __future__ import annotations

import json
import os

import pytest

from dit4sr.runtime.console.output import PIPE, check_target, command_line, print_result, write_text
from dit4sr.runtime.errors import BadInputError


def test_standard_output_and_no_file_are_always_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_target(None, replace=False)
    check_target(PIPE, replace=False)
    assert not list(tmp_path.iterdir())


def test_a_file_that_could_not_be_written_is_refused_beforehand(tmp_path):
    with pytest.raises(BadInputError, match="expected a file in a folder that exists"):
        check_target(str(tmp_path), replace=True)
    with pytest.raises(BadInputError, match="expected a file in a folder that exists"):
        check_target(str(tmp_path / "absent" / "file"), replace=True)


def test_a_file_that_is_there_is_replaced_only_when_asked(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(BadInputError, match="exists; choose another name, or replace it with --force"):
        check_target(str(file), replace=False)
    check_target(str(file), replace=True)
    write_text(str(file), "new")
    assert file.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_text_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(BadInputError, match="cannot be written"):
        write_text(str(tmp_path), "text")
    assert not list(tmp_path.iterdir())


def test_a_result_is_a_text_and_its_record_where_json_says(tmp_path, capsys):
    print_result("a table", {"a": 1}, None)
    assert capsys.readouterr().out == "a table\n"
    print_result("a table", {"a": 1}, PIPE)
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    print_result("a table", {"a": 1}, str(tmp_path / "r.json"))
    assert capsys.readouterr().out == "a table\n"
    assert json.loads((tmp_path / "r.json").read_text()) == {"a": 1}


def test_a_command_line_is_a_text_whatever_bytes_it_names():
    line = command_line("dit4sr-export", ["my folder", os.fsdecode(b"caf\xe9"), "-o", "ü"])
    assert line == r"dit4sr-export 'my folder' 'caf\udce9' -o 'ü'"
    line.encode()
