# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what is newer upstream than the default versions, and which checksums of them the collection does not know.

usage: tools/versions.py [--write-sums], or `make versions` and `make sums`

The default versions stand in one place each, plugins/plugin_utils/services/NAME.yml. Upstream is asked for its tags by git, and where
that does not answer the Go module proxy by the go client; its security notes come from GitHub. With --write-sums the
checksums that upstream publishes beside the releases are written into plugins/plugin_utils/_upstream_sums.py. The status is
0 whatever is newer, and 1 only where something is wrong here.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "tools")]

from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ARCHITECTURES,
    parse_sums,
    release_sums_url,
    release_url,
    version_key,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream_sums import SUMS

import roles

TABLE = ROOT / "plugins" / "plugin_utils" / "_upstream_sums.py"
PATIENCE = 30  # seconds for an answer of upstream's


class Program(NamedTuple):
    """A program that a role deploys.

    :ivar repository: on GitHub.
    :ivar module: Go module of it, empty where the proxy has none of its releases.
    :ivar upstream: address of its releases.
    :ivar layout: names of their files, as parameters of ``release_url``.
    :ivar version: the default version.
    """

    repository: str
    module: str
    upstream: str
    layout: dict
    version: str


def _programs():
    """The programs, from the files of the services."""
    found = {}
    for name in roles.names():
        about = roles.read(name)
        upstream, elsewhere = about.get("upstream"), about.get("repository")
        if not upstream:
            continue  # it comes from packages alone
        repository = elsewhere or re.match("https://github.com/([^/]+/[^/]+)", upstream).group(1)
        module = "" if elsewhere else "github.com/" + repository
        found[name] = Program(
            repository, module, upstream, about.get("layout") or {}, str(about["defaults"]["version"])
        )
    return found


PROGRAMS = _programs()


class NoAnswer(Exception):
    """Upstream does not answer; the message says who was asked."""


# What is decided


def release_of(tag, program):
    """The version that a tag names, or None for a tag that names no stable release.

    :param program: Prometheus 3 is v0.3MM.P as a Go module: 3.16.0 is v0.316.0, and 3.5.3 is v0.305.3.
    """
    match = re.fullmatch(r"(?:refs/tags/)?v(\d+)\.(\d+)\.(\d+)", tag)
    if not match:
        return None
    major, minor, patch = map(int, match.groups())
    if program == "prometheus" and major == 0:
        if minor < 300:
            return None
        major, minor = divmod(minor, 100)
    return f"{major}.{minor}.{patch}"


def newer_than(pin, versions):
    """The versions above a pin that matter, in ascending order: the newest of its own minor version, and the newest of all."""
    above = sorted({version for version in versions if version_key(version) > version_key(pin)}, key=version_key)
    line = pin.rsplit(".", 1)[0] + "."
    own = [version for version in above if version.startswith(line)]
    return list(dict.fromkeys([*own[-1:], *above[-1:]]))


def concerns(ranges, version):
    """Whether a version is in the range of a security note, such as ``>= 3.0.0, < 3.5.4`` or ``= 3.1.0``.

    Alternatives are separated by ``||``. A range that cannot be read concerns every version.
    """
    return any(all(map(_holds(version), part.split(","))) for part in (ranges or "").split("||"))


def _holds(version):
    def holds(bound):
        match = re.fullmatch(r"\s*(<=|>=|<|>|=)?\s*v?(\d[\w.+-]*)\s*", bound)
        if not match:
            return True
        one, other = version_key(version), version_key(match[2])
        return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}.get(match[1], one == other)

    return holds


def notes_of(advisories, version):
    """The security notes that concern a version, one line each.

    :param advisories: GitHub's list of a repository's.
    """
    found = []
    for advisory in advisories:
        for one in advisory.get("vulnerabilities") or ():
            if concerns(one.get("vulnerable_version_range"), version):
                fixed = one.get("patched_versions") or "nothing yet"
                name = advisory.get("cve_id") or advisory.get("ghsa_id")
                found.append(f"{name} ({advisory.get('severity')}): {advisory.get('summary')}; fixed in {fixed}")
                break
    return found


def unknown_sums(program, version, sums):
    """The architectures for whose release no checksum is known."""
    return [arch for arch in sorted(set(ARCHITECTURES.values())) if arch not in sums.get((program, version), {})]


