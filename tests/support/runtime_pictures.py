"""More than sixty broken and odd picture files, each with what ought to become of it."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

SIZE = (12, 9)


@dataclass(frozen=True)
class Odd:
    """A file, and its outcome: the mode it comes back in, or words of the refusal."""

    file: str
    content: bytes
    mode: str = ""
    refusal: str = ""
    warning: str = ""
    size: tuple[int, int] = SIZE


def pixels(size: tuple[int, int] = SIZE, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(image: Image.Image, format_name: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def png(mode: str = "RGB", size: tuple[int, int] = SIZE, **options) -> bytes:
    return saved(Image.fromarray(pixels(size)).convert(mode), "PNG", **options)


def jpeg(**options) -> bytes:
    return saved(Image.fromarray(pixels()), "JPEG", **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_chunks(width: int, height: int, data: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def animated(format_name: str) -> bytes:
    frames = [Image.fromarray(pixels(seed=seed)) for seed in range(3)]
    return saved(frames[0], format_name, save_all=True, append_images=frames[1:])


def oriented(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description"
    return jpeg(exif=exif.tobytes())


def sixteen_bits(format_name: str, top: int = 60000) -> bytes:
    values = np.linspace(0, top, SIZE[0] * SIZE[1]).reshape(SIZE[::-1]).astype(np.uint16)
    return saved(Image.fromarray(values), format_name)


@functools.cache  # a profile bears the second in which it was made
def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def comments() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Comment", "π" * 1000, zip=True)
    return info


def transparent() -> Image.Image:
    return Image.fromarray(pixels(channels=4))


def palette_image() -> Image.Image:
    image = Image.fromarray(pixels()).convert("P", palette=Image.Palette.ADAPTIVE)
    image.putpixel((0, 0), 3)
    return image


def masked(content: bytes, start: int, values: bytes) -> bytes:
    return content[:start] + values + content[start + len(values) :]


def _sound() -> list[Odd]:
    return [
        Odd("plain.png", png(), "RGB"),
        Odd("plain.jpg", jpeg(), "RGB"),
        Odd("plain.webp", saved(Image.fromarray(pixels()), "WEBP"), "RGB"),
        Odd("plain.tif", saved(Image.fromarray(pixels()), "TIFF"), "RGB"),
        Odd("plain.bmp", saved(Image.fromarray(pixels()), "BMP"), "RGB"),
        Odd("plain.ppm", saved(Image.fromarray(pixels()), "PPM"), "RGB"),
        Odd("plain.pgm", saved(Image.fromarray(pixels(channels=1)), "PPM"), "L"),
        Odd("plain.gif", saved(Image.fromarray(pixels()).convert("P"), "GIF"), "RGB"),
        Odd("plain.jp2", saved(Image.fromarray(pixels()), "JPEG2000"), "RGB"),
        Odd("UPPER.PNG", png(), "RGB"),
        Odd("späte Ölfarben.png", png(), "RGB"),
        Odd("with space.png", png(), "RGB"),
        Odd("quote'\".png", png(), "RGB"),
        Odd("grey.png", png("L"), "L"),
        Odd("grey.jpg", saved(Image.fromarray(pixels(channels=1)), "JPEG"), "L"),
        Odd("bilevel.png", png("1"), "L"),
        Odd("grey-alpha.png", saved(transparent().convert("LA"), "PNG"), "LA"),
        Odd("alpha.png", saved(transparent(), "PNG"), "RGBA"),
        Odd("alpha.webp", saved(transparent(), "WEBP", lossless=True), "RGBA"),
        Odd("alpha.tif", saved(transparent(), "TIFF"), "RGBA"),
        Odd("opaque-alpha.png", png("RGBA"), "RGB"),
        Odd("palette.png", png("P"), "RGB"),
        Odd("palette-of-two.png", saved(Image.fromarray(pixels()).convert("P", colors=2), "PNG"), "RGB"),
        Odd("palette-transparent.png", saved(palette_image(), "PNG", transparency=3), "RGBA"),
        Odd("key-colour.png", png(transparency=tuple(int(v) for v in pixels()[0, 0])), "RGBA"),
        Odd("progressive.jpg", jpeg(progressive=True), "RGB"),
        Odd("subsampled.jpg", jpeg(subsampling=2), "RGB"),
        Odd("commented.png", png(pnginfo=comments()), "RGB"),
        Odd("16-bit-grey.png", sixteen_bits("PNG"), "I;16"),
        Odd("16-bit-grey.tif", sixteen_bits("TIFF"), "I;16"),
        Odd(
            "16-bit-rgb.png",
            png_of_chunks(4, 3, (b"\0" + b"\x80\x01" * 12) * 3, depth=16),
            "RGB",
            size=(4, 3),
        ),
        Odd(
            "32-bit-small.tif",
            saved(Image.fromarray(pixels(channels=1).astype(np.int32)), "TIFF"),
            "I;16",
            warning="has 32 bits a channel: restored with 16",
        ),
        Odd(
            "16-bit-rgb.ppm",
            b"P6 4 3 65535\n" + b"\x80\x01" * 36,
            "RGB",
            warning="has 16 bits a channel: restored with 8",
            size=(4, 3),
        ),
        Odd("cmyk.jpg", saved(Image.fromarray(pixels()).convert("CMYK"), "JPEG"), "RGB", warning="CMYK"),
        Odd(
            "cmyk-odd-profile.jpg",
            saved(Image.fromarray(pixels()).convert("CMYK"), "JPEG", icc_profile=b"not a profile"),
            "RGB",
            warning="CMYK",
        ),
        Odd("lab.tif", saved(Image.new("LAB", SIZE), "TIFF"), "RGB"),
        Odd("ycbcr.jpg", saved(Image.fromarray(pixels()).convert("YCbCr"), "JPEG"), "RGB"),
        Odd("animated.gif", animated("GIF"), "RGB", warning="several frames"),
        Odd("animated.png", animated("PNG"), "RGB", warning="several frames"),
        Odd("animated.webp", animated("WEBP"), "RGB", warning="several frames"),
        Odd("pages.tif", animated("TIFF"), "RGB", warning="several frames"),
        *(
            Odd(f"turned-{turn}.jpg", oriented(turn), "RGB", size=SIZE[:: -1 if turn > 4 else 1])
            for turn in (3, 6, 8)
        ),
        Odd("turned-nonsense.jpg", oriented(99), "RGB"),
        Odd("broken-exif.jpg", jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), "RGB"),
        Odd("profile.png", png(icc_profile=profile()), "RGB"),
        Odd("one-pixel.png", png(size=(1, 1)), "RGB", size=(1, 1)),
        Odd("two-by-two.png", png(size=(2, 2)), "RGB", size=(2, 2)),
        Odd("flat-black.png", saved(Image.new("RGB", SIZE), "PNG"), "RGB"),
        Odd("flat-white.png", saved(Image.new("RGB", SIZE, "white"), "PNG"), "RGB"),
        Odd("fully-transparent.png", saved(Image.new("RGBA", SIZE), "PNG"), "RGBA"),
        Odd("trailing-junk.png", png() + b"junk" * 100, "RGB"),
        Odd("trailing-junk.jpg", jpeg() + b"junk" * 100, "RGB"),
        Odd("wrong-ending.png", jpeg(), "RGB"),
        Odd("wrong-ending.jpg", png(), "RGB"),
        Odd("strip.png", png(size=(1, 40)), "RGB", size=(1, 40)),
    ]


def _broken() -> list[Odd]:
    good_png, good_jpeg = png(), jpeg()
    floats = Image.fromarray(pixels(channels=1).astype(np.float32))
    deep = Image.fromarray(np.full(SIZE[::-1], 1 << 20, dtype=np.int32))
    return [
        Odd("empty.png", b"", refusal="is empty"),
        Odd("one-byte.png", b"\x89", refusal="no picture in a format known here"),
        Odd("signature-only.png", good_png[:8], refusal="no picture"),
        Odd("header-only.png", good_png[:33], refusal="no picture"),
        Odd("half.png", good_png[: len(good_png) // 2], refusal="damaged"),
        Odd("half.jpg", good_jpeg[: len(good_jpeg) // 2], refusal="damaged"),
        Odd("soi-only.jpg", good_jpeg[:2], refusal="no picture"),
        Odd("half.webp", saved(Image.fromarray(pixels()), "WEBP")[:40], refusal="is"),
        Odd("half.gif", saved(Image.fromarray(pixels()).convert("P"), "GIF")[:400], refusal="no picture"),
        Odd("half.bmp", saved(Image.fromarray(pixels()), "BMP")[:100], refusal="damaged"),
        Odd("half.tif", saved(Image.fromarray(pixels()), "TIFF")[:60], refusal="is"),
        Odd("half.ppm", saved(Image.fromarray(pixels()), "PPM")[:60], refusal="damaged"),
        Odd("zeros.png", bytes(1000), refusal="no picture"),
        Odd("text.png", b"this is no picture\n" * 10, refusal="no picture"),
        Odd("html.jpg", b"<!doctype html><html><body>404</body></html>", refusal="no picture"),
        Odd("svg.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', refusal="no picture"),
        Odd("script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", refusal="no picture"),
        Odd("document.png", b"%PDF-1.7\n%%EOF\n", refusal="no picture"),
        Odd("archive.png", b"PK\x03\x04" + bytes(60), refusal="no picture"),
        Odd("layers.png", b"8BPS\0\x01" + bytes(60), refusal="no picture"),
        Odd("bad-crc.png", masked(good_png, 29, b"\0\0\0\0"), refusal="is"),
        Odd("bad-data.png", masked(good_png, 60, bytes(40)), refusal="damaged"),
        Odd("no-data.png", png_of_chunks(9, 9, b""), refusal="damaged"),
        Odd("zero-wide.png", png_of_chunks(0, 9, b""), refusal="is"),
        Odd("bomb.png", png_of_chunks(30000, 30000, b""), refusal="30000×30000 pixels"),
        Odd("large.png", png_of_chunks(12000, 12000, b""), refusal="12000×12000 pixels"),
        Odd(
            "text-bomb.png",
            good_png[:33] + chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(100 << 20))) + good_png[33:],
            refusal="damaged",
        ),
        Odd("1x5000.png", png(size=(1, 5000)), refusal="crop it"),
        Odd("9000x1.png", png(size=(9000, 1)), refusal="crop it"),
        Odd("float.tif", saved(floats, "TIFF"), refusal="no 16-bit numbers"),
        Odd("deep.tif", saved(deep, "TIFF"), refusal="no 16-bit numbers"),
        Odd("endless-offsets.tif", _looping_tiff(), refusal="is"),
    ]


def _looping_tiff() -> bytes:
    """A directory that names itself as the next, and no picture."""
    return struct.pack("<2sHIH", b"II", 42, 8, 0) + struct.pack("<I", 8) + bytes(20)


def pages(count: int) -> bytes:
    """A TIFF of so many grey pages of 8 × 8, one after the other."""
    rest = bytes(64)
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8, 279: len(rest)}
    size = 2 + 12 * (len(tags) + 1) + 4
    content = bytearray(struct.pack("<2sHI", b"II", 42, 8))
    for page in range(count):
        data = len(content) + size
        entries = sorted({**tags, 273: data}.items())
        content += struct.pack("<H", len(entries))
        content += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        content += struct.pack("<I", data + len(rest) if page < count - 1 else 0) + rest
    return bytes(content)


def odd_pictures() -> list[Odd]:
    return [*_sound(), *_broken()]
