"""Captions: cleaned as released, found in order, and failing in one line."""

from __future__ import annotations

import json
import sys

import pytest

from dit4sr.runtime.errors import BadInputError, MissingDependencyError
from dit4sr.runtime.prompt.captions import Captioner, Captions, read_captions
from dit4sr.runtime.prompt.wording import NEGATIVE, QUALITY, Wording, clean


@pytest.mark.parametrize(
    ("caption", "cleaned"),
    [
        ("", ""),
        ("A cat.", "A cat."),
        ("A cat. The background is blurred. It sits!", "A cat. It sits!"),
        ("The FOCUS is on the cat. A dog?", "A dog?"),
        ("A Close-Up of a leaf! Green. A black and white photo.", "Green."),
        ("Trees are densely placed. One is located left. A positioned lamp. Sky", "Sky"),
        ("Everything is prominent", ""),
        ("  A house.  ", "A house."),
    ],
)
def test_sentences_about_the_damage_go(caption, cleaned):
    assert clean(caption) == cleaned


def test_every_caption_is_completed():
    assert Wording().positive("A cat.") == f"A cat. {QUALITY}"
    assert Wording().positive("") == QUALITY
    assert Wording(quality="").positive("A cat.") == "A cat."


def test_our_own_words_would_survive_their_own_cleaning():
    assert clean(QUALITY) == QUALITY
    assert len(NEGATIVE.split(", ")) > 20


def test_captions_by_rank(tmp_path):
    picture = tmp_path / "a.png"
    shouting = Captioner(f"{sys.executable} -c \"import sys; print(sys.argv[1][-5:], 'says hello')\" {{}}")
    assert Captions().of(picture) is None
    assert Captions(captioner=shouting).of(picture) == "a.png says hello"
    (tmp_path / "a.txt").write_text("\ufefffrom the side\n", encoding="utf-8")
    assert Captions(captioner=shouting).of(picture) == "from the side"
    assert Captions(by_name={"a": "by stem"}).of(picture) == "by stem"
    assert Captions(by_name={"a": "by stem", "a.png": "by name"}).of(picture) == "by name"
    assert Captions(for_all="for all", by_name={"a": "by stem"}).of(picture) == "for all"
    assert Captions(captioner=shouting).of(None) is None


def test_a_picture_goes_last_where_the_command_names_no_place(tmp_path):
    assert Captioner("echo seen").caption(tmp_path / "x y.png") == f"seen {tmp_path / 'x y.png'}"


def test_captioners_that_fail_are_named(tmp_path):
    with pytest.raises(MissingDependencyError, match="no-such-command"):
        Captioner("no-such-command").caption(tmp_path)
    with pytest.raises(BadInputError, match="status 3 why"):
        Captioner("sh -c 'echo why >&2; exit 3'").caption(tmp_path)
    with pytest.raises(BadInputError, match="empty"):
        Captioner("  ")
    for command in ("a\0b", "\ud800"):
        with pytest.raises(BadInputError, match="failed on"):
            Captioner(command).caption(tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', "{"])
def test_a_list_that_is_none(tmp_path, content):
    file = tmp_path / "p.json"
    file.write_text(content)
    with pytest.raises(BadInputError):
        read_captions(file)


def test_lists_and_texts_that_cannot_be_read(tmp_path):
    with pytest.raises(BadInputError, match="cannot be read"):
        read_captions(tmp_path / "absent.json")
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match="not UTF-8"):
        Captions().of(tmp_path / "a.png")
    (tmp_path / "p.json").write_text(json.dumps({"a.png": "x"}))
    assert read_captions(tmp_path / "p.json") == {"a.png": "x"}
