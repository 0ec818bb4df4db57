"""A job: pictures one after the other, each with a record of how it went."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.ledger import Entry, Ledger
from dit4sr.runtime.errors import AccuracyError, BadInputError, Dit4srError, OutOfMemoryError
from dit4sr.runtime.files.reading import LARGEST_PHOTO, read_stream
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.image.photo import read_content, read_photo, resized, write_photo
from dit4sr.runtime.prompt.captions import Captions
from dit4sr.runtime.sampling.noise import picture_seed
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Progress, Upscaler

FAULTS_OF_A_PICTURE = (BadInputError, AccuracyError, OutOfMemoryError)
"""What can be wrong with one picture while the next may be fine."""


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

    def to_json(self) -> str:
        """Return the record as one line of JSON; bytes of names that are no characters are escaped."""
        places = {"input": str(self.item.source or "-"), "output": str(self.item.target or "-")}
        line = json.dumps({"status": self.status, **places, **self.details}, ensure_ascii=False)
        return line.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class Job:
    """Restores the pictures of a list, one after the other."""

    upscaler: Upscaler
    items: Sequence[Item]
    config: JobConfig
    ledger: Ledger | None = None
    progress: Callable[[Item, Progress], None] = lambda *_: None

    def run(self) -> Iterator[Record]:
        """Yield a record for each picture, as it is finished."""
        self._refuse_existing()
        for item in self.items:
            try:
                yield self._picture(item)
            except FAULTS_OF_A_PICTURE as error:
                if not self.config.continue_on_error:
                    raise
                yield _failed(item, error)

    def _refuse_existing(self) -> None:
        """Refuse outputs that exist before anything is computed, rather than after an hour."""
        if self.config.existing is not Existing.REFUSE or self.config.continue_on_error:
            return
        for item in self.items:
            if item.target is not None and item.target.exists():
                raise _exists(item)

    def _picture(self, item: Item) -> Record:
        config = self.config
        is_there = item.target is not None and item.target.exists()
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
        caption = config.captions.of(item.source)
        restored = self.upscaler.upscale(
            photo.rgb,
            prompt=caption,
            negative=config.negative,
            seed=config.seed_of(item),
            settings=config.settings,
            progress=lambda progress: self.progress(item, progress),
        )
        height, width = restored.picture.shape[:2]
        result = replace(photo, rgb=restored.picture)
        if photo.alpha is not None:
            result = replace(result, alpha=resized(photo.alpha, (width, height)))
        if not config.keep_metadata:
            result = replace(result, exif=b"", icc=b"")
        output, lost = write_photo(result, item.format, quality=config.quality)
        digest = hashlib.sha256(output).hexdigest()
        self._deliver(item, output, Entry(item.name, recipe, digest))
        return Record(
            item,
            "done",
            {
                "input_sha256": hashlib.sha256(content).hexdigest(),
                "output_sha256": digest,
                "input_size": list(photo.size),
                "output_size": [width, height],
                "seed": restored.seed,
                "prompt": caption,
                "seconds": restored.seconds,
                "backend": self.upscaler.backend,
                "passed_over": list(self.upscaler.reasons),
                "bundle_sha256": self.upscaler.digest,
                "settings": config.settings.resolved(self.upscaler.card).to_json(),
                "warnings": [*photo.warnings, *restored.warnings, *lost],
            },
        )

    def _deliver(self, item: Item, output: bytes, entry: Entry) -> None:
        if item.target is None:
            sys.stdout.buffer.write(output)
            sys.stdout.buffer.flush()
            return
        replaces = self.config.existing is Existing.OVERWRITE
        if not replaces and item.target.exists():
            raise _exists(item)
        if self.ledger:
            self.ledger.write(entry)
        write_whole(item.target, output, replace=replaces)

    def _recipe(self, item: Item, content: bytes) -> str:
        """Digest of everything that decides the output's bytes; of a captioner only its command counts."""
        config = self.config
        words = config.captions.written(item.source)
        captioner = config.captions.captioner
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


def _content(item: Item) -> bytes:
    if item.source:
        return read_content(item.source)
    if sys.stdin is None:
        raise BadInputError("standard input is closed", expected="a picture")
    return read_stream(sys.stdin.buffer, "standard input", most=LARGEST_PHOTO)


def _failed(item: Item, error: Dit4srError) -> Record:
    return Record(item, "failed", {"error": str(error), "exit_code": error.exit_code})


def _exists(item: Item) -> BadInputError:
    return BadInputError(
        f"{item.target} exists", fix="choose another -o, or say --force, --skip-existing or --resume"
    )
