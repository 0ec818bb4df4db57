"""Checkpoints of released size, within the memory that is promised. Slow: they write and read up to 7 GB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.controlled import stated_configs

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.layout import lr_tensors, released_layout
from dit4sr.export.architectures.sd3_controlnet.config import SystemConfig
from dit4sr.export.architectures.sd3_controlnet.layout import layout_of

pytestmark = pytest.mark.slow

FP16, FP32 = ("F16", 2), ("F32", 4)


def write_sparse(folder: Path, layout: Mapping[str, tuple[int, ...]], config, wide=frozenset()) -> None:
    """A file of zeros at released size, in FP16 but for what is ``wide``, which takes no room on the disk."""
    header, offset = {}, 0
    for key, shape in layout.items():
        dtype, size = FP32 if key in wide else FP16
        for extent in shape:
            size *= extent
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    folder.mkdir(parents=True)
    with (folder / "diffusion_pytorch_model.safetensors").open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        file.truncate(8 + len(encoded) + offset)
    (folder / "config.json").write_text(json.dumps(config))


def test_full_size_opens_in_fp16_within_8_gb(tmp_path):
    config = TransformerConfig()
    # The part that was trained is in FP32.
    wide = frozenset(lr_tensors(config))
    write_sparse(tmp_path / "transformer", released_layout(config), config.to_json(), wide)
    script = (
        "import resource, sys, torch, pathlib\n"
        "from dit4sr.export.architectures.dit4sr.loading import load_transformer\n"
        "model = load_transformer(pathlib.Path(sys.argv[1]), dtype=torch.float16)\n"
        "print(sum(t.numel() for t in model.state_dict().values()))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True
    ).stdout.split()
    elements, peak = map(int, printed)
    assert elements == 2_594_049_216 + 226_492_416
    assert peak < 8e9


def test_a_full_size_control_net_is_exported_within_2_gb(tmp_path):
    """Backbone and control net, 3.5 B parameters, by the command."""
    config = SystemConfig()
    for part, stated in stated_configs(config).items():
        write_sparse(tmp_path / "checkpoint" / part, layout_of(part, config), stated)
    command = [
        tmp_path / "checkpoint",
        "-o",
        tmp_path / "bundle",
        "--components",
        "prepare,step",
        "--no-verify",
    ]
    script = "from dit4sr.export.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", script, *map(str, command)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    written = sum(file.stat().st_size for file in (tmp_path / "bundle" / "onnx").iterdir())
    assert written > 6.9e9
    assert usage.ru_maxrss * 1024 < 2e9
