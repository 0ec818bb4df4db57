"""The C interface beside Python's: the same pictures from many threads, and what the way through C costs."""

from __future__ import annotations

import json
import sys

import pytest
from support.native import run, tool
from support.runtime_system import write_toy_bundle

from dit4sr.bench.native.comparison import HERE, Work, compiled, first_picture, overhead, throughput
from dit4sr.runtime.errors import MissingDependencyError

SMALLEST = (8, 8)


@pytest.fixture(scope="module")
def toy_bundle(tmp_path_factory):
    return write_toy_bundle(tmp_path_factory.mktemp("bundle") / "toy")


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    tool("g++")
    return compiled(tmp_path_factory.mktemp("programs"))


def test_eight_threads_of_cpp_make_fifty_pictures_each_that_are_the_serial_ones_and_pythons(
    programs, toy_bundle
):
    program, _ = programs
    many, one = Work(toy_bundle, 8, 50, *SMALLEST, steps=2), Work(toy_bundle, 1, 1, *SMALLEST, steps=2)
    told = json.loads(run(program, *many.words))
    assert (told["pictures"], told["unequal"]) == (400, 0)
    assert told["sum"] == json.loads(run(sys.executable, HERE / "peer.py", *one.words))["sum"]


def test_the_comparisons_say_what_they_found(programs, toy_bundle):
    program, library = programs
    found = throughput(program, Work(toy_bundle, 2, 2, *SMALLEST), 1)
    assert found["pictures_are_equal"]
    assert found["pictures"] == 4
    assert found["ratio_of_best"] > 0
    assert first_picture(program, toy_bundle, 1, SMALLEST)["ratio_of_best"] > 0
    assert overhead(library, toy_bundle, SMALLEST, 2)["calls"] == 2


def test_a_machine_without_a_compiler_is_told(tmp_path):
    with pytest.raises(MissingDependencyError, match=r"no C\+\+ compiler"):
        compiled(tmp_path, "nobodys-compiler")


@pytest.mark.slow
def test_the_way_through_c_costs_next_to_nothing(programs, toy_bundle):
    """The bounds that docs/embedding.md states, on whatever machine this is."""
    program, library = programs
    assert throughput(program, Work(toy_bundle, 2, 100, 12, 10), 5)["ratio_of_best"] >= 0.97
    assert first_picture(program, toy_bundle, 8, (12, 10))["ratio_of_best"] <= 1.3
    assert overhead(library, toy_bundle, (12, 10), 200)["overhead_milliseconds"] <= 0.5
    assert overhead(library, toy_bundle, (128, 128), 5)["overhead_milliseconds"] <= 0.5
