"""Tables for people, JSON for machines."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from dit4sr.kernels.output import json_option, print_result


@click.command()
@json_option
@click.option("--quick", is_flag=True)
def command(json_file, quick):
    print_result("a table", '{"quick": true}' if quick else "{}", json_file)


def run(*arguments):
    return CliRunner().invoke(command, arguments, catch_exceptions=False).output


def test_a_table_is_printed_unless_json_is_asked_for():
    assert run() == "a table\n"
    assert run("--json") == run("--json", "-") == "{}\n"
    assert run("--json", "--quick") == '{"quick": true}\n'


@pytest.mark.parametrize("spelling", ["--json", "--record"])
def test_a_file_has_the_json_whole_beside_the_table(spelling, tmp_path):
    file = tmp_path / "record.json"
    file.write_text("an older and longer record")
    assert run(spelling, str(file)) == "a table\n"
    assert file.read_text() == "{}\n"
    assert list(tmp_path.iterdir()) == [file]
