"""A bundle's plans through the real compiler, and from what was written beside them."""

from __future__ import annotations

import shutil

import pytest

from dit4sr.bench.plans.cards import cards_named
from dit4sr.bench.plans.compiled import compiled_plans
from dit4sr.bench.plans.config import PlanRequest
from dit4sr.bench.plans.session import plan_record
from dit4sr.export.engines.tensorrt_rtx.builder import add_to
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.bundles.bundle import Bundle

pytest.importorskip("tensorrt_rtx", reason="not run: TensorRT for RTX is for Linux and Windows on x86-64")


def test_plans_are_compiled_where_there_are_none_and_read_where_there_are(tmp_path):
    """Either way the account is the same: it is the compiler's."""
    shutil.copytree(tiny_bundle(), tmp_path / "b")
    bundle = Bundle.open(tmp_path / "b")
    said: list[str] = []
    compiled = {plan.component: plan for plan in compiled_plans(bundle, said.append)}
    assert set(compiled) == set(bundle.components)
    assert len(said) == 4

    add_to(bundle, RtxConfig(components=("step", "vae_decoder")))
    said.clear()
    read = {plan.component: plan for plan in compiled_plans(Bundle.open(tmp_path / "b"), said.append)}
    assert len(said) == 2
    for component in ("step", "vae_decoder"):
        assert read[component].account.kernels == compiled[component].account.kernels
        assert read[component].layers == compiled[component].layers


def test_the_plain_export_multiplies_more():
    record = plan_record(PlanRequest(tiny_bundle(), cards_named(["L40S"])), lambda _: None)
    step = record.plans[record.guided_step]
    assert record.plain.flops > step.flops
    assert record.plain.products["fp16"] > step.products["fp16"]
    assert record.plain.fused_attentions == record.plain.attentions == 8
    [prediction] = record.predictions
    assert prediction.speed_up == prediction.plain_step_seconds / prediction.step_seconds
    assert prediction.picture_seconds > record.steps * prediction.step_seconds


def test_the_eight_bit_form_is_judged_without_photos():
    """Every product of the model in the box, and of its plain export; what is left of the bundle stays."""
    said: list[str] = []
    record = plan_record(PlanRequest(tiny_bundle(), as_fp8=True), said.append)
    assert (record.precision, record.has_stand_in_scales) == ("fp8", True)
    step = record.plans[record.guided_step]
    assert step.narrow_products == step.quantised_products == 65
    assert step.fused_attentions == step.attentions == 8
    assert step.products["fp16"] == 1  # the last projection, which stays wide
    assert record.plain.narrow_products == record.plain.quantised_products > 65
    assert "fp8" not in record.plans["prepare-256x256-2-rows"].products
    assert all(each.picture_seconds > each.step_seconds for each in record.predictions)
    assert any("scales stand in" in line for line in said)
