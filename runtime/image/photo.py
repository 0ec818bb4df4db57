"""Picture files: whatever people have, as eight-bit RGB with what else belongs to it, and back."""

from __future__ import annotations

import io
import struct
import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.files.reading import LARGEST_PHOTO, read_file
from dit4sr.runtime.image.scans import refuse_many_scans

Picture = NDArray[np.uint8]

READABLE = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")
"""Formats with a signature and a decoder that stays in the process; no PostScript, no plug-ins."""

WRITABLE = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "tif": "TIFF", "tiff": "TIFF"}
"""Formats to write, by the ending of the name."""

SUFFIXES = {
    *(f".{ending}" for ending in WRITABLE),
    *(".bmp", ".gif", ".ppm", ".pgm", ".pnm", ".avif", ".jp2", ".j2k", ".mpo"),
}
"""What is taken for a picture when a folder is searched."""


@dataclass(frozen=True)
class Photo:
    """A picture, upright, and the parts of its file that a restored one keeps."""

    rgb: Picture
    """``[height, width, 3]``."""
    alpha: Picture | None = None
    is_grey: bool = False
    exif: bytes = b""
    icc: bytes = b""
    format: str = "PNG"
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.rgb.shape[1], self.rgb.shape[0]


def read_content(path: Path) -> bytes:
    """Read the bytes of a file that ought to be a picture."""
    return read_file(path, most=LARGEST_PHOTO)


def read_photo(content: bytes, name: str = "the input", *, most_pixels: int) -> Photo:
    """Decode a picture file; anything odd about it ends as one clear line that names it."""
    if not content:
        raise BadInputError(f"{name} is empty")
    Image.init()
    try:
        with warnings.catch_warnings():
            # Pillow warns where we refuse, and about metadata that we drop with a warning of our own.
            warnings.simplefilter("ignore")
            return _decode(content, name, most_pixels)
    except (BadInputError, KeyboardInterrupt):
        raise
    except MemoryError:
        raise OutOfMemoryError(
            f"memory ran out while {name} was decoded", fix="take a smaller picture, or close other programs"
        ) from None
    except UnidentifiedImageError:
        raise BadInputError(
            f"{name} is no picture in a format known here", expected=", ".join(READABLE)
        ) from None
    except Exception as error:
        # Decoders meet broken files with whatever comes to hand: SyntaxError, struct.error, EOFError, …
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadInputError(f"{name} is damaged ({reason[:120]})") from None


def write_photo(photo: Photo, format_name: str, *, quality: int = 95) -> tuple[bytes, list[str]]:
    """Return the bytes of a picture file in a Pillow format, and what could not be kept."""
    lost: list[str] = []
    image = Image.fromarray(photo.rgb)
    alpha = None if photo.alpha is None else Image.fromarray(photo.alpha)
    if alpha is not None and format_name == "JPEG":
        lost.append("JPEG has no transparency: laid on white")
        image = Image.composite(image, Image.new("RGB", image.size, "white"), alpha)
        alpha = None
    if photo.is_grey:
        image = image.convert("L")
    if alpha is not None:
        image.putalpha(alpha)

    options: dict[str, object] = {"quality": quality} if format_name in {"JPEG", "WEBP"} else {}
    if format_name == "TIFF":
        options["compression"] = "tiff_deflate"
    if photo.icc:
        options["icc_profile"] = photo.icc
    for exif in dict.fromkeys([photo.exif, b""]):
        buffer = io.BytesIO()
        try:
            image.save(buffer, format_name, **options, **({"exif": exif} if exif else {}))
        except Exception as error:
            reason = " ".join(str(error).split())
            if not exif:
                raise BadInputError(
                    f"{image.width}×{image.height} cannot be written as {format_name} ({reason})"
                ) from None
            lost.append(f"EXIF was dropped ({reason})")
        else:
            return buffer.getvalue(), lost
    raise AssertionError("the last attempt returns or raises")


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize a picture bicubically, as the released pipeline does everywhere."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _decode(content: bytes, name: str, most_pixels: int) -> Photo:
    refuse_many_scans(content, name)
    with _opened(content) as image:
        width, height = image.size
        if width * height > most_pixels:
            raise BadInputError(f"{name} has {width}×{height} pixels", expected=f"{most_pixels:,} at most")
        remarks = []
        # How many there are, some formats know only after they have visited every one.
        if getattr(image, "is_animated", False):
            remarks.append("has several frames: the first is used")
        image.load()
        icc = image.info.get("icc_profile") or b""
        exif, upright = _metadata(image, remarks)
        photo = _as_rgb(upright, icc, name, remarks)
        return replace(photo, exif=exif, format=image.format or "PNG", warnings=tuple(remarks))


def _opened(content: bytes) -> Image.Image:
    """Let the first decoder that knows the format read the header.

    `Image.open` does the same, and then refuses by a limit of its own what a user may have allowed.
    """
    for factory, accepts in (Image.OPEN[known] for known in READABLE if known in Image.OPEN):
        if accepts is None or accepts(content[:16]) is True:
            with suppress(SyntaxError, IndexError, TypeError, struct.error):
                return factory(io.BytesIO(content), "")
    raise UnidentifiedImageError


def _metadata(image: Image.Image, remarks: list[str]) -> tuple[bytes, Image.Image]:
    """Return the EXIF without its orientation, and the picture turned as that says."""
    try:
        upright = ImageOps.exif_transpose(image)
        exif = upright.getexif()
        return (exif.tobytes() if exif else b""), upright
    except Exception:
        remarks.append("has unreadable EXIF: dropped")
        return b"", image


def _as_rgb(image: Image.Image, icc: bytes, name: str, remarks: list[str]) -> Photo:
    mode = image.mode
    if mode in {"I", "F"} or mode.startswith("I;"):
        remarks.append("has more than 8 bits a channel: restored with 8")
        image = Image.fromarray(_eight_bits(image, name))
    elif mode == "CMYK":
        remarks.append("is CMYK: becomes RGB")
        image, icc = _from_cmyk(image, icc), b""
    is_grey = image.mode in {"1", "L", "LA", "La"}
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        alpha = np.ascontiguousarray(rgba[..., 3])
        opaque = bool((alpha == 255).all())
        return Photo(np.ascontiguousarray(rgba[..., :3]), None if opaque else alpha, is_grey, icc=icc)
    return Photo(np.asarray(image.convert("RGB")), None, is_grey, icc=icc)


def _eight_bits(image: Image.Image, name: str) -> Picture:
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 0xFFFF:
        raise BadInputError(
            f"{name} has pixels that are no 16-bit numbers", expected="8 or 16 bits a channel"
        )
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _from_cmyk(image: Image.Image, icc: bytes) -> Image.Image:
    if icc:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError):
            pass  # an unusable profile is no worse than none
        else:
            if converted is not None:
                return converted
    return image.convert("RGB")
