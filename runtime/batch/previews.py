"""Previews of a restored picture beside what it was made of, small enough to send."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from dit4sr.runtime.image.geometry import Size
from dit4sr.runtime.image.photo import Photo, Picture
from dit4sr.runtime.image.writing import write_photo

MOST_SIDE = 1280
"""Pixels of a preview's side; of a larger picture its middle is shown, for a smaller copy hides details."""
QUALITY = 90
"""Of the previews' JPEG."""
MOST_PROFILE = 1 << 14
"""Bytes of a colour profile that previews carry; those of cameras and screens are smaller."""


@dataclass(frozen=True)
class Window:
    """The part of a picture that its previews show: all of it, or the middle."""

    left: int
    top: int
    width: int
    height: int
    whole: Size

    @classmethod
    def of(cls, whole: Size) -> Window:
        """The largest window into a picture that previews may show."""
        width, height = (min(side, MOST_SIDE) for side in whole)
        return cls((whole[0] - width) // 2, (whole[1] - height) // 2, width, height, whole)

    @property
    def size(self) -> Size:
        """Width and height of the window."""
        return self.width, self.height

    @property
    def is_part(self) -> bool:
        """True if there is more to the picture than the window."""
        return self.size != self.whole

    def cut(self, picture: Picture) -> Picture:
        """What the window shows of a picture of the whole size."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]

    def enlarged(self, picture: Picture, how: Image.Resampling) -> Picture:
        """What the window would show of a smaller picture if that were enlarged."""
        across, down = picture.shape[1] / self.whole[0], picture.shape[0] / self.whole[1]
        box = (
            self.left * across,
            self.top * down,
            (self.left + self.width) * across,
            (self.top + self.height) * down,
        )
        return np.asarray(Image.fromarray(picture).resize(self.size, how, box=box))


@dataclass(frozen=True)
class Previews:
    """The same window into a picture in its three states, as JPEG files."""

    window: Window
    bicubic: bytes
    input: bytes
    """Its own pixels, enlarged without blending."""
    restored: bytes

    @classmethod
    def of(cls, photo: Photo, restored: Photo) -> Previews:
        """The previews of a photo and of what was made of it, which may have any size."""
        photo, restored = photo.in_eight_bits(), restored.in_eight_bits()
        window = Window.of(restored.size)
        profile = photo.icc if len(photo.icc) <= MOST_PROFILE else b""

        def enlarged(how: Image.Resampling) -> bytes:
            rgb = window.enlarged(photo.rgb, how)
            alpha = None if photo.alpha is None else window.enlarged(photo.alpha, how)
            return _jpeg(replace(photo, rgb=rgb, alpha=alpha, icc=profile))

        alpha = None if restored.alpha is None else window.cut(restored.alpha)
        after = replace(restored, rgb=window.cut(restored.rgb), alpha=alpha, icc=profile)
        return cls(
            window,
            enlarged(Image.Resampling.BICUBIC),
            enlarged(Image.Resampling.NEAREST),
            _jpeg(after),
        )


def _jpeg(photo: Photo) -> bytes:
    content, _ = write_photo(replace(photo, exif=b""), "JPEG", quality=QUALITY)
    return content
