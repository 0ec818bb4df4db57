"""Which pictures a job reads, and where each goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Address, Place, place_of
from dit4sr.runtime.files.names import checked_name
from dit4sr.runtime.image.photo import SUFFIXES, WRITABLE, picture_endings

PIPE = "-"
Found = tuple[str, Place | None]
"""A picture's name, and where it lies."""


@dataclass(frozen=True)
class Item:
    """One picture of a job: where it comes from, where it goes, and in what format."""

    name: str
    """Its path below the input, with slashes everywhere: the same on every machine and in every run."""
    source: Place | None
    """``None`` for standard input."""
    target: Place | None
    """``None`` for standard output."""
    format: str
    """Pillow's name of the format to write."""


def plan_items(
    inputs: Sequence[str], output: str, *, recursive: bool = False, suffix: str = "", ending: str = "auto"
) -> list[Item]:
    """List every picture of a job once, in the order given; folders are searched, patterns expanded."""
    sources = _distinct(found for text in inputs for found in _find(text, recursive=recursive))
    if not sources:
        raise BadInputError(f"no pictures in {', '.join(inputs)}", expected=", ".join(sorted(SUFFIXES)))
    _refuse_unwritable(output, sources)
    if output == PIPE or PIPE in inputs or _names_a_file(output, sources):
        return [_single(sources, output, ending)]
    items = [_into_folder(name, source, place_of(output), suffix, ending) for name, source in sources]
    _refuse_collisions(items)
    return items


def _find(text: str, *, recursive: bool) -> list[Found]:
    if text == PIPE:
        return [("stdin", None)]
    path = place_of(text)
    if isinstance(path, Address):
        return _find_in_store(path, recursive=recursive)
    if path.is_dir():
        found = sorted(path.rglob("*") if recursive else path.iterdir())
        return [(p.relative_to(path).as_posix(), p) for p in found if _is_picture(p)]
    if not path.exists() and glob.has_magic(text):
        return [
            (Path(p).name, Path(p)) for p in sorted(glob.glob(text, recursive=True)) if _is_picture(Path(p))
        ]
    return [(path.name, path)]


def _find_in_store(place: Address, *, recursive: bool) -> list[Found]:
    """The pictures of a folder, or the one that an address names."""
    try:
        found = place.files(recursive=recursive)
    except OSError as error:
        raise BadInputError(f"{place} cannot be searched ({error.strerror})") from None
    if not found and place.suffix.lower() in SUFFIXES:
        return [(place.name, place)]
    above = len(place.path) + 1 if place.path else 0
    return [(each.path[above:], each) for each in found if _has_the_name_of_a_picture(each)]


def _is_picture(path: Path) -> bool:
    return _has_the_name_of_a_picture(path) and not path.is_dir()


def _has_the_name_of_a_picture(place: Place) -> bool:
    return place.suffix.lower() in SUFFIXES and not place.name.startswith(".")


def _distinct(found: Iterable[Found]) -> list[Found]:
    kept: dict[Place | None, Found] = {}
    for name, source in found:
        kept[source.absolute() if isinstance(source, Path) else source] = name, source
    return list(kept.values())


def _names_a_file(output: str, sources: Sequence[Found]) -> bool:
    path = place_of(output)
    return len(sources) == 1 and path.suffix.lower().lstrip(".") in WRITABLE and not path.is_dir()


def _refuse_unwritable(output: str, sources: Sequence[Found]) -> None:
    """Refuse an output whose ending is a picture's, and which would have to become a folder."""
    path = place_of(output)
    ending = path.suffix.lower()
    if output == PIPE or path.is_dir() or ending not in picture_endings():
        return
    if ending.lstrip(".") not in WRITABLE:
        raise BadInputError(
            f"output {output}: pictures are not written as {ending.lstrip('.').upper()}",
            expected=f"a file ending in {', '.join(WRITABLE)}, or a folder",
        )
    if len(sources) > 1:
        raise BadInputError(f"{len(sources)} pictures into one output, {output}", expected="a folder for -o")


def _single(sources: Sequence[Found], output: str, ending: str) -> Item:
    if len(sources) > 1:
        raise BadInputError(f"{len(sources)} pictures into one output", expected="a folder for -o")
    [(name, source)] = sources
    if output == PIPE:
        return Item(name, source, None, WRITABLE["png" if ending == "auto" else ending])
    target = place_of(output)
    own = target.suffix.lower().lstrip(".")
    if target.is_dir() or own not in WRITABLE:
        raise BadInputError(f"output {output}", expected=f"a file ending in {', '.join(WRITABLE)}")
    item = Item(name, source, target, WRITABLE[own if ending == "auto" else ending])
    _refuse_collisions([item])
    return item


def _into_folder(name: str, source: Place | None, folder: Place, suffix: str, ending: str) -> Item:
    place = Path(name)
    own = place.suffix.lower().lstrip(".")
    chosen = ending if ending != "auto" else own if own in WRITABLE else "png"
    result = f"{place.stem}{suffix}.{chosen}"
    if "/" in result or os.sep in result:
        raise BadInputError(f"suffix {suffix!r}", expected="a part of a file's name")
    target = folder / place.parent / result
    return Item(name, source, checked_name(target) if isinstance(target, Path) else target, WRITABLE[chosen])


def _refuse_collisions(items: Sequence[Item]) -> None:
    """Refuse outputs that would replace one another or an input, whatever else may be overwritten."""
    inputs = {_real(item.source) for item in items if item.source}
    taken: dict[str, str] = {}
    for item in items:
        if item.target is None:
            continue
        target = _real(item.target)
        if target in inputs:
            raise BadInputError(f"{item.target} is itself an input", fix="choose another -o, or a --suffix")
        if target in taken:
            raise BadInputError(
                f"{taken[target]} and {item.name} would both become {item.target}",
                fix="leave --ext at auto, or restore them into different folders",
            )
        taken[target] = item.name


def _real(place: Place) -> str:
    """The same text for the same file; unlike Path.resolve this takes links that lead in a circle, too."""
    return str(place) if isinstance(place, Address) else os.path.realpath(place)
