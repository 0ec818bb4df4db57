"""The 2.7 B-parameter checkpoint, within the memory it promises. Slow: writes and reads 6 GB."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dit4sr.export.architectures.dit4sr.config import TransformerConfig
from dit4sr.export.architectures.dit4sr.layout import lr_tensors, released_layout

pytestmark = pytest.mark.slow

FP16, FP32 = ("F16", 2), ("F32", 4)


def write_sparse_checkpoint(folder) -> None:
    """A file of zeros at released size: the base in FP16, the trained part in FP32."""
    config = TransformerConfig()
    trained, header, offset = set(lr_tensors(config)), {}, 0
    for key, shape in released_layout(config).items():
        dtype, size = FP32 if key in trained else FP16
        for extent in shape:
            size *= extent
        header[key] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    folder.mkdir()
    with (folder / "diffusion_pytorch_model.safetensors").open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        file.truncate(8 + len(encoded) + offset)
    (folder / "config.json").write_text(json.dumps(config.to_json()))


def test_full_size_opens_in_fp16_within_8_gb(tmp_path):
    write_sparse_checkpoint(tmp_path / "transformer")
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
