"""The collections that people come from, where somebody put them: prometheus.prometheus, and grafana.grafana with it.

They are looked for below ``ansible_collections`` in the folder that VIGIL_PEERS names, in the folder ``peers`` of the lab's
cache, and where Ansible would find them. ``ansible-galaxy collection install prometheus.prometheus -p FOLDER`` makes such a
folder, and so does a checkout of the repository prometheus-community/ansible as
``FOLDER/ansible_collections/prometheus/prometheus``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from .common import LabError, cache_dir, say

PEER = "prometheus.prometheus"
RELEASES = "0.30."


@dataclass(frozen=True)
class Peer:
    """A collection to compare with: the folder that holds its ``ansible_collections``, and its version."""

    folder: Path
    version: str


def find(given: str | None = None) -> Peer | None:
    """prometheus.prometheus in this folder, else where it is looked for; None, loudly, when it is nowhere.

    :raises LabError: when the given folder does not hold it.
    """
    places = [given] if given else [os.environ.get("VIGIL_PEERS"), str(cache_dir() / "peers")]
    if not given:
        places += os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":")
        places += ["~/.ansible/collections", "/usr/share/ansible/collections"]
    for place in filter(None, places):
        folder = Path(place).expanduser().resolve()
        if version := _version(folder / "ansible_collections" / PEER.replace(".", "/")):
            if not version.startswith(RELEASES):
                say(f"{PEER} in {folder} is {version}: the promises are about {RELEASES}x")
            return Peer(folder, version)
    if given:
        raise LabError(f"{given} holds no ansible_collections/{PEER.replace('.', '/')}")
    say("!" * 100)
    say(f"!!! {PEER} IS NOT HERE: {without()}")
    say("!" * 100)
    return None


def without() -> str:
    """What to do where it is nowhere."""
    return (
        f"install it with `ansible-galaxy collection install {PEER}:{RELEASES}* -p {cache_dir() / 'peers'}`, or name a"
        " folder that holds it in VIGIL_PEERS"
    )


def _version(folder: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
        return str(manifest["collection_info"]["version"])
    with contextlib.suppress(OSError):
        found = re.search(r"^version:\s*(\S+)", (folder / "galaxy.yml").read_text(encoding="utf-8"), re.MULTILINE)
        return found[1] if found else None
    return None
