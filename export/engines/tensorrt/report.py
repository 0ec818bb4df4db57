"""What TensorRT made of a graph, read from the inspector's account.

The names that are looked for were read in documentation and issues, and have not been seen on a GPU yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dit4sr.runtime.bundles.manifest import LayerTime, PlanReport
from dit4sr.runtime.errors import AccuracyError

FUSED_ATTENTION = re.compile(r"_mha|fmha|flash_?att", re.IGNORECASE)
MATMUL = re.compile(r"gemm|matmul|matrix_?multiply|cublas|xmma|cutlass|conv", re.IGNORECASE)
SLOWEST = 10


def report_of(
    layers: Sequence[Mapping[str, Any]], attentions: int, times: Mapping[str, float] | None = None
) -> PlanReport:
    """Counts over the layers; ``times`` are milliseconds by name."""
    slowest = sorted((times or {}).items(), key=lambda item: -item[1])[:SLOWEST]
    return PlanReport(
        layers=len(layers),
        attentions=attentions,
        fused_attentions=sum(map(_is_fused_attention, layers)),
        fp8_products=sum(map(_is_fp8_matmul, layers)),
        casts=sum(_is_called("cast", layer) for layer in layers),
        reformats=sum(_is_called("reformat", layer) for layer in layers),
        slowest=tuple(LayerTime(name, round(time, 6)) for name, time in slowest),
    )


def require_fusion(name: str, report: PlanReport) -> None:
    """An attention that is not fused writes its whole matrix of weights to memory: refuse it."""
    if report.fused_attentions < report.attentions:
        raise AccuracyError(
            f"{name}: {report.fused_attentions} of {report.attentions} attentions are fused",
            expected="all",
            fix="build with --attention plugin, or accept it with --allow-unfused",
        )


def _is_fused_attention(layer: Mapping[str, Any]) -> bool:
    """The library's kernel by its name, or ours, which carries the operator's."""
    names = _words(layer, "Name", "TacticName")
    is_ours = "Plugin" in str(layer.get("LayerType", "")) and "JointAttention" in _words(
        layer, "Name", "PluginType", "TacticName", "Metadata"
    )
    return is_ours or bool(FUSED_ATTENTION.search(names))


def _is_fp8_matmul(layer: Mapping[str, Any]) -> bool:
    """True for a MatMul of two FP8 operands: a tactic's name may promise what is not kept."""
    if not MATMUL.search(_words(layer, "LayerType", "TacticName")):
        return False
    operands = [_type_of(tensor) for tensor in layer.get("Inputs", ())]
    return sum("FP8" in kind or "E4M3" in kind for kind in operands) >= 2


def _type_of(tensor: Mapping[str, Any]) -> str:
    """Up to 10 the inspector joined format and type, as in ``Row major linear FP8 format``."""
    return _words(tensor, "DataType", "Datatype", "Format/Datatype").upper()


def _is_called(word: str, layer: Mapping[str, Any]) -> bool:
    return str(layer.get("LayerType", layer.get("Name", ""))).lower().startswith(word)


def _words(values: Mapping[str, Any], *keys: str) -> str:
    found: Iterable[str] = (str(values[key]) for key in keys if key in values)
    return " ".join(found)
