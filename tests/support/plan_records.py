"""A record of plans made of nothing but numbers."""

from __future__ import annotations

from dataclasses import replace

from dit4sr.bench.plans.prediction import FACTORS, Prediction
from dit4sr.bench.plans.record import PlanRecord
from dit4sr.runtime.bundles.plan_account import GroupAccount, LoneCopy, PlanAccount

ACCOUNT = PlanAccount(
    compiler="a compiler 1",
    sizes={"height": 64, "width": 64, "rows": 2, "text": 333},
    kernels={"pointwise": 7, "product": 3},
    attentions=2,
    fused_attentions=2,
    products={"fp16": 3},
    quantised_products=0,
    flops=9_000_000_000,
    bytes_read=3_000_000_000,
    bytes_written=1_000_000_000,
    bytes={"pointwise": 3_000_000_000, "product": 1_000_000_000},
    groups=(GroupAccount("image MLP", 4, 8_000_000_000, 2_000_000_000),),
    copies=(LoneCopy("__myl_Cast_1", 5_000_000, ("node_Cast_7",)),),
)
RECORD = PlanRecord(
    kind="plans",
    schema=1,
    made="2026-11-26T00:00:00+00:00",
    bundle="b",
    digest="d" * 64,
    precision="fp16",
    steps=40,
    plans={"step-512x512-2-rows": ACCOUNT, "prepare": replace(ACCOUNT, flops=0)},
    guided_step="step-512x512-2-rows",
    plain=replace(ACCOUNT, kernels={"pointwise": 20}),
    factors=FACTORS,
    predictions=(Prediction("A100-80", 0.05, 0.06, 2.1), Prediction("L4", 0.2, None, None)),
    command="dit4sr-bench --plan b",
)
