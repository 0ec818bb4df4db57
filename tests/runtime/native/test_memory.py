"""Our C under the sanitizers and valgrind, and what a process holds after many rounds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.native import run, tool

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1")
OURS = re.compile(r"dit4sr_\w+|dit4sr\.c|lifecycle\.c|fuzz\.c")
GROWTH = 1 << 20
"""Bytes that ten rounds may add after ten; each opens engines of three megabytes and frees them."""


def growth(rounds: list[int]) -> int:
    return rounds[-1] - rounds[len(rounds) // 2]


def fuzz(program, bundle: Path, calls: int, seed: int) -> dict[int, int]:
    """Statuses, and how many calls ended with each. Memory of the libraries is not ours to free."""
    fuzzer = program("fuzz.c", *SANITIZERS)
    printed = run(fuzzer, bundle, calls, seed, seconds=1800, ASAN_OPTIONS="detect_leaks=0")
    return {int(status): int(count) for status, count in map(str.split, printed.splitlines())}


def held(counts: dict[int, int], calls: int) -> None:
    assert sum(counts.values()) == calls
    assert set(counts) <= {0, 2, 3, 4, 130}
    # Enough came through, and enough were refused, for either to mean something.
    assert counts[0] > calls / 10
    assert counts[2] > calls / 10


def test_calls_at_random_are_answered(program, toy_bundle):
    held(fuzz(program, toy_bundle, 400, 1), 400)


@pytest.mark.slow
def test_ten_thousand_calls_at_random_are_answered(program, toy_bundle):
    held(fuzz(program, toy_bundle, 10_000, 2), 10_000)


def test_the_sanitizers_find_nothing_of_ours(program, toy_bundle, tmp_path):
    """Leaks of Python and the engines are theirs: they end with the process. Reports go to files."""
    report = tmp_path / "report"
    libraries = ["libpython", "multiarray", "onnxruntime", "libcrypto", "libssl", "_imaging"]
    (tmp_path / "known").write_text("".join(f"leak:{name}\n" for name in libraries))
    printed = run(
        *(program("lifecycle.c", *SANITIZERS), toy_bundle, 3),
        ASAN_OPTIONS=f"detect_leaks=1:log_path={report}:exitcode=0",
        LSAN_OPTIONS=f"suppressions={tmp_path / 'known'}:exitcode=0:print_suppressions=0",
    )
    assert len(printed.split()) == 3
    for file in tmp_path.glob("report*"):
        assert not OURS.search(file.read_text())


def test_the_sanitizers_would_find_something(tmp_path):
    """A leak beside our source is reported as such, by the same options."""
    from support.native import compile_program  # noqa: PLC0415

    source = tmp_path / "leaking.c"
    source.write_text(
        "#include <dit4sr.h>\nint main(void) { dit4sr_cancel *cancel = 0; int status = "
        "dit4sr_cancel_create(&cancel); cancel = 0; return status; }\n"
    )
    leaking = compile_program(tmp_path / "leaking", [source], *SANITIZERS)
    report = tmp_path / "report"
    run(leaking, ASAN_OPTIONS=f"detect_leaks=1:log_path={report}:exitcode=0", LSAN_OPTIONS="exitcode=0")
    assert OURS.search("".join(file.read_text() for file in tmp_path.glob("report.*")))


def test_rounds_of_opening_and_closing_do_not_add_up(program, toy_bundle):
    rounds = [int(line) for line in run(program("lifecycle.c"), toy_bundle, 20).split()]
    assert growth(rounds) < GROWTH, rounds


@pytest.mark.slow
def test_valgrind_finds_nothing_of_ours(program, toy_bundle, tmp_path):
    """Twenty rounds. What it says of Python and the engines has no frame of ours."""
    log = tmp_path / "valgrind.log"
    printed = run(
        *(tool("valgrind"), "--num-callers=40", "--leak-check=full", "--show-leak-kinds=definite"),
        *(f"--log-file={log}", program("lifecycle.c"), toy_bundle, 20),
        seconds=3600,
    )
    assert len(printed.split()) == 20
    text = log.read_text()
    assert "ERROR SUMMARY" in text
    assert not OURS.search(re.sub(r"Command:.*|Parent PID.*", "", text))
