"""What the tests of routes share: declarations as the role renders them, and the mirror's Alertmanagers."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.vigil.monitoring.plugins.plugin_utils import _alertmanager
from ansible_collections.vigil.monitoring.plugins.plugin_utils._text import to_yaml

from lab import mirror
from lab.common import ROOT

AGES = ("new", "old")


def settings(declaration: str | dict, version: str, folder: Path, **given) -> dict:
    """The role's inputs with a declaration, as its vars hand them on."""
    bare = {
        "config_dir": str(folder),
        "version": version,
        "escalation": yaml.safe_load(declaration) if isinstance(declaration, str) else declaration,
        "resolve_timeout": "3m",
        "smtp": {"from": "alertmanager@example.com", "smarthost": "localhost:25", "require_tls": False},
        "http_config": {},
        "route": {"receiver": "default"},
        "receivers": [{"name": "default"}],
        "inhibit_rules": [],
        "time_intervals": [],
        "template_files": [],
        "own_templates": [
            {"source": str(path), "content": path.read_text(encoding="utf-8")}
            for path in (ROOT / "roles/alertmanager/files").glob("*.tmpl")
        ],
        "web_config": {},
        "mask_diff": False,
    }
    return {**bare, **dict.fromkeys(_alertmanager.GLOBAL_KEYS, ""), **given}


def write(given: dict) -> str:
    """Write everything that the role would write to the host; returns the text of alertmanager.yml."""
    text = to_yaml(_alertmanager.alertmanager_config(given))
    for entry in _alertmanager.alertmanager_files(given, text):
        path = Path(given["config_dir"]) / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry["content"], encoding="utf-8")
    return text


@pytest.fixture(scope="session")
def releases(tmp_path_factory) -> dict[str, tuple[str, Path]]:
    """The mirror's releases: "new" and "old" -> (version, folder of alertmanager and amtool)."""
    found = {}
    for age in AGES:
        version = mirror.versions()["alertmanager"][age]
        folder = tmp_path_factory.mktemp(age)
        archive = next((mirror.path() / "alertmanager" / f"v{version}").glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        found[age] = version, next(folder.iterdir())
    return found


def amtool(folder: Path, *arguments: str) -> str:
    """What amtool prints; it has to succeed."""
    done = subprocess.run([str(folder / "amtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
