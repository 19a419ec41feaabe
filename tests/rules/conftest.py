"""The promtool of the lab's releases."""

from __future__ import annotations

import pytest

from lab import mirror


@pytest.fixture(scope="session", params=["new", "old"])
def promtool(request, tmp_path_factory):
    """The promtool of the newest and of the oldest release of the lab."""
    folder = tmp_path_factory.mktemp("promtool")
    return mirror.unpack("prometheus", request.param, folder, "promtool") / "promtool"
