"""``config.pbtxt``: what Triton is told of a model, for people to read and to change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dit4sr.runtime.serving.parameters import Parameters
from dit4sr.runtime.serving.tensors import ANSWER, PICTURE, PROGRESS, REQUEST, STEPS, Tensor

WARM_UP = "sample"
"""File of the sample photo's levels, in the model's folder ``warmup``."""
ONE_STEP = "one-step"
"""File that holds the number one beside it."""


@dataclass(frozen=True)
class Instances:
    """Processes that answer requests, each with the bundle opened for itself."""

    kind: str = "auto"
    """``cpu``, ``gpu``, or ``auto``: on every GPU, or on the CPU where there is none."""
    count: int = 1
    """Of each device."""


def model_config(
    name: str, instances: Instances, *, is_decoupled: bool, sample: Sequence[int], parameters: Parameters
) -> str:
    """The text of ``config.pbtxt``; ``sample`` is the shape of the photo to warm up with."""
    answer = (*ANSWER, PROGRESS) if is_decoupled else ANSWER
    parts = [
        _HEAD.format(name=json.dumps(name)),
        _tensors("input", REQUEST, "    optional: true\n"),
        _tensors("output", answer),
        _DECOUPLED if is_decoupled else _COUPLED,
        _INSTANCES.format(kind=instances.kind.upper(), count=instances.count),
        _WARM_UP.format(
            picture=PICTURE.name,
            shape=_listed(sample),
            sample=WARM_UP,
            steps=STEPS.name,
            one_step=ONE_STEP,
        ),
        _parameters(parameters),
    ]
    return "\n".join(parts)


_HEAD = """\
# Written by dit4sr-export. Change what you like: further versions of the model leave this file alone.
name: {name}
backend: "python"

# No batches. Pictures differ in size, so that they do not stack, and one alone fills the device: two of
# them in a batch would each take as long as both.
max_batch_size: 0

# Two versions at once: clients move to the new one before the old one's folder is removed.
version_policy {{ latest {{ num_versions: 2 }} }}
"""

_COUPLED = """\
# One answer to a request. With --decoupled, a stream that tells the progress first.
model_transaction_policy { decoupled: false }
"""

_DECOUPLED = """\
# A stream for each request: its progress, and last the picture. Needs gRPC.
model_transaction_policy { decoupled: true }
"""

_INSTANCES = """\
# Every instance is a process with the bundle in its memory; "dit4sr-upscale --dry-run" says how much.
# Where Triton runs with --rate-limit=execution_count, a picture takes one "dit4sr", of which a device has as
# many as the hungriest model asks for: then one picture at a time, however many models share the device.
instance_group [
  {{
    kind: KIND_{kind}
    count: {count}
    rate_limiter {{ resources [ {{ name: "dit4sr" count: 1 }} ] priority: 1 }}
  }}
]
"""

_WARM_UP = """\
# A sample photo in one step, by every instance before it is ready: engines are opened, kernels compiled.
model_warmup [
  {{
    name: "sample photo"
    batch_size: 1
    inputs {{
      key: "{picture}"
      value {{ data_type: TYPE_UINT8 dims: [ {shape} ] input_data_file: "{sample}" }}
    }}
    inputs {{
      key: "{steps}"
      value {{ data_type: TYPE_INT32 dims: [ 1 ] input_data_file: "{one_step}" }}
    }}
  }}
]
"""


def _tensors(side: str, tensors: Iterable[Tensor], more: str = "") -> str:
    declared = ",\n".join(
        f"  {{  # {tensor.meaning}\n"
        f"    name: {json.dumps(tensor.name)}\n"
        f"    data_type: TYPE_{tensor.kind}\n"
        f"    dims: [ {_listed(tensor.shape)} ]\n"
        f"{more}  }}"
        for tensor in tensors
    )
    return f"{side} [\n{declared}\n]\n"


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def _parameters(parameters: Parameters) -> str:
    lines = [
        f"# {meaning}\nparameters {{ key: {json.dumps(key)} value {{ string_value: {json.dumps(value)} }} }}"
        for key, value, meaning in parameters.lines()
    ]
    # Triton's own: a picture that a client shares on the GPU is handed over where it lies.
    lines.append(
        "# A picture that a client shares in CUDA memory comes as it lies there.\n"
        'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value { string_value: "no" } }'
    )
    return "\n".join(lines) + "\n"
