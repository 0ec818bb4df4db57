"""A whole pipeline: what a manifest can say of it."""

from __future__ import annotations

import json

import pytest

from dit4sr.export import architectures
from dit4sr.export.pipeline import checkpoint_pipeline, full_size_pipeline
from dit4sr.export.tiny import CHECKPOINT
from dit4sr.runtime.errors import BadInputError


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


def test_text_is_cut_where_its_length_is_free():
    """CLIP's 77 rows stay; T5 reads what is left of what the network was trained with."""
    pipeline = full_size_pipeline(0, text_encoders=True).with_text_tokens(154)
    assert pipeline.card("fp16").text_tokens == 154
    lengths = {source.name: source.static_sizes["text"] for source in pipeline.text_encoders}
    assert lengths["text_t5"] == 77
    assert full_size_pipeline(0).card("fp16").text_tokens == 333, "as released unless somebody asks"
    with pytest.raises(BadInputError, match="77 rows of text; expected more than CLIP's 77"):
        pipeline.with_text_tokens(77)


def test_stored_prompts_are_not_cut():
    with pytest.raises(BadInputError, match="4 rows of text; expected 8: its prompts are stored"):
        checkpoint_pipeline(CHECKPOINT).with_text_tokens(4)
