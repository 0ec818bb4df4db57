"""What a job would do, without doing it."""

from __future__ import annotations

from collections.abc import Sequence

from dit4sr.runtime.batch.faults import fault_of_picture
from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import JobConfig
from dit4sr.runtime.console.output import PIPE
from dit4sr.runtime.console.table import format_table
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import read_content, read_photo
from dit4sr.runtime.upscaler import Upscaler

HEADER = ["picture", "size", "becomes", "seed", "goes to"]


def format_dry_run(upscaler: Upscaler, items: Sequence[Item], config: JobConfig) -> str:
    """A table of the pictures and what they would become; then those that would fail, and the backend."""
    if any(item.source is None for item in items):
        raise BadInputError("standard input can be read only once", fix="leave out --dry-run")
    rows, refusals = [], []
    for item in items:
        try:
            rows.append(_row(upscaler, item, config))
        except Exception as error:
            if (fault := fault_of_picture(error, item.name)) is None:
                raise
            refusals.append(f"would fail: {fault}")
    table = [format_table(HEADER, rows)] if rows else []
    return "\n".join([*table, *refusals, "; ".join([f"backend {upscaler.backend}", *upscaler.reasons])])


def _row(upscaler: Upscaler, item: Item, config: JobConfig) -> list[str]:
    assert item.source is not None
    content = read_content(item.source)
    photo = read_photo(content, str(item.source), most_pixels=config.settings.most_pixels)
    final = upscaler.geometry(*photo.size, config.settings).final
    is_there = item.target is not None and item.target.exists()
    return [
        item.name,
        "{}×{}".format(*photo.size),
        "{}×{}".format(*final),
        str(config.seed_of(item)),
        f"{item.target or PIPE}{' (exists)' if is_there else ''}",
    ]
