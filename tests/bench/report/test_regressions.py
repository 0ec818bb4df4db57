"""Regressions are found, and noise is not taken for one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.records import SCOPES, environment, record

from dit4sr.bench.cli import command
from dit4sr.bench.record import OURS, Record, Series
from dit4sr.bench.report.regressions import Verdict, compare, format_changes
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, IncompatibleError


def verdicts(before, after, **options) -> dict[str, Verdict]:
    return {change.scope: change.verdict for change in compare(before, after, **options)}


def test_a_tenth_slower_is_found():
    """Twenty experiments in each scope: an injected 10 % is found, and nothing else is."""
    found = missed = others = 0
    for seed in range(20):
        for scope in SCOPES:
            after = record(2 * seed + 1, factor=1.10, slowed=scope, count=25)
            verdict = verdicts(record(2 * seed, count=25), after)
            found += verdict[scope] is Verdict.SLOWER
            missed += verdict[scope] is not Verdict.SLOWER
            others += sum(v is not Verdict.SAME for name, v in verdict.items() if name != scope)
    assert found >= 0.95 * (found + missed)
    assert others <= 2


@pytest.mark.parametrize("count", [3, 6, 12, 60])
def test_noise_is_no_alarm(count):
    """A hundred comparisons in which nothing changed, of few runs and of many."""
    changed = {Verdict.SLOWER, Verdict.FASTER}
    pairs = [(record(2 * s, count=count), record(2 * s + 1, count=count)) for s in range(100)]
    alarms = sum(bool(changed & set(verdicts(*pair).values())) for pair in pairs)
    assert alarms <= 5


def test_too_few_runs_say_nothing_however_clear():
    """Three against three are in this order once in ten times by chance; six are enough."""
    before, after = (
        record(seed, factor=9.0, slowed=slowed, count=3) for seed, slowed in ((0, ""), (1, "step"))
    )
    assert set(verdicts(before, after).values()) == {Verdict.UNKNOWN}
    before, after = (
        record(seed, factor=9.0, slowed=slowed, count=6) for seed, slowed in ((0, ""), (1, "step"))
    )
    assert verdicts(before, after)["step"] is Verdict.SLOWER


def test_faster_is_said_too():
    found = verdicts(record(0), record(1, factor=0.5, slowed="step"))
    assert found["step"] is Verdict.FASTER
    assert "faster" in format_changes(compare(record(0), record(1, factor=0.5, slowed="step")))


def test_small_changes_are_of_no_interest_however_certain():
    steady = [Series("step", OURS, tuple(value * (1 + 1e-6 * i) for i in range(12))) for value in (1.0, 1.03)]
    before, after = (replace(record(), series=(series,)) for series in steady)
    assert verdicts(before, after) == {"step": Verdict.SAME}
    assert verdicts(before, after, tolerance=0.01) == {"step": Verdict.SLOWER}


def test_other_machines_need_normalising():
    """Twice the time on half the machine is no change."""
    before = record(0)
    slow = [replace(s, seconds=tuple(2 * v for v in s.seconds)) for s in record(1).series]
    after = replace(record(1), series=tuple(slow), environment=environment("another", rate=0.5e11))
    with pytest.raises(IncompatibleError, match="--cross-machine"):
        compare(before, after)
    assert set(verdicts(before, after, across_machines=True).values()) == {Verdict.SAME}


def test_other_work_is_refused():
    other = record()
    other = replace(other, subject=replace(other.subject, steps=20))
    with pytest.raises(BadInputError, match="differ in steps: 40 and 20"):
        compare(record(), other)


def in_precision(made: Record, precision: str) -> Record:
    return replace(made, subject=replace(made.subject, precision=precision))


def test_two_precisions_are_compared():
    after = in_precision(record(1, factor=0.5, slowed="step"), "fp8")
    assert verdicts(record(0), after)["step"] is Verdict.FASTER


def test_machines_whose_rates_are_of_two_precisions_cannot_be_normalised():
    other = replace(environment("another"), rate_precision="fp16")
    after = replace(in_precision(record(1), "fp16"), environment=other)
    with pytest.raises(IncompatibleError, match="measured in fp32 and fp16"):
        compare(record(0), after, across_machines=True)


def test_the_command_exits_with_8(tmp_path, capsys):
    names = [tmp_path / "before.json", tmp_path / "after.json"]
    for name, made in zip(names, (record(0), record(1, factor=1.3, slowed="step")), strict=True):
        name.write_text(made.to_text())
    assert run_command(command, ["--compare", *map(str, names)]) == 8
    captured = capsys.readouterr()
    assert "slower" in captured.out
    assert captured.err.startswith("error: step takes 1.")
    assert run_command(command, ["--compare", str(names[0]), str(names[0])]) == 0


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("{", 5, "is no JSON"),
        ("[]", 2, "is [], not dict"),
        ('{"schema": 99}', 4, "schema version 99"),
        ('{"schema": 1}', 2, "lacks"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, capsys, content, code, says):
    file = tmp_path / "x.json"
    file.write_text(content)
    assert run_command(command, ["--compare", str(file), str(file)]) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_time_that_is_none_is_refused(tmp_path, capsys):
    file = tmp_path / "x.json"
    file.write_text(replace(record(), series=(Series("step", OURS, (0.0,)),)).to_text())
    assert run_command(command, ["--compare", str(file), str(file)]) == 5
    assert "no times" in capsys.readouterr().err
