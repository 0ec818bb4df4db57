"""Photos: whatever picture files people have, as RGB of 8 or 16 bits with what else belongs to it."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.files.address import Place
from dit4sr.runtime.files.reading import LARGEST_PHOTO, read_file
from dit4sr.runtime.image.depth import bytes_apart, content_of, eight_bits, joined, stated_bits
from dit4sr.runtime.image.metadata import exif_of
from dit4sr.runtime.image.scans import refuse_many_scans

Picture = NDArray[np.unsignedinteger[Any]]
"""Levels of 8 bits (``uint8``) or of 16 (``uint16``)."""

READABLE = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")
"""Formats with a signature and a decoder that stays in the process; no PostScript, no plug-ins."""

WRITABLE = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "tif": "TIFF", "tiff": "TIFF"}
"""Formats to write, by the ending of the name."""

SUFFIXES = {
    *(f".{ending}" for ending in WRITABLE),
    *(".bmp", ".gif", ".ppm", ".pgm", ".pnm", ".avif", ".jp2", ".j2k", ".mpo"),
}
"""What is taken for a picture when a folder is searched."""


_NEVER_READ = frozenset({".heic", ".heif", ".hif", ".jxl", ".svg", ".exr", ".hdr", ".dng", ".cr2", ".nef"})
"""Endings of pictures of which Pillow knows nothing."""


def picture_endings() -> frozenset[str]:
    """Every ending that people give pictures, whether these can be read and written here or not."""
    return _NEVER_READ | Image.registered_extensions().keys()


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

    @classmethod
    def of(cls, channels: Picture) -> Photo:
        """Make a photo of ``[height, width]`` or ``[height, width, channels]`` levels.

        Two channels are grey with transparency, three are colours, four are colours with transparency.
        """
        planes = channels[..., None] if channels.ndim == 2 else channels
        height, width, count = planes.shape
        colours = planes[..., :3] if count >= 3 else planes[..., :1]
        rgb = np.ascontiguousarray(np.broadcast_to(colours, (height, width, 3)))
        alpha = np.ascontiguousarray(planes[..., -1]) if count in {2, 4} else None
        return cls(rgb, alpha, is_grey=count < 3)

    @property
    def channels(self) -> Picture:
        """Its levels as ``[height, width]`` if it is grey, else with a last axis of the channels it has."""
        colours = _grey(self.rgb) if self.is_grey else self.rgb
        return colours if self.alpha is None else np.dstack([colours, self.alpha])

    @property
    def bits(self) -> int:
        """Of a channel: 8 or 16."""
        return 8 * self.rgb.dtype.itemsize

    def in_eight_bits(self) -> Photo:
        """The photo with its levels rounded to 8 bits, for who can do with no more."""
        alpha = None if self.alpha is None else eight_bits(self.alpha)
        return replace(self, rgb=eight_bits(self.rgb), alpha=alpha)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self.rgb.shape[1], self.rgb.shape[0]


def read_content(path: Place) -> bytes:
    """Read the bytes of a file that ought to be a picture."""
    return read_file(path, most=LARGEST_PHOTO)


def read_photo(content: bytes, name: str = "the input", *, most_pixels: int) -> Photo:
    """Decode a picture file; anything odd about it ends as one clear line that names it."""
    if not content:
        raise BadInputError(f"{name} is empty")
    Image.init()
    with _one_line_about(name):
        return _decode(content, name, most_pixels)


def photo_of_image(image: Image.Image, *, most_pixels: int) -> Photo:
    """Take a Pillow image as a photo: upright, with its transparency, EXIF and colour profile."""
    name = "the image"
    with _one_line_about(name):
        _refuse_large(image, name, most_pixels)
        return _loaded(image, content_of(image), name, [])


@contextmanager
def _one_line_about(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one line that names the picture."""
    try:
        with warnings.catch_warnings():
            # Pillow warns where we refuse, and about metadata that we drop with a warning of our own.
            warnings.simplefilter("ignore")
            yield
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


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize a picture bicubically, as the released pipeline does everywhere."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    # Pillow resizes planes of numbers, but no colours of more than 8 bits.
    result = np.empty((size[1], size[0], *picture.shape[2:]), picture.dtype)
    for source, target in zip(_planes(picture), _planes(result), strict=True):
        plane = Image.fromarray(source.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        target[:] = np.asarray(plane).clip(0, np.iinfo(picture.dtype).max).round()
    return result


def _decode(content: bytes, name: str, most_pixels: int) -> Photo:
    refuse_many_scans(content, name)
    with _opened(content) as image:
        _refuse_large(image, name, most_pixels)
        remarks = []
        # How many there are, some formats know only after they have visited every one.
        if getattr(image, "is_animated", False):
            remarks.append("has several frames: the first is used")
        return _loaded(image, content, name, remarks)


def _refuse_large(image: Image.Image, name: str, most_pixels: int) -> None:
    width, height = image.size
    if width * height > most_pixels:
        raise BadInputError(f"{name} has {width}×{height} pixels", expected=f"{most_pixels:,} at most")


def _loaded(image: Image.Image, content: bytes, name: str, remarks: list[str]) -> Photo:
    """A photo from an image, and from the file that it was just opened from, if it was."""
    bits, halves = stated_bits(image, content), bytes_apart(image, content)
    image.load()
    icc = image.info.get("icc_profile") or b""
    exif, upright = _metadata(image, remarks)
    if halves:
        photo = replace(_keyed(joined(halves), image.info.get("transparency")), icc=icc)
    else:
        photo = _as_rgb(upright, icc, name, remarks)
    if bits > photo.bits:
        remarks.append(f"has {bits} bits a channel: restored with {photo.bits}")
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
        return exif_of(image), ImageOps.exif_transpose(image)
    except Exception:
        remarks.append("has unreadable EXIF: dropped")
        return b"", image


def _as_rgb(image: Image.Image, icc: bytes, name: str, remarks: list[str]) -> Photo:
    mode = image.mode
    if mode in {"I", "F"} or mode.startswith("I;"):
        return replace(_keyed(_sixteen_bits(image, name), image.info.get("transparency")), icc=icc)
    if mode == "CMYK":
        remarks.append("is CMYK: becomes RGB")
        image, icc = _from_cmyk(image, icc), b""
    is_grey = image.mode in {"1", "L", "LA", "La"}
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        alpha = np.ascontiguousarray(rgba[..., 3])
        opaque = bool((alpha == 255).all())
        return Photo(np.ascontiguousarray(rgba[..., :3]), None if opaque else alpha, is_grey, icc=icc)
    return Photo(np.asarray(image.convert("RGB")), None, is_grey, icc=icc)


def _keyed(values: Picture, key: object) -> Photo:
    """A photo without transparency that shows nothing, and with that of one colour where the file says so."""
    photo = Photo.of(values)
    if key is not None and photo.alpha is None:
        shown = (photo.rgb != np.asarray(key)).any(axis=2)
        photo = replace(photo, alpha=shown.astype(values.dtype) * np.iinfo(values.dtype).max)
    if photo.alpha is not None and photo.alpha.min() == np.iinfo(values.dtype).max:
        photo = replace(photo, alpha=None)
    return photo


def _grey(rgb: Picture) -> Picture:
    """The brightness of colours, as Pillow weighs them."""
    if rgb.dtype == np.uint8:
        return np.asarray(Image.fromarray(rgb).convert("L"))
    red, green, blue = (rgb[..., i].astype(np.uint32) for i in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(rgb.dtype)


def _planes(picture: Picture) -> list[Picture]:
    return [picture] if picture.ndim == 2 else [picture[..., i] for i in range(picture.shape[2])]


def _sixteen_bits(image: Image.Image, name: str) -> Picture:
    values = np.asarray(image)
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 0xFFFF:
        raise BadInputError(
            f"{name} has pixels that are no 16-bit numbers", expected="8 or 16 bits a channel"
        )
    return values.astype(np.uint16)


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
