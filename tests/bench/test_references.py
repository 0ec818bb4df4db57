"""The published figures, and what is made of them."""

from __future__ import annotations

import pytest
from support.records import full_size_record, record

from dit4sr.bench.references import TABLE_2, is_comparable, peak_of, three_figures
from dit4sr.bench.report.terminal import terminal_report


def test_the_table_is_whole():
    assert [(row.method, row.steps, row.seconds) for row in TABLE_2] == [
        ("ResShift", 15, 0.79),
        ("StableSR", 200, 13.18),
        ("SeeSR", 50, 5.14),
        ("DiffBIR", 50, 4.12),
        ("SUPIR", 50, 11.85),
        ("SD3-ControlNet", 40, 4.35),
        ("DiT4SR", 40, 5.61),
    ]


def test_the_reference_against_itself_is_one():
    """The paper's picture on the paper's card: a quarter of its peak, and no speed-up."""
    found = three_figures(5.61, 435.2e12, 312e12)
    assert found.share_of_peak == pytest.approx(0.2486, abs=1e-3)
    assert (found.speed_up, found.normalised_speed_up) == (1, 1)


def test_a_faster_card_alone_is_no_speed_up():
    peak = peak_of("NVIDIA H200")
    found = three_figures(5.61 * 312e12 / peak, 435.2e12, peak)
    assert found.speed_up == pytest.approx(989 / 312)
    assert found.normalised_speed_up == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "peak"), [("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA H100 PCIe", 756e12), ("AMD EPYC", None)]
)
def test_peaks_by_name(name, peak):
    assert peak_of(name) == peak


@pytest.mark.parametrize(
    ("flops", "latent", "steps", "comparable"),
    [
        (375.5e12, (64, 64), 40, True),
        (375.5e12, (64, 64), 20, False),
        (375.5e12, (32, 32), 40, False),
        (2e10, (64, 64), 40, False),
        (None, (64, 64), 40, False),
    ],
)
def test_only_the_published_picture_is_compared(flops, latent, steps, comparable):
    assert is_comparable(flops, latent, steps) is comparable


def test_a_report_never_shows_one_speed_up_without_the_other():
    shown = terminal_report(full_size_record(1.0))
    assert "5.61× the published speed of DiT4SR; normalised by the two devices' peaks, 1.77×" in shown
    assert "at 38.0% of this device's peak" in shown
    assert "not stated" in shown
    assert "Not comparable" in terminal_report(record())
