"""A whole pipeline: what a manifest can say of it."""

from __future__ import annotations

import json

import pytest

from dit4sr.export import architectures
from dit4sr.export.pipeline import full_size_pipeline


@pytest.mark.parametrize("name", architectures.known())
def test_the_record_of_a_full_size_pipeline_is_json_that_builds_it_anew(name):
    """What ``--random-weights`` exports takes minutes, and must not fail when the manifest is written."""
    pipeline = full_size_pipeline(0, name=name)
    record = pipeline.record()
    assert json.loads(json.dumps(record.config)) == record.config
    again = architectures.named(record.name).random(record.config[architectures.NETWORK], 0)
    sizes = [
        [component.inputs for component in network.components()] for network in (again, pipeline.network)
    ]
    assert sizes[0] == sizes[1]
