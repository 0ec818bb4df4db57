"""A bundle to the hub, with a card that says what it is."""

from __future__ import annotations

from pathlib import Path

from dit4sr.export.reports.model_card import model_card
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.hub.client import hub_client, one_line_about
from dit4sr.runtime.hub.name import HubName


def push(path: Path, name: HubName) -> str:
    """Send a bundle in one commit and return its address; a repository that was not there is private.

    Only what the manifest names goes along, after its digests were looked at.
    """
    if name.is_commit:
        raise BadInputError(f"{name} is a commit, which cannot be changed", expected="a branch")
    client, bundle = hub_client(), Bundle.open(path)
    bundle.verify()
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415 - only who pushes needs it

    files = [MANIFEST, *(record.path for record in bundle.manifest.files())]
    additions = [CommitOperationAdd(file, str(path / file)) for file in files]
    card = model_card(bundle.manifest, name.repository).encode()
    additions.append(CommitOperationAdd("README.md", card))
    with one_line_about(name):
        client.create_repo(name.repository, private=True, exist_ok=True)
        commit = client.create_commit(
            name.repository, additions, commit_message=f"Add {bundle.card.name}", revision=name.revision
        )
    return str(commit.commit_url)
