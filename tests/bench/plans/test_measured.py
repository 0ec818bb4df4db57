"""Measurements that belong to the plans which were predicted, and those that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.plan_records import ACCOUNT
from support.records import environment, record

from dit4sr.bench.cli import command
from dit4sr.bench.plans.measured import measurements
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError

DIGEST = "0" * 64


def measured(*, machine="NVIDIA L40S", series=None, **subject):
    known = {"backend": "tensorrt-rtx/cuda", "latent": (64, 64), "rows": 2, "text_rows": 333, **subject}
    made = record()
    return replace(
        made,
        environment=environment(machine),
        subject=replace(made.subject, **known),
        series=made.series if series is None else series,
    )


def test_a_record_of_the_same_plans_is_taken(tmp_path):
    (tmp_path / "r.json").write_text(measured().to_text())
    [found] = measurements((tmp_path / "r.json",), DIGEST, ACCOUNT)
    assert (found.card, found.backend) == ("L40S", "tensorrt-rtx")
    assert found.step_seconds == record().find("step").summary.p50
    assert found.picture_seconds == record().find("picture").summary.p50


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"backend": "onnxruntime/cuda"}, r"was measured on onnxruntime/cuda; expected plans"),
        ({"digest": "1" * 64}, r"is of another bundle \(tiny\)"),
        ({"rows": 1}, r"at other sizes: height 64, width 64, rows 1, text 333; expected height 64"),
        ({"latent": (96, 64)}, "at other sizes: height 96"),
        ({"machine": "NVIDIA GTX 970"}, "NVIDIA GTX 970, whose data sheet is not known here"),
        ({"series": ()}, "has no timed step"),
    ],
)
def test_other_measurements_are_refused(tmp_path, other, said):
    (tmp_path / "r.json").write_text(measured(**other).to_text())
    with pytest.raises(BadInputError, match=said):
        measurements((tmp_path / "r.json",), DIGEST, ACCOUNT)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--card", "L4"], "--card is for --plan"),
        (["--as-fp8"], "--as-fp8 is for --plan"),
        (["--measured", "r.json"], "--measured is for --plan"),
        (["--plan", "--as-fp8", "--measured", "r.json"], "nothing has run the plans of --as-fp8"),
        (["--plan", "--json", "-", "--markdown", "-"], "only one of --json and --markdown"),
    ],
)
def test_options_without_effect_are_refused(capsys, words, said):
    assert run_command(command, words) == 2
    assert said in capsys.readouterr().err
