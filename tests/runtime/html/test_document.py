"""A page that stands alone: what it allows, and what becomes of strangers' words."""

from __future__ import annotations

import base64
import hashlib
import re

from dit4sr.runtime.html.document import Document, data_uri


def test_a_page_allows_its_own_style_and_script_and_pictures_inside_and_nothing_else():
    page = Document("A page", "p { color: red; }", "let x = 1;").around("<p>Here.</p>")
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert rules.pop("img-src") == "data:"
    for kind, element in (("style-src", "style"), ("script-src", "script")):
        [content] = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules.pop(kind) == f"'sha256-{digest}'"
    assert rules == {}


def test_a_page_without_a_script_allows_none():
    page = Document("A page").around("")
    assert "script" not in page


def test_a_title_is_no_markup():
    page = Document("<script>alert(1)</script>").around("")
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>" in page


def test_a_file_becomes_an_address():
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"
