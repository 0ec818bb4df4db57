"""Photos gone wrong: sound files of every readable format, changed by a number that says how.

Run as a program with a first and a last number, it reads and writes them, and prints what became of each. A
crash ends it, and so does a photo that takes longer than `SECONDS`; the last number printed is the culprit's.
"""

from __future__ import annotations

import faulthandler
import io
import json
import random
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, features

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import read_photo
from dit4sr.runtime.image.writing import write_photo

SECONDS = 20
MOST_PIXELS = 4_000_000
MOST_MEMORY = 4 << 30
"""Bytes of address space; a photo of so few pixels needs a hundredth."""
NUMBERS = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")


def sound_photos() -> dict[str, bytes]:
    """One file for each way in which a format stores pictures."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    grey, clear = photo.convert("L"), photo.convert("RGBA")
    deep = Image.fromarray(np.linspace(0, 65535, 24 * 32).reshape(24, 32).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    exif.get_ifd(0x8825)[1] = "N"
    others = {"save_all": True, "append_images": [photo.rotate(90)]}
    ways: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "png": (photo, "PNG", {"exif": exif}),
        "png, palette": (photo.quantize(16), "PNG", {"transparency": 3}),
        "png, 16 bits": (deep, "PNG", {}),
        "png, animated": (clear, "PNG", others),
        "jpeg": (photo, "JPEG", {"exif": exif, "icc_profile": bytes(200)}),
        "jpeg, progressive": (photo, "JPEG", {"progressive": True, "subsampling": 2}),
        "jpeg, CMYK": (photo.convert("CMYK"), "JPEG", {}),
        "mpo": (photo, "MPO", others),
        "webp": (photo, "WEBP", {"exif": exif}),
        "webp, lossless": (clear, "WEBP", {"lossless": True}),
        "webp, animated": (photo, "WEBP", others),
        "tiff": (clear, "TIFF", {"exif": exif}),
        **{
            f"tiff, {how}": (photo, "TIFF", {"compression": how})
            for how in ("tiff_lzw", "tiff_deflate", "jpeg")
        },
        "tiff, packed bits": (grey, "TIFF", {"compression": "packbits"}),
        "tiff, fax": (grey.convert("1"), "TIFF", {"compression": "group4"}),
        "tiff, 16 bits": (deep, "TIFF", {}),
        "tiff, pages": (grey, "TIFF", others),
        "bmp": (photo, "BMP", {}),
        "bmp, palette": (grey, "BMP", {}),
        "gif": (photo.quantize(32), "GIF", {}),
        "gif, animated": (photo.quantize(32), "GIF", others),
        "ppm": (photo, "PPM", {}),
        "jpeg 2000": (photo, "JPEG2000", {}),
        "jpeg 2000, tiles": (clear, "JPEG2000", {"tile_size": (8, 8)}),
    }
    if features.check("avif"):
        ways |= {"avif": (clear, "AVIF", {"exif": exif}), "avif, animated": (photo, "AVIF", others)}
    return {name: saved(*way) for name, way in ways.items()}


def saved(image: Image.Image, format_name: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    # A picture that was saved as JPEG keeps the settings, and cannot be saved as some others.
    copies = {"append_images": [each.copy() for each in options.get("append_images", [])]}
    image.copy().save(buffer, format_name, **options | (copies if "append_images" in options else {}))
    return buffer.getvalue()


Mutation = Callable[[bytearray, random.Random], None]


def change_bytes(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 2, 5, 20])):
        content[rng.randrange(len(content))] = rng.randrange(256)


def change_the_header(content: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2])):
        size, order = rng.choice([1, 2, 4]), rng.choice("<>")
        place = rng.randrange(min(len(content), 200))
        number = rng.choice(NUMBERS) & ((1 << 8 * size) - 1)
        content[place : place + size] = struct.pack(order + {1: "B", 2: "H", 4: "I"}[size], number)


def cut_short(content: bytearray, rng: random.Random) -> None:
    del content[rng.randrange(len(content)) :]


def lose_a_part(content: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(content))
    del content[place : place + rng.randint(1, 60)]


def repeat_a_part(content: bytearray, rng: random.Random) -> None:
    place, length = rng.randrange(len(content)), rng.randint(1, 300)
    content[place:place] = content[place : place + length] * rng.choice([1, 2, 50])


def gain_a_part(content: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(content))
    content[place:place] = rng.choice([rng.randbytes(rng.randint(1, 60)), bytes(500), b"\xff" * 500])


def splice(content: bytearray, rng: random.Random) -> None:
    other = rng.choice(list(corpus().values()))
    content[rng.randrange(len(content)) :] = other[rng.randrange(len(other)) :]


MUTATIONS: Sequence[Mutation] = (
    *(change_bytes, change_the_header, change_the_header, cut_short, lose_a_part, repeat_a_part, gain_a_part),
    splice,
)


@cache
def corpus() -> dict[str, bytes]:
    return sound_photos()


def mutated(number: int) -> tuple[str, bytes]:
    """The photo of a number: what it was made of, and its bytes. The same number gives the same photo."""
    rng = random.Random(number)
    names = sorted(corpus())
    name = names[number % len(names)]
    content = bytearray(corpus()[name])
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if content:
            rng.choice(MUTATIONS)(content, rng)
    if content.startswith(b"\x89PNG") and rng.random() < 0.8:
        mend_checksums(content)
    return name, bytes(content)


def mend_checksums(content: bytearray) -> None:
    """Make a PNG's checksums right, without which nothing behind them would be looked at."""
    place = 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(content):
            return
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[place + 4 : end]))
        place = end + 4


def outcome(number: int) -> str:
    """Read a photo and, where that can be done, write it: all but ``restored`` and ``refused`` is a fault."""
    name, content = mutated(number)
    try:
        photo = read_photo(content, name, most_pixels=MOST_PIXELS)
        written, _ = write_photo(photo, FORMATS[number % len(FORMATS)])
    except BadInputError:
        return "refused"
    return "restored" if written else "nothing written"


def say(values: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        say({"number": number})
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        begin = time.perf_counter()
        try:
            result = outcome(number)
        except BaseException as error:
            result = f"{type(error).__name__}: {error}"
        faulthandler.cancel_dump_traceback_later()
        say({"outcome": result, "seconds": time.perf_counter() - begin})


if __name__ == "__main__":
    main()
