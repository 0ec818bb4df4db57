"""``python -m dit4sr.bench.side_by_side OUTPUT``: the systems that were trained there, on held-out crops.

Pictures and their figures are made plainly in torch, as those of docs/tiny.md. Steps are timed in turns, in
torch as they were trained and on ONNX Runtime as they are deployed. Bytes are TensorRT for RTX's own account.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dit4sr.bench.measure.background_load import BackgroundLoad
from dit4sr.bench.measure.latency import SETTLE
from dit4sr.bench.measure.statistics import paired_ratio
from dit4sr.bench.measure.stopwatch import Call, MonotonicClock, StopRule, measure_in_turns
from dit4sr.bench.pictures import drawn_picture
from dit4sr.bench.plans.config import PlanRequest
from dit4sr.bench.plans.session import plan_record
from dit4sr.bench.subject import Subject
from dit4sr.export.tiny.systems import NAMES
from dit4sr.runtime import Settings
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.progress import show_progress
from dit4sr.runtime.console.table import format_table
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import read_text

if TYPE_CHECKING:
    from dit4sr.export.tiny.evaluation import Score, Way
    from dit4sr.export.tiny.system import TinySystem

# torch takes seconds to import, and --help needs none of it.
# ruff: noqa: PLC0415

SETTINGS = ((2, 1.0), (8, 1.0), (8, 1.25), (40, 1.0), (40, 1.25))
"""Steps and guidance of the restorations that are scored."""
SHOWN = (3, 5, 11)
"""Which of the held-out crops are drawn, one of each photograph."""
DRAWN = (2, 1.0)
CAPTION = 24
"""Height in pixels of the captions above a picture."""
QUALITY = 88
"""Of the JPEG."""
EXPORTED = ("dit4sr", "sd3-controlnet")
"""Systems whose checkpoints the exporter takes; it knows no stand-in for DPIR's image encoder."""
BACKEND = "onnxruntime"
ROWS = (1, 2)
"""Rows of a step: without guidance, and with."""
RULE = StopRule(warmups=3, least_runs=30, least_seconds=3.0, most_seconds=60.0)


def trained(output: Path) -> dict[str, TinySystem]:
    """The systems whose checkpoints lie in a folder."""
    from dit4sr.export.tiny.systems.checkpoint import read_system

    found = {name: read_system(name, output / name) for name in NAMES if (output / name).is_dir()}
    if not found:
        raise BadInputError(
            f"{output} holds none of {', '.join(NAMES)}",
            fix=f"python -m dit4sr.export.tiny.systems {output}",
        )
    return found


def quality(systems: Mapping[str, TinySystem]) -> dict[str, list[Score]]:
    """Scores of every system, and of what needs none."""
    from dit4sr.export.tiny.data.held_out import held_out_pairs
    from dit4sr.export.tiny.evaluation import evaluate

    pairs = held_out_pairs()
    scores: dict[str, list[Score]] = {}
    for name, system in systems.items():
        show_progress(f"{name}: restoring {len(pairs)} crops in {len(SETTINGS)} ways")
        bicubic, vae, *rows = evaluate(system, pairs, SETTINGS)
        scores |= {"": [bicubic, vae], name: rows}
    return scores


