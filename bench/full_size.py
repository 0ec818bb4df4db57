"""``python -m dit4sr.bench.full_size``: the full-size system, exported and run once on this machine's CPU.

Exports the published architecture with weights by seed, in FP16, measuring time and memory of that process;
then loads its step in ONNX Runtime and compares one whole step, 512×512 with guidance, with torch. It needs
about 12 GB of memory and 6 GB of disk, and writes a JSON record.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.console.command import run_process

SEED, TILE, TEXT = 0, 64, 333


def export_record(output: Path) -> dict[str, Any]:
    """Export the full-size system in a process of its own, and say what that took."""
    arguments = ["--random-weights", str(SEED), "--precision", "fp16", "--no-verify", "-o", str(output)]
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "dit4sr.export.cli", *arguments], check=True)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    components = Bundle.open(output).components
    return {
        "seconds": round(seconds, 1),
        "peak_memory_bytes": peak,
        "bundle_bytes": sum(r.bytes for r in Bundle.open(output).manifest.files()),
        "component_bytes": {name: sum(r.bytes for r in part.files) for name, part in components.items()},
    }


def step_record(bundle: Bundle) -> dict[str, Any]:
    """Run one step in ONNX Runtime, and compare it with torch in FP32 and, as a yardstick, in plain FP16."""
    # ruff: noqa: PLC0415  (the bench imports the exporter only for its baselines)
    import torch

    from dit4sr.export import verify
    from dit4sr.export.pipeline import full_size_pipeline
    from dit4sr.runtime.axes import axis_sizes

    pipeline = full_size_pipeline(SEED)
    card = pipeline.card("fp16")
    sizes = axis_sizes(card, latent=(TILE, TILE), text=TEXT, steps=1)
    step = next(part for part in pipeline.components() if part.name == "step")
    feeds = verify.seeded_inputs(step, sizes)

    seconds: dict[str, float] = {}
    begin = time.perf_counter()
    run = verify.graph_runner(bundle.component_file("step"))
    seconds["onnxruntime_load"] = time.perf_counter() - begin
    begin = time.perf_counter()
    found = run(feeds)
    seconds["onnxruntime_step"] = time.perf_counter() - begin
    del run

    answers = []
    for name, dtype in (("torch_fp32_step", torch.float32), ("torch_fp16_step", torch.float16)):
        runner = verify.torch_runner(step, dtype)
        begin = time.perf_counter()
        answers.append(runner(feeds))
        seconds[name] = time.perf_counter() - begin
        del runner
    exact, plain = answers
    checks = [
        verify.compared("step", output, *values, tolerance=verify.Tolerance.at("fp16"))
        for output, *values in zip(step.outputs, exact, plain, found, strict=True)
    ]
    return {
        "latent": [TILE, TILE],
        "rows": 2,
        "text_tokens": TEXT,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "relative_error": {check.output: check.error for check in checks},
        "allowed": {check.output: check.allowed for check in checks},
    }


@click.command()
@click.option("--record", type=click.Path(path_type=Path), help="Write the JSON record to this file.")
@click.option("--commit", default="unknown", help="The commit that was measured.")
def command(record: Path | None, commit: str) -> None:
    """Export the full-size system, run one step of it, and record what that took."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "full-size"
        found = {
            "commit": commit,
            "machine": {"cores": os.cpu_count(), "cpu": platform.processor() or platform.machine()},
            "export": export_record(output),
            "step": step_record(Bundle.open(output)),
        }
    text = json.dumps(found, indent=2)
    if record is not None:
        record.write_text(text + "\n", encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    run_process(command)
