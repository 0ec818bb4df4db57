"""A record as sections: a title, a table, a few sentences. Every form of report shows the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dit4sr.bench.measure.statistics import Ratio
from dit4sr.bench.record import OURS, Record, Series
from dit4sr.bench.references import CONDITIONS, TABLE_2, is_comparable, three_figures
from dit4sr.bench.report.explanation import explain
from dit4sr.bench.report.units import format_flops, format_rate, format_seconds
from dit4sr.runtime.console.table import format_bytes

Row = Sequence[str]


@dataclass(frozen=True)
class Section:
    """One part of a report."""

    title: str
    header: Row = ()
    rows: tuple[Row, ...] = ()
    sentences: tuple[str, ...] = ()


def sections(record: Record, *, with_explanation: bool = True) -> list[Section]:
    """The sections that a record fills, in reading order."""
    made = [
        _latency(record),
        _baselines(record),
        _published(record),
        _roofline(record),
        _accuracy(record),
        _ablations(record),
        _sweep(record),
        _memory(record),
    ]
    if with_explanation:
        made.append(Section("What holds it back", sentences=tuple(explain(record))))
    made.append(Section("Not measured", sentences=record.notes))
    return [section for section in made if section.rows or section.sentences]


def headline(record: Record) -> list[str]:
    """Lines that say what was measured, and on what."""
    subject, environment = record.subject, record.environment
    flops = (
        ""
        if subject.flops_per_picture is None
        else f", {format_flops(subject.flops_per_picture)} of sampling"
    )
    lines = [
        f"{subject.name} ({subject.bundle}, weights {subject.weights}) in {subject.precision} "
        f"on {subject.backend}",
        f"{subject.picture[1]}×{subject.picture[0]} pixels in {_counted(subject.tiles, 'tile')}, "
        f"{f'preset {subject.preset}, ' if subject.preset else ''}"
        f"{_counted(subject.steps, 'step')}, guidance {subject.guidance:g}, "
        f"{_counted(subject.rows, 'row')} of {subject.text_rows} text tokens{flops}",
        f"{environment.machine}, {environment.cores} cores; "
        f"{environment.copy_bandwidth / 1e9:.1f} GB/s copied, "
        f"{format_rate(environment.matmul_rate)} multiplied ({environment.rate_precision}), both measured; "
        f"clock {subject.clock}",
    ]
    if environment.is_busy:
        lines.append(
            f"BUSY MACHINE: other work took {environment.load:g} of {environment.cores} cores; not a record"
        )
    return lines


def format_ratio(ratio: Ratio) -> str:
    """A ratio as text: the estimate, and its bounds where there were samples enough for any."""
    return f"{ratio.value:.2f}×" + (f" ({ratio.low:.2f} to {ratio.high:.2f})" if ratio.has_bounds else "")


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _latency(record: Record) -> Section:
    rows = [_timing_row(series) for series in record.series if series.contender == OURS]
    return Section("Latency", ("scope", "p50", "p90", "p99", "runs"), tuple(rows))


def _timing_row(series: Series) -> Row:
    summary = series.summary
    times = (format_seconds(value) for value in (summary.p50, summary.p90, summary.p99))
    return (series.scope, *times, str(summary.count))


def _baselines(record: Record) -> Section:
    rows = []
    for comparison in record.comparisons:
        series = record.find(comparison.scope, comparison.contender)
        p50 = format_seconds(series.summary.p50) if series else "–"
        certainty = f"{comparison.slower.confidence:.0%}" if comparison.slower.has_bounds else "–"
        way = "in pairs" if comparison.is_paired else "in turns"
        name = f"{comparison.scope}: {comparison.contender}"
        rows.append((name, p50, format_ratio(comparison.slower), certainty, way))
    header = ("contender", "p50", "slower than dit4sr", "confidence", "measured")
    return Section("Against the alternatives", header, tuple(rows))


def _published(record: Record) -> Section:
    """The section of the three figures, which mean something only for the picture that was published."""
    subject, peak = record.subject, record.environment.device_peak
    picture = record.find("picture")
    if picture is None or not (
        subject.tiles == 1 and is_comparable(subject.flops_per_picture, subject.latent, subject.steps)
    ):
        return Section(
            "Against the published figure",
            sentences=(
                "Not comparable: the published 5.61 s are those of the full-size network, 512×512, 40 steps, "
                "on one A100.",
            ),
        )
    assert subject.flops_per_picture is not None
    limit, name = (peak, "data sheet") if peak else (record.environment.matmul_rate, "measured")
    figures = three_figures(picture.summary.p50, subject.flops_per_picture, limit)
    published = [(row.method, row.base, str(row.steps), f"{row.seconds:.2f} s") for row in TABLE_2]
    return Section(
        "Against the published figure",
        ("method", "base", "steps", "seconds, published"),
        tuple(published),
        (
            f"Here {format_seconds(figures.seconds)} a picture, at {figures.share_of_peak:.1%} of this "
            f"device's peak ({name}).",
            f"{figures.speed_up:.2f}× the published speed of DiT4SR; normalised by the two devices' peaks, "
            f"{figures.normalised_speed_up:.2f}×.",
            f"Published conditions: {CONDITIONS}.",
        ),
    )


def _roofline(record: Record) -> Section:
    rows = []
    for row in record.groups:
        time = "–" if row.seconds is None else format_seconds(row.seconds)
        share = "–" if row.share_of_roof is None else f"{row.share_of_roof:.0%}"
        work = (f"{row.flops / 1e9:.3g}", format_bytes(row.bytes))
        rows.append((row.group, *work, format_seconds(row.roof_seconds), time, share, row.bound))
    header = ("layers, one step", "GFLOP", "bytes", "roof", "took", "of roof", "bound by")
    above = [row.group for row in record.groups if row.is_above_roof]
    sentence = (
        f"No share for {', '.join(above)}: faster than the limits measured here, so these were measured too "
        "low (a busy machine), or fewer bytes were moved than counted (fused operators)."
    )
    return Section("Roofline", header, tuple(rows), (sentence,) if above else ())


def _accuracy(record: Record) -> Section:
    rows = []
    for row in record.accuracy:
        step = "–" if row.worst_step is None else f"{row.worst_step} ({row.worst_step_error:.1e})"
        metrics = ", ".join(f"{name} {value:.3f}" for name, value in row.metrics.items()) or "–"
        figures = (f"{row.psnr:.2f}", f"{row.ssim:.4f}", str(row.max_error), step, metrics)
        made_by = "" if row.made_by == OURS else f", {row.made_by},"
        rows.append((f"{row.picture}{made_by} against {row.against}", *figures))
    header = ("picture", "PSNR (Y), dB", "SSIM", "largest", "worst step", "other metrics")
    return Section("Accuracy", header, tuple(rows))


def _ablations(record: Record) -> Section:
    rows = [
        (row.optimisation, row.scope, format_ratio(row.slower) if row.slower else "–")
        for row in record.ablations
    ]
    sentences = (
        f"Without {row.optimisation}: {row.off}{f' ({row.note})' if row.note else ''}."
        for row in record.ablations
    )
    header = ("without", "scope", "takes, of the time with it")
    return Section("Optimisations switched off", header, tuple(rows), tuple(sentences))


def _sweep(record: Record) -> Section:
    rows = []
    for row in record.sweep:
        middle = Series("", "", row.seconds).summary.p50
        size = f"{row.width}×{row.height}"
        rows.append((size, str(row.images), format_seconds(middle), format_seconds(middle / row.images)))
    return Section("One step at other sizes", ("pixels", "batch", "p50", "p50 of one picture"), tuple(rows))


def _memory(record: Record) -> Section:
    rows = [(name, format_bytes(count)) for name, count in record.peak_bytes.items()]
    return Section("Peak memory", ("where", "bytes"), tuple(rows))
