"""What a calibration did, for people and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dit4sr.calibrate.search.evaluator import Verdict
from dit4sr.calibrate.speed import Speed
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.schema import to_json
from dit4sr.runtime.console.table import format_bytes, format_table


@dataclass(frozen=True)
class Decision:
    """What became of one MatMul, and why."""

    name: str
    weights: int
    alone: Verdict | None
    """What quantising this MatMul alone does; ``None`` where that was not measured."""
    kept: bool


@dataclass(frozen=True)
class Report:
    """What a finished bundle is like, beside the one it was made of."""

    output: str
    precision: str
    before: Mapping[str, int]
    """Bytes of every component of the original bundle, and of all its files as ``all``."""
    after: Mapping[str, int]
    verdict: Verdict
    photos: int
    claimed: int = 0
    """How many MatMuls the written graph shows between their Q/DQ pairs."""
    decisions: tuple[Decision, ...] = ()
    embeddings: Mapping[str, float] = field(default_factory=dict)
    """Relative error of what the text encoders make of the default prompts."""
    remarks: tuple[str, ...] = ()
    speed: Speed | None = None
    """How fast both bundles are on this machine, where that was measured."""

    @property
    def has_pairs(self) -> bool:
        """True if linear layers compute between Q/DQ pairs, and not only their weights are stored smaller."""
        return bool(self.decisions)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        plain: dict[str, Any] = to_json(self)
        return plain


def bundle_bytes(bundle: Bundle) -> dict[str, int]:
    """Bytes of every component's files, and of everything the manifest names."""
    sizes = {
        name: sum(record.bytes for record in part.files) for name, part in sorted(bundle.components.items())
    }
    return {**sizes, "all": sum(record.bytes for record in bundle.manifest.files())}


def format_report(report: Report) -> str:
    """The report as tables and sentences, for people."""
    lines = []
    if report.decisions:
        lines += [_decisions(report), ""]
    lines += [_sizes(report), "", *_verdict(report)]
    lines += [f"{name}: embedding off by {error:.2%}" for name, error in report.embeddings.items()]
    lines += report.speed.sentences() if report.speed else []
    return "\n".join([*lines, *report.remarks])


def _decisions(report: Report) -> str:
    rows = []
    for decision in report.decisions:
        alone = decision.alone
        saved = 0 if decision.kept else decision.weights
        rows.append(
            [
                decision.name,
                format_bytes(2 * decision.weights),
                format_bytes(saved),
                "not measured" if alone is None else f"{alone.psnr:.1f} dB",
                "" if alone is None else f"{max(alone.velocity):.2%} at {alone.worst_step}",
                "fp16" if decision.kept else report.precision,
            ]
        )
    return format_table(["layer", "fp16", "saved", "PSNR (RGB) alone", "worst velocity", "decision"], rows)


def _sizes(report: Report) -> str:
    rows = [
        [name, format_bytes(size), format_bytes(report.after[name]), f"{report.after[name] / size:.1%}"]
        for name, size in report.before.items()
    ]
    return format_table(["component", "before", "after", "left"], rows)


def _verdict(report: Report) -> list[str]:
    verdict = report.verdict
    photos = "1 photo" if report.photos == 1 else f"{report.photos} photos"
    lines = [
        f"{report.output}: {report.precision}, evaluated on {photos}",
        f"PSNR (RGB) between the pictures before and after: {verdict.psnr:.2f} dB at the worst",
        "no truth to measure a drop against"
        if verdict.drop is None
        else f"drop of the PSNR (RGB) against the truth: {verdict.drop:+.3f} dB on average",
        f"velocity off by {max(verdict.velocity):.2%} at the worst step, {verdict.worst_step} of "
        f"{len(verdict.velocity)}, and by {sum(verdict.velocity) / len(verdict.velocity):.2%} on average",
    ]
    if report.decisions:
        kept = sum(decision.kept for decision in report.decisions)
        lines.append(
            f"{report.claimed} MatMuls between Q/DQ pairs, {kept} of {len(report.decisions)} kept in fp16"
        )
    return lines
