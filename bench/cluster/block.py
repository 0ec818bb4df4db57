"""A part of a page that is never typed by hand: between a mark and its end."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dit4sr.runtime.errors import BadInputError


def renewed(page: str, mark: str, lines: Sequence[str]) -> str:
    """A page with the part of that mark written anew."""
    block = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    text, count = block.subn(lambda found: found[1] + "\n".join(lines) + "\n" + found[2], page)
    if count != 1:
        raise BadInputError(f"the page has no part {mark!r}", expected=f"<!-- {mark} --> … <!-- /{mark} -->")
    return text
