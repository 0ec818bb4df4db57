"""Names on the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dit4sr.runtime.errors import BadInputError

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_NAME = re.compile(
    rf"hf://(?P<owner>{_PART})/(?P<name>{_PART})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]{{0,199}}))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """A repository on the hub, and which state of it."""

    owner: str
    name: str
    revision: str = "main"
    """A branch, a tag or a commit."""

    @classmethod
    def of(cls, text: str) -> HubName:
        """Read a name as users write it."""
        found = _NAME.fullmatch(text)
        if found is None:
            raise BadInputError(
                f"{text[:200]!r} is no name on the hub", expected="hf://owner/name[@revision]"
            )
        return cls(found["owner"], found["name"], found["revision"] or cls.revision)

    @property
    def repository(self) -> str:
        """Owner and name, as the hub has them."""
        return f"{self.owner}/{self.name}"

    @property
    def is_commit(self) -> bool:
        """True if it can mean nothing else tomorrow."""
        return _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"