def drawn(systems: Mapping[str, TinySystem]) -> Image.Image:
    """Some held-out crops: bicubic, as every system restores them, and the truth."""
    from dit4sr.export.tiny.data.degradation import enlarged
    from dit4sr.export.tiny.data.held_out import held_out_pairs
    from dit4sr.export.tiny.evaluation import restoring

    columns: dict[str, Way] = {
        "bicubic": lambda pair: enlarged(pair.photo),
        **{name: restoring(system, *DRAWN) for name, system in systems.items()},
        "truth": lambda pair: pair.truth,
    }
    rows = [
        np.concatenate([way(pair) for way in columns.values()], axis=1)
        for pair in (held_out_pairs()[place] for place in SHOWN)
    ]
    picture = np.concatenate(rows)
    canvas = Image.new("RGB", (picture.shape[1], picture.shape[0] + CAPTION), "white")
    canvas.paste(Image.fromarray(picture), (0, CAPTION))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=16)
    for place, caption in enumerate(columns):
        pen.text((place * picture.shape[1] // len(columns) + 6, 2), caption, fill="black", font=font)
    return canvas


def steps_in_torch(systems: Mapping[str, TinySystem], rows: int) -> dict[str, Call]:
    """A step of a whole tile of every system, as it was trained: everything in it, every time."""
    import torch

    from dit4sr.export.tiny.recipe import CHANNELS, TILE

    def call(system: TinySystem) -> Call:
        latent, condition = torch.randn(2, rows, CHANNELS, TILE, TILE).unbind()
        prompt, level = torch.ones(rows, dtype=torch.int64), torch.full((rows,), 0.5)
        return torch.inference_mode()(lambda: system.restorer(latent, condition, prompt, level))

    return {name: call(system) for name, system in systems.items()}


def bundles(output: Path, names: Sequence[str], folder: Path, precision: str) -> dict[str, Path]:
    """A bundle of every system that the exporter takes."""
    from dit4sr.export.exporter import ExportConfig, export_bundle
    from dit4sr.export.pipeline import checkpoint_pipeline

    made = {name: folder / f"{name}-{precision}" for name in names if name in EXPORTED}
    for name, bundle in made.items():
        show_progress(f"{name}: exporting in {precision}")
        export_bundle(checkpoint_pipeline(output / name, name=name), ExportConfig(bundle, precision))
    return made


@contextmanager
def steps_deployed(made: Mapping[str, Path], rows: int, threads: int) -> Iterator[dict[str, Call]]:
    """The same of bundles, on ONNX Runtime: what no step changes was prepared before."""
    settings = Settings(guidance=float(rows))  # of 1 there is none
    with ExitStack() as stack:
        subjects = {
            name: stack.enter_context(
                Subject(bundle, drawn_picture(), settings, backend=BACKEND, device="cpu", threads=threads)
            )
            for name, bundle in made.items()
        }
        yield {name: subject.component("step", subject.workload()) for name, subject in subjects.items()}


def step_times(calls: Mapping[str, Call]) -> dict[str, Any]:
    """Seconds of each call, in turns, and how they stand to the first one's."""
    load = BackgroundLoad()
    timings = measure_in_turns(calls, RULE, MonotonicClock(), pause=SETTLE)
    first = next(iter(timings.values()))
    return {
        "cores that others kept busy": round(load.cores(), 2),
        "systems": {
            name: {
                "seconds": [round(each, 5) for each in timing.seconds],
                "to the first": asdict(paired_ratio(timing.seconds, first.seconds)),
            }
            for name, timing in timings.items()
        },
    }


def step_plan(bundle: Path) -> dict[str, Any]:
    """What NVIDIA's compiler makes of a bundle's step of a whole tile, with guidance."""
    record = plan_record(PlanRequest(bundle, cards=(), with_plain=False), show_progress)
    account = record.plans[record.guided_step]
    return {
        "compiler": account.compiler,
        "sizes": dict(account.sizes),
        "kernels": sum(account.kernels.values()),
        "attentions": account.attentions,
        "fused attentions": account.fused_attentions,
        "flops": account.flops,
        "bytes read": account.bytes_read,
        "bytes written": account.bytes_written,
    }


def training_log(file: Path) -> dict[str, Any]:
    """How long a training took, and where its loss went."""
    found = [json.loads(line) for line in read_text(file).splitlines()]
    # What was done again after a stop has two lines.
    lines = list({line["iteration"]: line for line in found}.values())
    before = [0, *(line["iteration"] for line in lines)]
    seconds = sum(
        line["seconds"] * (line["iteration"] - done) for line, done in zip(lines, before, strict=False)
    )
    return {
        "iterations": before[-1],
        "seconds": round(seconds),
        "losses": {line["iteration"]: round(line["loss"], 5) for line in lines[3::4]},
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("output", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw some crops, as JPEG.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures, as JSON.")
@click.option("--commit", default="unknown", help="The commit that was trained and measured.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--no-plans", is_flag=True, help="Ask no compiler.")
def command(
    output: Path, *, picture: Path | None, record: Path | None, commit: str, threads: int, no_plans: bool
) -> None:
    """Compare what OUTPUT holds: PSNR, SSIM, sharpness, time and bytes of a step."""
    import torch

    from dit4sr.export.tiny.evaluation import format_scores
    from dit4sr.export.tiny.systems.networks import parameters

    torch.set_num_threads(threads)
    systems = trained(output)
    if picture is not None:
        drawn(systems).save(picture, "JPEG", quality=QUALITY)
    scores = quality(systems)
    times = {f"torch, {rows} rows": step_times(steps_in_torch(systems, rows)) for rows in ROWS}
    with tempfile.TemporaryDirectory() as scratch:
        single = bundles(output, list(systems), Path(scratch), "fp32")
        for rows in ROWS:
            with steps_deployed(single, rows, threads) as calls:
                times[f"ONNX Runtime, {rows} rows"] = step_times(calls)
        halves = {} if no_plans else bundles(output, list(systems), Path(scratch), "fp16")
        plans = {name: step_plan(bundle) for name, bundle in halves.items()}
    for name, found in scores.items():
        click.echo(f"\n{name or 'without a system'}\n{format_scores(found)}")
    click.echo("\n" + format_times(times))
    written = {
        "kind": "side by side",
        "commit": commit,
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "cpu": platform.processor() or platform.machine()},
        "without a system": [asdict(score) for score in scores[""]],
        "systems": {
            name: {
                "parameters": parameters(system.restorer),
                "checkpoint bytes": sum(
                    file.stat().st_size for file in (output / name).rglob("*.safetensors")
                ),
                "training": training_log(output / f"{name}.log.jsonl"),
                "scores": [asdict(score) for score in scores[name]],
                "plan of a guided step": plans.get(name),
            }
            for name, system in systems.items()
        },
        "one step of a tile": {"threads": threads} | times,
    }
    if record is not None:
        record.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def format_times(times: Mapping[str, Any]) -> str:
    """The steps' times as a table."""
    rows = [
        [
            name,
            way,
            f"{1000 * float(np.median(each['seconds'])):.1f} ms",
            f"{each['to the first']['value']:.2f}",
        ]
        for way, found in times.items()
        for name, each in found["systems"].items()
    ]
    return format_table(["a step", "", "median", "to the first"], rows)


if __name__ == "__main__":
    run_process(command)
