# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the list of components of a built collection (CycloneDX 1.6, JSON): its files with their checksums, and the releases that it
deploys unless an inventory says otherwise, which are not in the archive.

usage: python tools/sbom.py ARCHIVE OUTPUT
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tarfile
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL


def sha256(digest: str) -> list[HashType]:
    """A checksum as CycloneDX takes it."""
    return [HashType(alg=HashAlgorithm.SHA_256, content=digest)]


def components(archive: tarfile.TarFile) -> tuple[Component, list[Component]]:
    """The collection itself, and what it consists of and deploys.

    :param archive: the built collection.
    """

    def read(name: str) -> str:
        return archive.extractfile(name).read().decode("utf-8")

    about = json.loads(read("MANIFEST.json"))["collection_info"]
    whole = Component(
        type=ComponentType.APPLICATION,
        group=about["namespace"],
        name=about["name"],
        version=about["version"],
        licenses=[DisjunctiveLicense(id=name) for name in about["license"]],
        purl=PackageURL("generic", about["namespace"], about["name"], about["version"]),
        bom_ref="collection",
    )
    parts = []
    for entry in json.loads(read("FILES.json"))["files"]:
        if entry["ftype"] == "file":
            parts.append(
                Component(
                    type=ComponentType.FILE,
                    name=entry["name"],
                    hashes=sha256(entry["chksum_sha256"]),
                    bom_ref="file:" + entry["name"],
                )
            )
    for name in sorted(archive.getnames()):
        role = re.fullmatch(r"roles/(\w+)/defaults/main\.yml", name)
        text = read(name) if role else ""
        version = re.search(r"(?m)^{0}_version: ['\"]?([\w.+-]+)".format(role[1]), text) if role else None
        project = re.search(r"https://github\.com/([\w.-]+)/([\w.-]+)/releases", text)
        if version:
            purl = PackageURL("github", project[1], project[2], "v" + version[1]) if project else None
            parts.append(
                Component(
                    type=ComponentType.APPLICATION,
                    name=role[1],
                    version=version[1],
                    scope=ComponentScope.EXCLUDED,
                    description="deployed by the role unless an inventory says otherwise; not in the archive",
                    purl=purl,
                    bom_ref="release:" + role[1],
                )
            )
    return whole, parts


def main(path: str, output: str) -> None:
    """Write the list; ValueError where it does not fit the schema."""
    bom = Bom()
    with tarfile.open(path) as archive:
        whole, parts = components(archive)
    whole.hashes.update(sha256(hashlib.sha256(Path(path).read_bytes()).hexdigest()))
    bom.metadata.component = whole
    bom.components.update(parts)
    bom.register_dependency(whole, [part for part in parts if part.scope == ComponentScope.EXCLUDED])
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong:
        raise ValueError(wrong)
    Path(output).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
