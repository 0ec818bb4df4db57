"""Scales without photos: every weight has its own, and every activation one that stands in for it.

What a compiler makes of a graph hangs on where values are rounded, and not on the numbers. So the eight-bit
form of a network can be judged before it is calibrated, and with random weights; its pictures mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from dit4sr.calibrate.graph.matmuls import MatMul
from dit4sr.calibrate.scales.derivation import weight_of
from dit4sr.calibrate.scales.formats import Format
from dit4sr.calibrate.scales.qparams import QuantParams
from dit4sr.calibrate.scales.range_estimation import weight_scale

_REACH = 8.0
"""The largest magnitude of the first activation."""
_STEP = 1 / 512
"""By how much more every next one reaches: more than a half's last digit, so that no two scales are alike."""


def stand_in_qparams(matmuls: Mapping[str, MatMul], format_: Format) -> dict[str, QuantParams]:
    """Parameters for every MatMul, in the form that TensorRT takes: one scale for a tensor."""
    activations = dict.fromkeys(matmul.activation_names[0] for matmul in matmuls.values())
    scales = {
        name: float(format_.scale_for(_REACH * (1 + number * _STEP)))
        for number, name in enumerate(activations)
    }
    return {
        name: QuantParams(
            format_,
            scales[matmul.activation_names[0]],
            None
            if matmul.weight is None
            else weight_scale("amax", format_, weight_of(matmul), per_channel=False),
        )
        for name, matmul in matmuls.items()
    }
