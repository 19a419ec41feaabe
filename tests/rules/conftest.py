"""The promtool of the lab's releases."""

from __future__ import annotations

import tarfile

import pytest

from lab import mirror


@pytest.fixture(scope="session", params=["new", "old"])
def promtool(request, tmp_path_factory):
    """The promtool of the newest and of the oldest release of the lab."""
    version = mirror.versions()["prometheus"][request.param]
    folder = tmp_path_factory.mktemp("promtool")
    name = f"prometheus-{version}.linux-{mirror.architecture()}"
    with tarfile.open(mirror.path() / "prometheus" / f"v{version}" / f"{name}.tar.gz") as archive:
        archive.extract(f"{name}/promtool", folder, filter="data")
    return folder / name / "promtool"
