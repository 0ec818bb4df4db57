"""What a compiler made of a bundle's graphs, plan by plan, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dit4sr.runtime.bundles.manifest import Engine
from dit4sr.runtime.bundles.plan_account import PlanAccount
from dit4sr.runtime.console.table import format_bytes, format_table

HEADER = [
    "plan",
    "kernels",
    "attentions fused",
    "quantised in 8 bits",
    "GFLOP",
    "moved",
    "by element",
    "copies",
]
MOST_COPIES = 3


def format_accounts(engines: Iterable[Engine]) -> str:
    """A table of the plans that have an account, and the largest copies of each; empty if there are none."""
    accounts = [(_plan(engine), account) for engine in engines if (account := _account(engine))]
    if not accounts:
        return ""
    compilers = ", ".join(dict.fromkeys(account.compiler for _, account in accounts))
    return "\n".join(
        [
            f"What {compilers} made of the graphs (compiled, not run):",
            format_table(HEADER, [account_row(plan, account) for plan, account in accounts]),
            *_copies(accounts),
        ]
    )


def _account(engine: Engine) -> PlanAccount | None:
    return engine.plan.account if engine.plan else None


def _plan(engine: Engine) -> str:
    return engine.files[0].path.rpartition("/")[2].removesuffix(".plan")


def account_row(plan: str, account: PlanAccount) -> list[str]:
    """The cells under `HEADER`."""
    moved = account.bytes
    return [
        plan,
        str(sum(account.kernels.values())),
        f"{account.fused_attentions} of {account.attentions}",
        f"{account.narrow_products} of {account.quantised_products}",
        f"{account.flops / 1e9:,.1f}",
        format_bytes(sum(moved.values())),
        format_bytes(moved.get("pointwise", 0)),
        format_bytes(moved.get("copy", 0)),
    ]


def _copies(accounts: Sequence[tuple[str, PlanAccount]]) -> list[str]:
    """Kernels that compute nothing, the largest of all plans, with the nodes that they came from."""
    found = sorted(
        ((copy, plan) for plan, account in accounts for copy in account.copies),
        key=lambda pair: -pair[0].bytes,
    )
    return [
        f"  copy in {plan}: {format_bytes(copy.bytes)}, from {', '.join(copy.nodes[:3]) or copy.kernel}"
        for copy, plan in found[:MOST_COPIES]
    ]
