"""Prompts through text encoders: tokenised, joined as SD3.5 joins them, and remembered on disk."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tokenizers
from support.runtime_system import CARD, POOLED, TEXT, TEXT_CHANNELS, write_toy_bundle
from support.toy_text import add_text_encoders, toy_text_tables

from dit4sr.runtime import Settings, Upscaler
from dit4sr.runtime.backends.onnxruntime.backend import OnnxRuntime
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.components import Components
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError, MissingDependencyError
from dit4sr.runtime.prompt.embedding import EmbeddingCache
from dit4sr.runtime.prompt.text_encoder import TextEncoder, joined
from dit4sr.runtime.prompt.wording import NEGATIVE, Wording


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return add_text_encoders(write_toy_bundle(tmp_path_factory.mktemp("text") / "toy"))


@pytest.fixture
def upscaler(bundle, tmp_path):
    with Upscaler(bundle, threads=1, cache=tmp_path / "cache") as opened:
        yield opened


def test_two_clips_side_by_side_then_t5(upscaler, bundle):
    embedding = upscaler._text.encode("a cat sits")
    tables = toy_text_tables()
    tokenizer = tokenizers.Tokenizer.from_file(str(bundle / "tokenizers" / "clip_l" / "tokenizer.json"))
    ids = tokenizer.encode("a cat sits").ids
    clips = np.concatenate([tables["clip_l"][ids], tables["clip_g"][ids]], axis=1)
    expected = np.zeros((2 * TEXT, TEXT_CHANNELS), dtype=np.float32)
    expected[:TEXT, : clips.shape[1]] = clips
    expected[TEXT:] = tables["t5"][ids]
    np.testing.assert_allclose(embedding["text"], expected, atol=1e-6)
    np.testing.assert_allclose(embedding["pooled"], clips.mean(0), atol=1e-6)
    assert embedding["pooled"].shape == (POOLED,)


def with_manifest(path, **changes):
    """The bundle with some fields of its manifest changed."""
    (path / MANIFEST).write_text(replace(Bundle.open(path).manifest, **changes).to_text())
    return path


def test_encoders_are_joined_in_the_order_of_the_manifest(tmp_path):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"))
    with_manifest(path, text_encoders=("text_t5", "text_clip_g", "text_clip_l"))
    with Upscaler(path, use_cache=False) as upscaler:
        embedding = upscaler._text.encode("a cat sits")
    tables = toy_text_tables()
    ids = tokenizers.Tokenizer.from_file(str(path / "tokenizers" / "t5" / "tokenizer.json"))
    ids = ids.encode("a cat sits").ids
    clips = np.concatenate([tables["clip_g"][ids], tables["clip_l"][ids]], axis=1)
    np.testing.assert_allclose(embedding["text"][:TEXT, : clips.shape[1]], clips, atol=1e-6)
    np.testing.assert_allclose(embedding["text"][TEXT:], tables["t5"][ids], atol=1e-6)
    np.testing.assert_allclose(embedding["pooled"], clips.mean(0), atol=1e-6)


def test_a_component_that_the_manifest_does_not_call_an_encoder_reads_no_words(tmp_path):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"))
    with_manifest(path, text_encoders=())
    with Upscaler(path, use_cache=False) as upscaler, pytest.raises(BadInputError, match="no text encoders"):
        upscaler._text.encode("a cat")


def test_encoders_without_a_pooled_output_make_rows_only():
    rows = [{"text": np.full((n, 3), n, np.float32)} for n in (1, 2)]
    embedding = joined(rows, 3)
    assert list(embedding) == ["text"]
    assert embedding["text"].tolist() == [[1, 1, 1], [2, 2, 2], [2, 2, 2]]


@pytest.mark.parametrize("channels", [TEXT_CHANNELS - 1, 5])
def test_encoders_that_do_not_fit_the_network_are_refused(tmp_path, channels):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"))
    with_manifest(path, model=replace(CARD, text_channels=channels))
    bundle, backend = Bundle.open(path), OnnxRuntime("cpu", 1)
    encoder = TextEncoder(bundle, backend, Components(bundle, backend).use, None)
    with pytest.raises(IncompatibleError, match="do not fit"):
        encoder.encode("a cat")


def test_prompts_reach_the_picture(upscaler, photo):
    plain, cat = (upscaler.upscale(photo, prompt=prompt).picture for prompt in (None, "a cat sits"))
    assert (plain != cat).any()
    misleading = upscaler.upscale(photo, prompt="a cat sits The cat is blurred.")
    assert (misleading.picture != cat).any()  # one sentence, which goes as a whole
    cleaned = upscaler.upscale(photo, prompt="a cat sits. The cat is blurred.").picture
    np.testing.assert_array_equal(cleaned, upscaler.upscale(photo, prompt="a cat sits.").picture)
    other = upscaler.upscale(photo, prompt="a cat sits", negative="sits").picture
    assert (other != cat).any()
    own_words = Settings(wording=Wording(quality="dog", negative="cat"))
    assert (upscaler.upscale(photo, prompt="a cat sits", settings=own_words).picture != cat).any()


def test_a_prompt_that_is_no_text_is_refused(upscaler, photo):
    """As from a command line whose bytes are not UTF-8."""
    for words in ({"prompt": "caf\udce9"}, {"negative": "\ud800"}):
        with pytest.raises(BadInputError, match="no Unicode text"):
            upscaler.upscale(photo, **words)


def test_a_prompt_is_encoded_once(upscaler, bundle, photo, tmp_path):
    upscaler.upscale(photo, prompt="a cat")
    stored = sorted((tmp_path / "cache").iterdir())
    assert len(stored) == 2  # the prompt and the negative one
    first = upscaler.upscale(photo, prompt="a cat").picture
    assert sorted((tmp_path / "cache").iterdir()) == stored
    with Upscaler(bundle, cache=tmp_path / "cache") as again:
        np.testing.assert_array_equal(again.upscale(photo, prompt="a cat").picture, first)
        assert not any(name.startswith("text_") for name in again._components._engines)


def test_a_damaged_or_hopeless_cache_only_costs_time(upscaler, bundle, photo, tmp_path):
    first = upscaler.upscale(photo, prompt="a cat").picture
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:50])
    np.testing.assert_array_equal(upscaler.upscale(photo, prompt="a cat").picture, first)
    (tmp_path / "file").write_text("in the way")
    with Upscaler(bundle, cache=tmp_path / "file") as hopeless:
        np.testing.assert_array_equal(hopeless.upscale(photo, prompt="a cat").picture, first)


def test_the_cache_knows_encoders_apart(bundle, tmp_path):
    other = add_text_encoders(write_toy_bundle(tmp_path / "b"), seed=9)
    cache = EmbeddingCache(tmp_path / "cache")
    keys = set()
    for path in (bundle, other):
        with Upscaler(path, cache=cache.folder) as upscaler:
            keys.add(upscaler._text._key("a cat"))
            upscaler._text.encode("a cat")
    assert len(keys) == len(list(cache.folder.iterdir())) == 2


def test_default_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DIT4SR_CACHE", raising=False)
    assert EmbeddingCache.default().folder == tmp_path / "dit4sr" / "prompts"
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "mine"))
    assert EmbeddingCache.default().folder == tmp_path / "mine" / "prompts"


def test_without_the_library_a_prompt_names_what_is_missing(bundle, monkeypatch):
    with Upscaler(bundle, use_cache=False) as upscaler:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'dit4sr\[text\]'"):
            upscaler._text.encode(NEGATIVE)


def test_a_tokenizer_must_be_there_and_intact(tmp_path):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"))
    file = path / "tokenizers" / "t5" / "tokenizer.json"
    file.write_text(file.read_text() + " ")
    with Upscaler(path, use_cache=False) as upscaler, pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        upscaler._text.encode("a cat")


def test_encoders_without_tokenizers_leave_the_stored_prompts(tmp_path, photo):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"), tokenizers=("clip_l",))
    with Upscaler(path, use_cache=False) as upscaler:
        assert not upscaler.reads_words
        assert upscaler.upscale(photo).picture.shape == (48, 40, 3)
    with Upscaler(path, use_cache=False) as upscaler, pytest.raises(IncompatibleError, match="clip_g"):
        upscaler._text.encode("a cat")


def test_stored_prompts_stand_in_for_encoders(toy_bundle, upscaler):
    bundle = Bundle.open(toy_bundle)
    text = TextEncoder(bundle, upscaler._backend, upscaler._components.use, None)
    assert not text.reads_words
    np.testing.assert_array_equal(text.stored("positive")["text"], bundle.embedding("positive")["text"])
    assert text.stored("positive") is text.stored("positive")


@pytest.fixture
def fixed_clips(bundle, tmp_path):
    """The bundle as it is exported: CLIPs read so many tokens, and T5 any number."""
    path = tmp_path / "fixed"
    shutil.copytree(bundle, path)
    components = dict(Bundle.open(path).components)
    for name in ("text_clip_l", "text_clip_g"):
        [tokens] = components[name].inputs
        components[name] = replace(components[name], inputs=(replace(tokens, shape=("rows", TEXT)),))
    return with_manifest(path, components=components)


@pytest.mark.parametrize("rows", [TEXT + 1, TEXT + 2, TEXT + 9])
@pytest.mark.parametrize("words", ["a cat", "a cat sits on a mat and looks at a cat"])
def test_another_length_is_the_tokenizers_own_cut_and_padding(fixed_clips, tmp_path, rows, words):
    with Upscaler(fixed_clips, threads=1, cache=tmp_path / "cache") as upscaler:
        usual, found = upscaler._text.encode(words), upscaler._text.encode(words, rows)
        again = upscaler._text.encode(words, rows)
    tokenizer = tokenizers.Tokenizer.from_file(str(fixed_clips / "tokenizers" / "t5" / "tokenizer.json"))
    tokenizer.enable_truncation(rows - TEXT)
    tokenizer.enable_padding(length=rows - TEXT, pad_id=0, pad_token="[PAD]")
    ids = tokenizer.encode(words).ids
    assert found["text"].shape == (rows, TEXT_CHANNELS)
    np.testing.assert_allclose(found["text"][TEXT:], toy_text_tables()["t5"][ids], atol=1e-6)
    np.testing.assert_array_equal(found["text"][:TEXT], usual["text"][:TEXT])
    np.testing.assert_array_equal(found["pooled"], usual["pooled"])
    np.testing.assert_array_equal(again["text"], found["text"])
    assert len(usual["text"]) == 2 * TEXT, "the bundle's own length has a place of its own in the cache"


def test_a_shorter_prompt_changes_the_picture_and_nothing_else_does(fixed_clips, photo):
    with Upscaler(fixed_clips, threads=1, use_cache=False) as upscaler:
        usual, same, shorter = (
            upscaler.upscale(photo, prompt="a cat", settings=Settings(text_tokens=rows)).picture
            for rows in (None, 2 * TEXT, TEXT + 1)
        )
    assert (usual == same).all()
    assert (usual != shorter).any()


@pytest.mark.parametrize("rows", [1, TEXT])
def test_fewer_rows_than_clip_reads_are_refused(fixed_clips, photo, rows):
    with (
        Upscaler(fixed_clips, threads=1, use_cache=False) as upscaler,
        pytest.raises(BadInputError, match=f"{rows} rows of text; expected more than {TEXT}"),
    ):
        upscaler.upscale(photo, prompt="a cat", settings=Settings(text_tokens=rows))


def test_stored_prompts_have_the_rows_they_have(toy_bundle, photo):
    with Upscaler(toy_bundle, threads=1, use_cache=False) as upscaler:
        upscaler.upscale(photo, settings=Settings(steps=1, text_tokens=TEXT))
        with pytest.raises(BadInputError, match=f"9 rows of text; expected {TEXT}: this bundle's prompts"):
            upscaler.upscale(photo, settings=Settings(steps=1, text_tokens=9))
