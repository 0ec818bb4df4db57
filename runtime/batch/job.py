"""A job: pictures one after the other, each with a record of how it went."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from dit4sr.runtime.batch.entry import Entry, Keeper
from dit4sr.runtime.batch.faults import fault_of_picture
from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.files.reading import LARGEST_PHOTO, read_stream
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.image.photo import read_content, read_photo
from dit4sr.runtime.image.writing import write_photo
from dit4sr.runtime.noise.streams import picture_seed
from dit4sr.runtime.prompt.captions import Captions
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Progress, Upscaler


class Existing(Enum):
    """What a job does about outputs that are there already."""

    REFUSE = "refuse"
    SKIP = "skip"
    OVERWRITE = "overwrite"
    RESUME = "resume"


@dataclass(frozen=True)
class JobConfig:
    """What a job does with its pictures, and what it does about those that fail or exist."""

    settings: Settings = field(default_factory=Settings)
    captions: Captions = field(default_factory=Captions)
    negative: str | None = None
    seed: int = 0
    same_seed: bool = False
    existing: Existing = Existing.REFUSE
    continue_on_error: bool = False
    quality: int = 95
    keep_metadata: bool = True

    def seed_of(self, item: Item) -> int:
        """Return the picture's own seed, unless all are to share one."""
        return self.seed if self.same_seed else picture_seed(self.seed, item.name)


@dataclass(frozen=True)
class Record:
    """What became of one picture of a job."""

    item: Item
    status: str
    """``done``, ``skipped`` or ``failed``."""
    details: dict[str, Any]

    def to_json(self, *, only_ascii: bool = False) -> str:
        """Return the record as one line of JSON; in ASCII every text can be written, on any stream."""
        places = {"input": str(self.item.source or "-"), "output": str(self.item.target or "-")}
        return json.dumps({"status": self.status, **places, **self.details}, ensure_ascii=only_ascii)


@dataclass(frozen=True)
class Job:
    """Restores the pictures of a list, one after the other; or each as somebody else calls for it."""

    upscaler: Upscaler
    items: Sequence[Item]
    config: JobConfig
    ledger: Keeper | None = None
    progress: Callable[[Item, Progress], None] = lambda *_: None
    status: Callable[[Item, str], None] = lambda *_: None

    def run(self) -> Iterator[Record]:
        """Yield a record for each picture, as it is finished."""
        refuse_existing(self.items, self.config)
        for item in self.items:
            yield self.outcome(item)

    def outcome(self, item: Item) -> Record:
        """The record of a picture, though it may have failed."""
        try:
            return self._picture(item)
        except Exception as error:
            fault = fault_of_picture(error, item.name)
            if fault is not None and self.config.continue_on_error:
                return Record(item, "failed", {"error": str(fault), "exit_code": fault.exit_code})
            if isinstance(fault, (BadInputError, OutOfMemoryError)):
                raise fault from None
            raise

    def _picture(self, item: Item) -> Record:
        config = self.config
        is_there = _is_there(item)
        if is_there and (details := self._made(item)) is not None:
            return Record(item, "done", details)
        if is_there and config.existing is Existing.SKIP:
            return Record(item, "skipped", {"reason": "exists"})
        if is_there and config.existing is Existing.REFUSE:
            raise _exists(item)

        content = _content(item)
        recipe = self._recipe(item, content)
        if is_there and config.existing is Existing.RESUME and item.target and self.ledger:
            if self.ledger.has_finished(item.name, recipe, item.target):
                return Record(item, "skipped", {"reason": "finished before"})
            raise BadInputError(
                f"{item.target} exists and is not what this job made",
                fix="move it away, or say --force or --skip-existing",
            )
        return self._restore(item, content, recipe)

    def _restore(self, item: Item, content: bytes, recipe: str) -> Record:
        config = self.config
        name = str(item.source or "the input")
        photo = read_photo(content, name, most_pixels=config.settings.most_pixels)
        caption = self._captions.of(item.source)
        restored = self.upscaler.upscale(
            photo,
            prompt=caption,
            negative=config.negative,
            seed=config.seed_of(item),
            settings=config.settings,
            progress=lambda progress: self.progress(item, progress),
            status=lambda stage: self.status(item, stage),
        )
        result = restored.photo
        if not config.keep_metadata:
            result = replace(result, exif=b"", icc=b"")
        output, lost = write_photo(result, item.format, quality=config.quality)
        digest = hashlib.sha256(output).hexdigest()
        details = {
            "input_sha256": hashlib.sha256(content).hexdigest(),
            "output_sha256": digest,
            "input_size": list(photo.size),
            "output_size": list(result.size),
            "seed": restored.seed,
            "job_seed": config.seed,
            "prompt": caption,
            "seconds": restored.seconds,
            "backend": self.upscaler.backend,
            "passed_over": list(self.upscaler.reasons),
            "bundle_sha256": self.upscaler.digest,
            "settings": config.settings.resolved(self.upscaler.card).to_json(),
            "schedule": config.settings.schedule(self.upscaler.card).to_json(),
            "warnings": [*restored.warnings, *lost],
        }
        self._deliver(item, output, Entry(item.name, recipe, digest), details)
        return Record(item, "done", details)

    def _made(self, item: Item) -> dict[str, Any] | None:
        """What the record says if this very job has made the picture before, and lost who made it."""
        return self.ledger.made(item.name, item.target) if self.ledger and item.target else None

    def _deliver(self, item: Item, output: bytes, entry: Entry, details: dict[str, Any]) -> None:
        if item.target is None:
            sys.stdout.buffer.write(output)
            sys.stdout.buffer.flush()
            return
        replaces = self.config.existing is Existing.OVERWRITE
        if not replaces and item.target.exists():
            raise _exists(item)
        if self.ledger:
            self.ledger.write(entry, details)
        write_whole(item.target, output, replace=replaces)

    @property
    def _captions(self) -> Captions:
        return replace(self.config.captions, reads_sidecars=self.upscaler.reads_words)

    def _recipe(self, item: Item, content: bytes) -> str:
        """Digest of everything that decides the output's bytes; of a captioner only its command counts."""
        config = self.config
        words = self._captions.written(item.source)
        captioner = self._captions.captioner
        parts = {
            "input": hashlib.sha256(content).hexdigest(),
            "bundle": self.upscaler.digest,
            "backend": self.upscaler.backend,
            "settings": config.settings.to_json(),
            "seed": config.seed_of(item),
            "words": words if words is not None else captioner and captioner.command,
            "negative": config.negative,
            "format": [item.format, config.quality, config.keep_metadata],
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def refuse_existing(items: Iterable[Item], config: JobConfig) -> None:
    """Refuse outputs that exist before anything is computed, rather than after an hour."""
    if config.existing is not Existing.REFUSE or config.continue_on_error:
        return
    for item in items:
        if _is_there(item):
            raise _exists(item)


def _is_there(item: Item) -> bool:
    try:
        return item.target is not None and item.target.exists()
    except OSError as error:
        raise BadInputError(f"{item.target} cannot be looked at ({error.strerror})") from None


def _content(item: Item) -> bytes:
    if item.source:
        return read_content(item.source)
    if sys.stdin is None:
        raise BadInputError("standard input is closed", expected="a picture")
    return read_stream(sys.stdin.buffer, "standard input", most=LARGEST_PHOTO)


def _exists(item: Item) -> BadInputError:
    return BadInputError(
        f"{item.target} exists", fix="choose another -o, or say --force, --skip-existing or --resume"
    )
