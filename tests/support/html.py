"""A page of HTML as a strict reader sees it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "img", "br", "input"})


class PageReader(HTMLParser):
    """Whether tags are closed, where the page looks for things, and what it says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.said = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.said += data


def assert_whole_and_alone(text: str) -> PageReader:
    """Hold that a page is well formed and leads nowhere; return what was read."""
    page = PageReader(text)
    assert page.open == []
    assert all(source.startswith("data:") for source in page.sources)
    assert "//" not in re.sub(r"data:[^\"]*", "", text)
    return page
