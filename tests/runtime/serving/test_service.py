"""Whether a service is well: its engine's failures count, those of single pictures do not."""

from __future__ import annotations

import pytest

from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError, OutOfMemoryError, RunError
from dit4sr.runtime.serving.parameters import Parameters
from dit4sr.runtime.serving.service import Service, Wish
from dit4sr.runtime.upscaler import Upscaler


@pytest.fixture
def service():
    service = Service(tiny_bundle(), Parameters(), device="cpu", threads=1)
    yield service
    service.close()


@pytest.mark.parametrize(
    ("error", "is_well"),
    [
        (IncompatibleError("the card is gone"), False),
        (RunError("not this shape"), True),
        (BadInputError("not this picture"), True),
        (OutOfMemoryError("not now"), True),
    ],
)
def test_only_what_the_next_picture_would_meet_too_makes_it_unwell(
    service, photo, monkeypatch, error, is_well
):
    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Upscaler, "upscale", fail)
        with pytest.raises(type(error)):
            service.restore(Wish(photo))
    assert service.is_well is is_well


def test_a_picture_that_is_restored_makes_it_well_again(service, photo):
    service.is_well = False
    service.restore(Wish(photo, steps=1))
    assert service.is_well


def test_pictures_larger_than_the_parameters_allow_are_refused(photo):
    service = Service(tiny_bundle(), Parameters(most_pixels=100), device="cpu", threads=1)
    with pytest.raises(BadInputError, match=r"pixels; expected 100 at most|of 100"):
        service.restore(Wish(photo))
    assert service.is_well