def lines_of(program, pin, found, notes, unknown):
    """What is told about a program.

    :param found: upstream's versions, or the :class:`NoAnswer` to that question; likewise ``notes``.
    :param unknown: architectures without a checksum.
    """
    if isinstance(found, NoAnswer):
        state = f"newest unknown: {found}"
    else:
        newer = newer_than(pin, found)
        state = f"newer: {' and '.join(newer)}" if newer else "the newest"
    lines = [f"{program} {pin}: {state}"]
    if isinstance(notes, NoAnswer):
        lines.append(f"    security notes unknown: {notes}")
    else:
        lines += [f"    {note}" for note in notes]
    if unknown:
        lines.append(f"    no checksum known for {', '.join(unknown)}")
    return lines


def table_of(sums):
    """The text of the module that holds the checksums.

    :param sums: (program, version) -> architecture -> SHA-256.
    """
    head, dummy, rest = TABLE.read_text(encoding="utf-8").partition("SUMS: ")
    tail = rest[rest.index("\n\n\ndef ") :]
    rows = []
    for (program, version), known in sorted(sums.items()):
        cells = [f'        "{arch}": "{known[arch]}",\n' for arch in sorted(known)]
        rows.append(f'    ("{program}", "{version}"): {{\n{"".join(cells)}    }},\n' if cells else "")
    return f"{head}SUMS: dict[tuple[str, str], dict[str, str]] = {{\n{''.join(rows)}}}{tail}"


# What is asked


def pins():
    """The default version of each program."""
    return {name: program.version for name, program in PROGRAMS.items()}


def fetch(url):
    """The content of an address.

    :raises NoAnswer: when there is none.
    """
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.read(1 << 24)
    except (OSError, ValueError) as error:
        raise NoAnswer(f"{url.split('/')[2]} does not answer ({getattr(error, 'reason', error)})") from error


def run(*argv):
    """Output of a command, None where it fails or is not there."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=PATIENCE * 2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def versions_of(program):
    """The stable versions that upstream has released.

    :raises NoAnswer: when nobody tells.
    """
    about = PROGRAMS[program]
    tags = run("git", "ls-remote", "--tags", "--refs", f"https://github.com/{about.repository}")
    if tags is None and about.module:
        tags = run("go", "list", "-m", "-versions", about.module)
    found = [release_of(tag, program) for tag in (tags or "").split()]
    if not any(found):
        asked = "neither GitHub nor the Go module proxy tells" if about.module else "GitHub does not answer"
        raise NoAnswer(asked)
    return [version for version in found if version]


def notes_about(program, version):
    """Upstream's security notes that concern a version.

    :raises NoAnswer: when GitHub does not tell.
    """
    url = (
        f"https://api.github.com/repos/{PROGRAMS[program].repository}/security-advisories?state=published&per_page=100"
    )
    try:
        return notes_of(json.loads(fetch(url)), version)
    except (TypeError, ValueError, AttributeError) as error:
        raise NoAnswer("GitHub's answer cannot be read") from error


def published_sums(program, version):
    """The checksums that upstream publishes of a release, by architecture; empty where it does not answer."""
    about = PROGRAMS[program]
    found, place = {}, {"upstream": about.upstream, **about.layout}
    for arch in sorted(set(ARCHITECTURES.values())):
        name = release_url(program, version, **place).rsplit("/", 1)[1].replace("{arch}", arch)
        try:
            text = fetch(release_sums_url(program, version, **place).replace("{arch}", arch)).decode("utf-8", "replace")
        except NoAnswer as error:
            print(f"{name}: {error}")
            continue
        lone = text.strip().lower()
        digest = parse_sums(text).get(name) or (lone if re.fullmatch("[0-9a-f]{64}", lone) else None)
        if digest:
            found[arch] = digest
    return found


def answer_of(question, *about):
    """What a question brings, or that nobody answers it."""
    try:
        return question(*about)
    except NoAnswer as error:
        return error


def main(argv):
    """Entry point."""
    if argv not in ([], ["--write-sums"]):
        print(__doc__.strip())
        return 1
    wanted = pins()
    if argv:
        sums = {
            (program, pin): {**SUMS.get((program, pin), {}), **published_sums(program, pin)}
            for program, pin in wanted.items()
        }
        TABLE.write_text(table_of(sums), encoding="utf-8")
        print(f"wrote {TABLE.relative_to(ROOT)}")
        return 0
    for program, pin in wanted.items():
        found = answer_of(versions_of, program)
        notes = answer_of(notes_about, program, pin)
        print("\n".join(lines_of(program, pin, found, notes, unknown_sums(program, pin, SUMS))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
