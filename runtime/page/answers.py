"""What the page answers its visitors, in its own words and without Gradio's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.batch.faults import fault_of_picture
from dit4sr.runtime.errors import BadInputError, Dit4srError, in_one_line
from dit4sr.runtime.files.reading import read_file
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.image.photo import Photo, read_content, read_photo
from dit4sr.runtime.page import stage
from dit4sr.runtime.page.call import Call
from dit4sr.runtime.page.limits import Limits
from dit4sr.runtime.page.opening import Opening
from dit4sr.runtime.page.shelf import Shelf
from dit4sr.runtime.page.stage import Shown
from dit4sr.runtime.page.visitors import Visitors
from dit4sr.runtime.restoration import CancelledError, Progress
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler

LARGEST_SEED = 2**53 - 1
"""Beyond it the numbers of JavaScript have gaps."""

GONE = "it was here for too long, or never"


@dataclass(frozen=True)
class Wish:
    """What a visitor wants restored, and how."""

    photo: str | None
    """Place of the file that was dropped."""
    preset: str | None = None
    prompt: str | None = None
    seed: float | None = 0


@dataclass(frozen=True)
class Answer:
    """What a visitor is shown."""

    stage: str
    """The picture, or a word in its place."""
    call: Call | None = None
    file: Path | None = None
    """The restored picture to take home."""


class Answers:
    """A bundle that is open, and what it does for visitors."""

    def __init__(self, upscaler: Upscaler, opening: Opening, shelf: Shelf, limits: Limits) -> None:
        self.upscaler, self.visitors = upscaler, Visitors()
        self._opening, self._shelf, self._limits = opening, shelf, limits

    def sample(self, photo: Path) -> Path:
        """A copy of a photo for a visitor who has brought none."""
        place = self._shelf.place(photo.name)
        write_whole(place, read_content(photo))
        return place

    def look(self, file: str | None) -> Answer:
        """Show a photo that was dropped, and what would become of it."""
        if file is None:
            return Answer(stage.EMPTY)
        name = Path(file).name
        try:
            photo = self._read(file)
            geometry = self.upscaler.geometry(*photo.size, Settings(most_pixels=self._limits.pixels))
            shown = Shown.of(photo, self._shelf, "photo.jpg")
        except Exception as error:
            return Answer(stage.problem(_line(error, name)))
        grown = f"{_size(photo.size)} → {_size(geometry.final)}"
        return Answer(stage.photo_alone(name, shown, geometry.final, [grown, *photo.warnings]))

    def restore(self, wish: Wish, visitor: str, progress: Callable[[Progress], None]) -> Answer:
        """Restore a photo when it is its turn; what is wrong with it is said in its place."""
        if wish.photo is None:
            return Answer(stage.problem("no photo yet; drop one first"))
        name = Path(wish.photo).name
        with self.visitors.turn(visitor) as cancel:
            try:
                call = self._call(wish, name)
                photo = self._read(wish.photo)
                restored = self.upscaler.upscale(
                    photo,
                    prompt=call.prompt,
                    seed=call.seed,
                    settings=call.settings,
                    progress=progress,
                    cancel=cancel,
                )
                file = self._shelf.place(call.result)
                lost = restored.save(file)
                before = Shown.of(stage.bicubic(photo, restored.photo.size), self._shelf, "bicubic.jpg")
                after = Shown.of(restored.photo, self._shelf, "restored.jpg")
            except CancelledError:
                return Answer(stage.remark("Stopped."))
            except Exception as error:
                return Answer(stage.problem(_line(error, name)))
        facts = [
            f"{_size(photo.size)} → {_size(restored.photo.size)}",
            call.preset or "",
            f"seed {call.seed}",
            f"{sum(restored.seconds.values()):.1f} s",
            *dict.fromkeys([*restored.warnings, *lost]),
        ]
        return Answer(stage.comparison(name, before, after, facts), call, file)

    def _read(self, file: str) -> Photo:
        """The photo of a file that was dropped; its line of errors has its name, and not its place."""
        path = Path(file)
        if not path.is_file():
            raise BadInputError(f"{path.name} is not here ({GONE})", fix="drop it again")
        content = read_file(path, most=self._limits.upload_bytes)
        return read_photo(content, path.name, most_pixels=self._limits.pixels)

    def _call(self, wish: Wish, name: str) -> Call:
        seed = wish.seed
        if seed is None or not 0 <= seed <= LARGEST_SEED:
            raise BadInputError(
                "no seed" if seed is None else f"seed {seed:.0f}",
                expected=f"a whole number from 0 to {LARGEST_SEED}",
            )
        prompt = (wish.prompt or "").strip() or None
        if prompt and len(prompt) > self._limits.prompt:
            raise BadInputError(
                f"a prompt of {len(prompt):,} characters", expected=f"{self._limits.prompt:,} at most"
            )
        return Call(
            name,
            self._opening,
            preset=wish.preset or None,
            prompt=prompt if self.upscaler.reads_words else None,
            seed=int(seed),
            most_pixels=self._limits.pixels,
        )


def _line(error: Exception, name: str) -> str:
    """What went wrong, as a command would say it."""
    known = fault_of_picture(error, name)
    if known is None and isinstance(error, Dit4srError):
        known = error
    return str(known) if known else f"{name}: {in_one_line(error)}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
