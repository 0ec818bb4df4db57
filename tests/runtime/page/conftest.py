"""Pages that are open for several tests."""

from __future__ import annotations

import pytest
from PIL import Image
from support.page import open_page
from support.photos import make_photo


@pytest.fixture(scope="module")
def page(toy_bundle):
    with open_page(toy_bundle) as opened:
        yield opened


@pytest.fixture
def picture(tmp_path):
    """A small photo as a file."""
    path = tmp_path / "in" / "a photo.png"
    path.parent.mkdir()
    Image.fromarray(make_photo(12, 16)).save(path)
    return path
