"""A page of a job's pictures before and after, which needs no other file: to look at, and to send."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import IO

import click

from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import Existing, JobConfig, Record
from dit4sr.runtime.batch.previews import MOST_SIDE, QUALITY, Previews
from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.console.output import check_target
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Address, Place
from dit4sr.runtime.files.reading import opened
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.html.comparison import CHOOSER, SCRIPT, STYLE, Comparison
from dit4sr.runtime.html.document import Document
from dit4sr.runtime.image.photo import Photo, read_content, read_photo
from dit4sr.runtime.upscaler import Upscaler

ENDINGS = (".html", ".htm")
MOST_PICTURES = 100
"""Pictures that a page shows; a browser has to hold all of them."""
GENERATOR = "dit4sr-upscale --compare-sheet"
NOTE = (
    f"These are previews, compressed again (JPEG, quality {QUALITY}); of a picture of more than {MOST_SIDE} "
    "pixels a side they hold the middle, pixel for pixel. The restored files are whole. "
    "This page loads nothing from anywhere."
)


def check_sheet(sheet: Path, items: Sequence[Item], existing: Existing) -> None:
    """Refuse, before anything is restored, a page that could not be written or would have nothing to show."""
    if sheet.suffix.lower() not in ENDINGS:
        raise BadInputError(f"--compare-sheet {sheet}", expected=f"a file ending in {' or '.join(ENDINGS)}")
    if any(item.source is None or item.target is None for item in items):
        raise BadInputError(
            "--compare-sheet shows files, and - is none", fix="name files for input and output"
        )
    if any(isinstance(place, Address) for item in items for place in (item.source, item.target)):
        raise BadInputError(
            "--compare-sheet shows files of this machine, and an address is none", fix="leave it out"
        )
    folders = {item.target.absolute().parent for item in items if isinstance(item.target, Path)}
    if sheet.absolute().parent in folders and not sheet.exists():
        return  # a folder of pictures, which comes with the first of them
    check_target(str(sheet), replace=_may_replace(sheet, existing))


@contextmanager
def opened_sheet(
    sheet: Path | None, upscaler: Upscaler, items: Sequence[Item], config: JobConfig
) -> Iterator[Callable[[Record], None]]:
    """Yield what takes a job's records as they come; the page is written at the end, however that comes."""
    if sheet is None:
        yield lambda _record: None
        return
    with tempfile.TemporaryFile() as drafts:
        page = CompareSheet(drafts, len(items), config.settings.most_pixels)
        try:
            yield page.add
        finally:
            if page.shown:
                document = Document(page.title(), STYLE, SCRIPT, GENERATOR)
                content = page.content(document, _settings_in_words(page, upscaler.card, config))
                write_whole(sheet, content, replace=_may_replace(sheet, config.existing))
            else:
                click.echo(f"warning: {sheet} is not written: no picture was restored", err=True)


@dataclass
class CompareSheet:
    """Collects the pictures of a job; all that is kept of each is its part of the page, in a file."""

    drafts: IO[bytes]
    wanted: int
    """Pictures of the whole job."""
    most_pixels: int
    shown: int = 0
    left_out: int = 0
    missing: list[str] = field(default_factory=list)
    """Of pictures that are not shown, why."""
    backends: set[str] = field(default_factory=set)
    """What restored those that are shown."""

    def add(self, record: Record) -> None:
        """Add what became of one picture: from its files, so that one of an earlier run is shown as well."""
        if record.status == "failed":
            self.missing.append(record.details["error"])
        elif self.shown == MOST_PICTURES:
            self.left_out += 1
        else:
            try:
                comparison = self._comparison(record)
            except BadInputError as error:
                self.missing.append(str(error))
            except MemoryError:
                self.missing.append(f"{record.item.name}: no memory left to show it in")
            else:
                self.drafts.write(_encoded(comparison.to_html()))
                self.shown += 1

    def title(self) -> str:
        """What the page is about."""
        count = self.shown if self.shown == self.wanted else f"{self.shown} of {self.wanted}"
        return f"{count} picture{'s' * (self.wanted != 1)} before and after"

    def content(self, document: Document, said: str) -> Iterator[bytes]:
        """The page, piece by piece; ``said`` is how its pictures were made."""
        heading = f"<div><h1>{escape(document.title)}</h1>\n<p>{escape(said)}</p></div>"
        yield _encoded(f"{document.head()}<header>{heading}\n{CHOOSER}</header>\n<main>\n")
        self.drafts.seek(0)
        yield from self.drafts
        yield _encoded(f"</main>\n{self._missing()}<footer>{escape(NOTE)}</footer>{document.foot()}")

    def _comparison(self, record: Record) -> Comparison:
        photo, restored = self._read(record.item.source), self._read(record.item.target)
        made = Previews.of(photo, restored)
        said = ["{}×{} → {}×{}".format(*photo.size, *restored.size)]
        if made.window.is_part:
            said.append("the middle {}×{}".format(*made.window.size))
        if record.status == "done":
            seconds, seed = sum(record.details["seconds"].values()), record.details["seed"]
            said += [f"{seconds:.1f} s", f"seed {seed}"]
            said += [f"“{record.details['prompt']}”"] if record.details["prompt"] else []
            self.backends.add(record.details["backend"])
        else:
            said.append("was there before this run")
        return Comparison(
            record.item.name,
            " · ".join(said),
            made.window.size,
            made.bicubic,
            made.input,
            made.restored,
        )

    def _read(self, file: Place | None) -> Photo:
        assert file is not None
        # Up to whole latents, a result may have a few rows more than what it was worked on as.
        return read_photo(read_content(file), str(file), most_pixels=2 * self.most_pixels)

    def _missing(self) -> str:
        lines = self.missing[:MOST_PICTURES]
        if more := self.left_out + len(self.missing) - len(lines):
            lines.append(f"{more} more; a page shows {MOST_PICTURES} at most")
        items = "".join(f"<li>{escape(line)}</li>" for line in lines)
        return f'<section class="missing"><h2>Not shown</h2><ul>{items}</ul></section>\n' if lines else ""


def _settings_in_words(page: CompareSheet, card: ModelCard, config: JobConfig) -> str:
    known = config.settings.resolved(card)
    assert known.solver is not None
    today = datetime.now(timezone.utc).date().isoformat()
    steps = "1 step" if known.steps == 1 else f"{known.steps} steps"
    return " · ".join(
        [
            card.name,
            f"{known.scale:g}× the size",
            *([f"preset {known.preset}"] if known.preset else []),
            f"{steps} ({known.solver.value})",
            f"guidance {known.guidance:g}",
            card.precision if card.weights == "trained" else f"{card.precision}, {card.weights} weights",
            *sorted(page.backends),
            today,
        ]
    )


def _may_replace(sheet: Path, existing: Existing) -> bool:
    """True if what is there may go: on --force, or where a job goes on whose page it is."""
    goes_on = existing in {Existing.RESUME, Existing.SKIP}
    return existing is Existing.OVERWRITE or (goes_on and _is_ours(sheet))


def _is_ours(sheet: Path) -> bool:
    if not sheet.is_file():
        return False
    with opened(sheet) as file:
        return Document("", generator=GENERATOR).generator_tag().encode() in file.read(1000)


def _encoded(text: str) -> bytes:
    """Bytes of a text; what a name has that is no UTF-8 is shown in escapes."""
    return text.encode("utf-8", errors="backslashreplace")
