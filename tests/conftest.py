"""What holds for every test: nothing of the user's own is read or written."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_configuration(tmp_path_factory):
    """Engines that tests build are remembered here, also by the processes that they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIT4SR_CONFIG", str(tmp_path_factory.mktemp("config")))
        patch.delenv("DIT4SR_TRUST_ENGINES", raising=False)
        yield
