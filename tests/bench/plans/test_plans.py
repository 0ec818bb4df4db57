"""Predictions whose sums are known, records that come back, and two of them held against each other."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.plan_records import ACCOUNT, RECORD

from dit4sr.bench.cli import command
from dit4sr.bench.plans.cards import CARDS, card_of_device, cards_named
from dit4sr.bench.plans.comparison import compare_plans, refuse_growth
from dit4sr.bench.plans.compiled import CompiledPlan
from dit4sr.bench.plans.prediction import FACTORS, Prediction, predicted_seconds
from dit4sr.bench.plans.record import is_plan_record, read_plan_record
from dit4sr.bench.plans.report import terminal_plans
from dit4sr.bench.plans.session import predicted
from dit4sr.bench.plans.side_by_side import side_by_side
from dit4sr.export.engines.account.layer import Layer, Tensor
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError, PerformanceError

A100 = cards_named(["A100-80"])[0]

PRODUCT = Layer("gemm_1", "gemm", (Tensor((4096, 4096), "Half"),), (Tensor((4096, 4096), "Half"),),
                (Tensor((4096, 4096), "Half"),), ())  # fmt: skip
POINTWISE = Layer(
    "__myl_MulAdd_myl0_1", "kgen", (Tensor((1 << 20,), "Float"),), (), (Tensor((1 << 20,), "Half"),), ()
)
WAIT = Layer("w", "wait", (), (), (), ())


def test_a_kernel_takes_what_it_multiplies_or_what_it_moves():
    multiplied = 2 * 4096**3 / (0.7 * 312e12)
    moved = (4 << 20) * 1.5 / (0.85 * 2.039e12)
    assert predicted_seconds([PRODUCT], A100) == pytest.approx(multiplied)
    assert predicted_seconds([POINTWISE], A100) == pytest.approx(moved)
    assert predicted_seconds([PRODUCT, WAIT, POINTWISE], A100) == pytest.approx(multiplied + moved)


def test_eight_bits_are_faster_where_a_card_has_them():
    eight = replace(PRODUCT, inputs=(Tensor((4096, 4096), "FP8"),), constants=(Tensor((4096, 4096), "FP8"),))
    ada = cards_named(["L40S"])[0]
    assert predicted_seconds([eight], ada) == pytest.approx(predicted_seconds([PRODUCT], ada) * 362 / 733)
    assert predicted_seconds([eight], A100) == predicted_seconds([PRODUCT], A100)


def test_a_picture_is_all_steps_and_the_rest_once():
    plans = [
        CompiledPlan(name, name, ACCOUNT, (PRODUCT,))
        for name in ("step", "prepare", "vae_encoder", "vae_decoder")
    ]
    plain = CompiledPlan("plain", "step", ACCOUNT, (PRODUCT, PRODUCT))
    found = predicted(A100, plans, plain, steps=10)
    once = predicted_seconds([PRODUCT], A100)
    assert found.step_seconds == once
    assert found.speed_up == 2
    assert found.picture_seconds == pytest.approx(13 * once)
    assert predicted(A100, plans[:1], None, steps=10) == Prediction("A100-80", once, None, None)


def test_every_card_says_where_its_figures_are_from():
    assert len(CARDS) == 9
    assert all(card.source.startswith("NVIDIA ") for card in CARDS)
    assert [card.name for card in cards_named(["rtx4090", "H-100"])] == ["RTX 4090", "H100"]
    with pytest.raises(BadInputError, match="no card 'GTX 970' here; expected some of A100-40"):
        cards_named(["GTX 970"])


def test_a_record_comes_back(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(RECORD.to_text())
    assert is_plan_record(file)
    assert read_plan_record(file) == RECORD
    for schema, error in ((2, IncompatibleError), ("x", IntegrityError)):
        file.write_text(json.dumps({**json.loads(RECORD.to_text()), "schema": schema}))
        with pytest.raises(error):
            read_plan_record(file)


def test_every_prediction_says_that_it_is_one():
    text = terminal_plans(RECORD)
    assert text.count("predicted") == 4
    assert FACTORS in text
    assert "compiled, not run" in text
    assert any(
        line.startswith("A100-80") and "1.20×" in line and "2.1 s" in line for line in text.splitlines()
    )
    assert any(line.startswith("L4") and "–" in line for line in text.splitlines())
    assert "No plan can be built for" not in text


def test_cards_that_no_plan_is_for_are_named():
    on_hopper = replace(RECORD, predictions=(*RECORD.predictions, Prediction("H100", 0.02, None, None)))
    assert "No plan can be built for H100: theirs are the same kernels" in terminal_plans(on_hopper)
    assert "A100-80 multiply no FP8" in terminal_plans(replace(RECORD, precision="fp8"))


@pytest.mark.parametrize(
    ("device", "card"),
    [
        ("NVIDIA A100-SXM4-80GB", "A100-80"),
        ("NVIDIA A100-SXM4-40GB", "A100-40"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "RTX PRO 6000"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA GeForce RTX 5090 Laptop GPU", None),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA RTX 6000 Ada Generation", None),
        ("Intel(R) Xeon(R) Processor", None),
    ],
)
def test_a_device_is_told_by_the_words_of_its_name(device, card):
    """Relatives of a card have other rates, and are not taken for it."""
    found = card_of_device(device)
    assert (found and found.name) == card


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kernels": {"pointwise": 8, "product": 3}}, "step-512x512-2-rows: more kernels"),
        ({"bytes_read": 3_000_000_001}, "step-512x512-2-rows: more bytes"),
    ],
)
def test_one_more_is_a_regression(tmp_path, capsys, change, said):
    """Counts have no noise, so there is nothing to tolerate."""
    after = replace(RECORD, plans={**RECORD.plans, RECORD.guided_step: replace(ACCOUNT, **change)})
    for name, record in (("a", RECORD), ("b", after)):
        (tmp_path / name).write_text(record.to_text())
    assert run_command(command, ["--compare", str(tmp_path / "a"), str(tmp_path / "a")]) == 0
    assert run_command(command, ["--compare", str(tmp_path / "b"), str(tmp_path / "a")]) == 0
    capsys.readouterr()
    assert run_command(command, ["--compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 8
    assert said in capsys.readouterr().err


def test_two_systems_stand_side_by_side(tmp_path, capsys):
    """More is no fault of another system; ratios stand beside those that were published."""
    more = replace(ACCOUNT, kernels={"product": 20}, flops=18_000_000_000)
    controlled = replace(
        RECORD,
        system="sd3-controlnet",
        plans={RECORD.guided_step: more},
        predictions=(Prediction("A100-80", 0.1, None, None), Prediction("H100", 0.02, None, None)),
    )
    for name, record in (("a", RECORD), ("b", controlled)):
        (tmp_path / name).write_text(record.to_text())
    assert run_command(command, ["--compare", str(tmp_path / "b"), str(tmp_path / "a")]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    for row in (
        ["kernels", "20", "10", "2.00"],
        ["GFLOP", "18", "9", "2.00"],
        ["GB", "moved", "4.00", "4.00", "1.00"],
        ["A100-80,", "predicted", "100", "ms", "50", "ms", "2.00"],
        ["picture", "on", "an", "A100-80,", "published", "4.35", "s", "5.61", "s", "0.78"],
    ):
        assert row in rows
    assert not any("H100," in row for row in rows)  # of which one record says nothing
    with pytest.raises(BadInputError, match="has no guided step"):
        side_by_side(controlled, replace(RECORD, guided_step=""))


def test_only_the_same_work_is_compared():
    other = replace(RECORD, plans={"step-512x512-2-rows": replace(ACCOUNT, sizes={"rows": 1})})
    fewer = {axis: size for axis, size in ACCOUNT.sizes.items() if axis != "rows"}
    less = replace(RECORD, plans={"step-512x512-2-rows": replace(ACCOUNT, sizes=fewer)})
    assert not compare_plans(RECORD, less)[0].grown  # it reads nothing of that size any more
    with pytest.raises(BadInputError, match="counted at other sizes"):
        compare_plans(RECORD, other)
    with pytest.raises(BadInputError, match="without a plan in common"):
        compare_plans(RECORD, replace(RECORD, plans={"vae": ACCOUNT}))
    with pytest.raises(PerformanceError, match="no more than before"):
        refuse_growth(
            compare_plans(RECORD, replace(RECORD, plans={"prepare": replace(ACCOUNT, bytes_written=1 << 40)}))
        )
