"""From a list of layers to an account, and the gate that an account has to pass."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from dit4sr.export.engines.account.graph_nodes import GraphNodes
from dit4sr.export.engines.account.layer import ATTENTION, COPY, PRODUCT, Layer
from dit4sr.runtime.bundles.plan_account import GroupAccount, LoneCopy, PlanAccount
from dit4sr.runtime.errors import AccuracyError

EIGHT_BITS = {"fp8", "int8"}
MOST_COPIES = 10


def account_of(
    layers: Sequence[Layer], graph: GraphNodes, *, compiler: str, sizes: Mapping[str, int], rest: str
) -> PlanAccount:
    """Count the layers of a plan whose sizes are fixed; ``rest`` names the layers that are in no group."""
    kernels = [layer for layer in layers if layer.is_kernel]
    return PlanAccount(
        compiler=compiler,
        sizes=dict(sizes),
        kernels=_counts(layer.kind for layer in kernels),
        attentions=graph.attentions,
        fused_attentions=sum(layer.kind == ATTENTION for layer in kernels),
        products=_counts(layer.precision for layer in kernels if layer.kind == PRODUCT),
        quantised_products=len(set(graph.quantised.values())),
        flops=sum(layer.flops for layer in kernels),
        bytes_read=sum(layer.bytes_read for layer in kernels),
        bytes_written=sum(layer.bytes_written for layer in kernels),
        bytes=_sums((layer.kind, layer.bytes) for layer in kernels),
        groups=_groups(kernels, graph, rest),
        copies=_copies(kernels),
        narrow_products=_narrow_products(kernels, graph.quantised),
    )


def require_fusion(name: str, account: PlanAccount) -> None:
    """Refuse an attention that writes its whole matrix of weights, and a quantised product that runs wide."""
    fix = "accept it with --allow-unfused"
    if account.fused_attentions < account.attentions:
        raise AccuracyError(
            f"{name}: {account.fused_attentions} of {account.attentions} attentions are fused",
            expected="all",
            fix=fix,
        )
    if account.narrow_products < account.quantised_products:
        found = f"{account.narrow_products} of {account.quantised_products}"
        raise AccuracyError(
            f"{name}: {found} quantised products run in eight bits",
            expected="all",
            fix=fix,
        )


def _narrow_products(kernels: Sequence[Layer], quantised: Mapping[str, str]) -> int:
    """How many quantised weights are multiplied in eight bits wherever they are read."""
    narrow = (layer for layer in kernels if layer.kind == PRODUCT and layer.precision in EIGHT_BITS)
    nodes = {node for layer in narrow for node in layer.nodes}
    wide = {weight for node, weight in quantised.items() if node not in nodes}
    return len(set(quantised.values()) - wide)


def _groups(kernels: Sequence[Layer], graph: GraphNodes, rest: str) -> tuple[GroupAccount, ...]:
    members: defaultdict[str, list[Layer]] = defaultdict(list)
    for layer in kernels:
        members[graph.group_of(layer.nodes, rest)].append(layer)
    return tuple(
        GroupAccount(
            group,
            len(found),
            sum(layer.flops for layer in found),
            sum(layer.bytes for layer in found),
        )
        for group, found in sorted(members.items(), key=lambda item: -sum(one.bytes for one in item[1]))
    )


def _copies(kernels: Sequence[Layer]) -> tuple[LoneCopy, ...]:
    copies = sorted((layer for layer in kernels if layer.kind == COPY), key=lambda layer: -layer.bytes)
    return tuple(LoneCopy(layer.name, layer.bytes, layer.nodes) for layer in copies[:MOST_COPIES])


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, amount in pairs:
        sums[name] += amount
    return dict(sorted(sums.items()))
