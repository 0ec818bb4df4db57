"""A few blocks, compiled to try a form by."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from dit4sr.bench.plans.trial import trial_command

pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")

SMALL = [
    "num_layers=2",
    "dual_attention_layers=[0]",
    "num_attention_heads=2",
    "caption_projection_dim=128",
    "joint_attention_dim=64",
]


def run(*arguments: str):
    changes = [word for change in SMALL for word in ("--with", change)]
    return CliRunner().invoke(trial_command, [*changes, *arguments])


def test_a_trial_counts_what_the_compiler_made_of_a_few_blocks():
    found = run("--with", "flavour=own", "--most", "3")
    assert found.exit_code == 0, found.output
    assert "attentions fused: 3 of 3" in found.output
    assert "A100-80: " in found.output
    assert "predicted: Σ" in found.output
    [heading] = [place for place, line in enumerate(found.output.splitlines()) if line.startswith("kernel  ")]
    assert len(found.output.splitlines()[heading + 2 :]) == 3 + 2  # a blank line and the prediction


@pytest.mark.slow
def test_a_trial_in_eight_bits_multiplies_in_them():
    found = run("--as-fp8", "--card", "L4", "--most", "0")
    assert found.exit_code == 0, found.output
    assert "L4: " in found.output


def test_what_is_no_change_is_refused():
    found = run("--with", "blocks")
    assert found.exit_code == 2
    assert "'blocks' is not FIELD=VALUE" in found.output
