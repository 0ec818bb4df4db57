"""Bundles and checkpoints from the hub, in the user's cache: a folder for each commit, whole or not there."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, read_manifest
from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.folders import user_cache
from dit4sr.runtime.files.kept import KeptFile
from dit4sr.runtime.hub.client import UnreachableError, hub_client, one_line_about
from dit4sr.runtime.hub.name import HubName

OF_A_CHECKPOINT = (".safetensors", ".json", ".txt", ".model")
"""Endings of what is taken of a checkpoint: weights that are data, and never a pickle."""


def fetched(name: HubName, tell: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of a bundle or checkpoint, fetched if it is not here.

    A branch or a tag is looked up each time; where nobody answers, what it last was is taken, and told. For a
    commit that is here nobody is asked.
    """
    cache = user_cache("hub")
    if cache is None:
        raise BadInputError("there is no folder to keep downloads in", fix="name one with DIT4SR_CACHE")
    home = cache / f"{name.owner}--{name.name}"
    if name.is_commit and (folder := home / name.revision / name.name).is_dir():
        return folder
    client = hub_client()
    commit = _commit(client, name, home, tell)
    folder = home / commit / name.name
    if not folder.is_dir():
        tell(f"fetching {name}")
        _fetch(client, name, commit, folder)
    return folder


def _commit(client: Any, name: HubName, home: Path, tell: Callable[[str], None]) -> str:
    """Which commit a revision is now or, where nobody answers, was when it was last asked for."""
    known = KeptFile(home / "revisions" / quote(name.revision, safe=""))
    try:
        with one_line_about(name):
            commit = str(client.model_info(name.repository, revision=name.revision).sha)
    except UnreachableError as error:
        commit = known.read().decode()
        if not commit or not (home / commit / name.name).is_dir():
            raise UnreachableError(f"{error.found}, and it is not in the cache", fix=error.fix) from None
        tell(f"{error.found}: took what it was, {commit[:12]}")
        return commit
    known.write(commit.encode())
    return commit


def _fetch(client: Any, name: HubName, commit: str, folder: Path) -> None:
    """Fetch a commit's files beside where they belong, so that a fetch that was cut short goes on."""
    draft = folder.with_name(f".{name.name}.partial")
    draft.mkdir(parents=True, exist_ok=True)

    def get(files: Sequence[str]) -> None:
        patterns = [glob.escape(file) for file in files]
        client.snapshot_download(name.repository, revision=commit, local_dir=draft, allow_patterns=patterns)

    with one_line_about(name):
        there = {each.rfilename for each in client.model_info(name.repository, revision=commit).siblings}
        if MANIFEST in there:
            get([MANIFEST])
            wanted = [record.path for record in read_manifest(draft / MANIFEST).files()]
            if missing := [path for path in wanted if path not in there]:
                raise IntegrityError(f"{name} lacks {missing[0]}, which its manifest names")
        else:
            wanted = sorted(path for path in there if path.endswith(OF_A_CHECKPOINT))
            if not any(path.endswith(".safetensors") for path in wanted):
                raise BadInputError(
                    f"{name} is neither bundle nor checkpoint", expected=f"{MANIFEST} or .safetensors files"
                )
        get(wanted)
    shutil.rmtree(draft / ".cache", ignore_errors=True)  # the client's notes
    if MANIFEST in there:
        try:
            Bundle.open(draft).verify()
        except IntegrityError:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    try:
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():  # by another process
            raise
