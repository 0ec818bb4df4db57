"""Tokenizers from strangers: whatever they do, they do it to a process of their own."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import replace

import pytest
import tokenizers
from support.runtime_system import write_toy_bundle
from support.toy_text import WORDS, add_text_encoders

from dit4sr.runtime import Upscaler
from dit4sr.runtime.errors import BadInputError, IncompatibleError, IntegrityError, MissingDependencyError
from dit4sr.runtime.prompt import tokenizing
from dit4sr.runtime.prompt.tokenizing import token_ids

SOUND = {
    "version": "1.0",
    "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
    "pre_tokenizer": {"type": "Whitespace"},
}


def text(**changes) -> str:
    return json.dumps(SOUND | changes)


def padding(length):
    return {
        "strategy": {"Fixed": length},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }


STUCK = {"type": "Split", "pattern": {"Regex": "(a|aa)+$"}, "behavior": "Isolated", "invert": False}

GROWING = {
    "type": "Sequence",
    "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 40,
}

EVIL = {
    "empty": ("", "EOF while parsing"),
    "another document": ("[]", "invalid type"),
    "no model": ("{}", "Model missing"),
    "panic": (text(pre_tokenizer=STUCK), "PanicException"),
    "all memory": (text(padding=padding(1 << 40)), "ended the process with status|Memory"),
    "too many tokens": (text(padding=padding(200_000)), "makes 200000 tokens"),
    "endless": (text(normalizer=GROWING), "did not answer within 3 seconds|ended the process"),
    "no tokens": (
        text(
            pre_tokenizer={"type": "Split", "pattern": {"Regex": "."}, "behavior": "Removed", "invert": False}
        ),
        "makes 0 tokens",
    ),
}
PROMPT = "a" * 60 + "!"


@pytest.mark.parametrize(("content", "said"), EVIL.values(), ids=EVIL)
def test_an_evil_tokenizer_ends_in_one_line(monkeypatch, content, said):
    monkeypatch.setattr(tokenizing, "SECONDS", 3)
    expected = rf"evil\.json is no tokenizer that can be used \(.*({said})"
    with pytest.raises(IncompatibleError, match=expected) as refusal:
        token_ids({"sound.json": text(), "evil.json": content}, PROMPT)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_one_that_never_returns_is_ended(monkeypatch, tmp_path):
    program = tmp_path / "endless.py"
    program.write_text("import sys, time; time.sleep(600)")
    monkeypatch.setattr(tokenizing, "PROGRAM", program)
    monkeypatch.setattr(tokenizing, "SECONDS", 1)
    with pytest.raises(IncompatibleError, match=r"evil\.json .* did not answer within 1 seconds"):
        token_ids({"evil.json": text()}, PROMPT)


def test_sound_tokenizers_answer_as_the_library_does():
    prompt = "a cat sits, noisy \U0001f408 “dog”"
    padded = text(padding=padding(30))
    found = token_ids({"one": text(), "two": padded}, prompt)
    expected = [tokenizers.Tokenizer.from_str(each).encode(prompt).ids for each in (text(), padded)]
    assert [ids.tolist() for ids in found] == expected


def test_nothing_is_imported_from_where_the_user_stands(monkeypatch, tmp_path):
    (tmp_path / "tokenizers.py").write_text("raise SystemExit('taken from the folder of photos')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert token_ids({"one": text()}, "a cat")[0].tolist() == [2, 3]


def test_a_new_prompt_takes_a_moment():
    start = time.perf_counter()
    token_ids({"one": text()}, "a cat")
    assert time.perf_counter() - start < 10  # 0.2 seconds; a bound that busy machines keep


def test_a_python_without_a_program_says_so(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(MissingDependencyError, match="a process of its own"):
        token_ids({"one": text()}, "a cat")


def test_a_prompt_that_is_no_text_is_refused(tmp_path):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"))
    with Upscaler(path, use_cache=False) as upscaler, pytest.raises(BadInputError, match="no Unicode text"):
        upscaler._text.encode("a \ud83d cat")


def test_a_tokenizer_that_is_no_text_is_refused(tmp_path):
    path = add_text_encoders(write_toy_bundle(tmp_path / "b"))
    with Upscaler(path, use_cache=False) as upscaler:
        file = path / "tokenizers" / "t5" / "tokenizer.json"
        content = file.read_bytes()
        spoilt = content.replace(b"cat", b"\xff\xff\xff")
        file.write_bytes(spoilt)
        record = upscaler._text._tokenizers["tokenizers/t5/tokenizer.json"]
        upscaler._text._tokenizers[record.path] = replace(record, sha256=hashlib.sha256(spoilt).hexdigest())
        with pytest.raises(IntegrityError, match="is no tokenizer"):
            upscaler._text.encode("a cat")
