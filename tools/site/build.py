# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation site from docs/, the community files and the documentation of roles and plugins.

usage: tools/site/build.py OUTPUT BUILDER, or `make site`

Runs in the environment of the dependency group `site`. BUILDER is `html`, which needs no network, or `linkcheck`, which follows
the links to other sites. A warning is an error: of Sphinx, of a link to a page or heading that is not there, of a page in no
table of contents.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tools" / "site"
PROGRAMS = pathlib.Path(sys.executable).parent
HOME = "https://github.com/vigil-monitoring/vigil.monitoring"
COLLECTION = "vigil.monitoring"
# Files of the repository that are pages under another name, relative to the site.
RENAMED = {
    "CHANGELOG.rst": "changelog.rst",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "README.md": "index.md",
    "SECURITY.md": "security-policy.md",
    "docs/roles/README.md": "roles/index.md",
}
# The tables of a role's variables are part of its page in the reference.
ROLE = re.compile(r"docs/roles/(\w+)\.md")
LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?\)")


def place(path: str) -> str | None:
    """Where a file of the repository is on the site, relative to its root; None where it is not a part of it."""
    if path in RENAMED:
        return RENAMED[path]
    if role := ROLE.fullmatch(path):
        return f"reference/{role[1]}_role.rst"
    return path.removeprefix("docs/") if re.fullmatch(r"docs/.*\.(md|png|svg)", path) else None


def linked(text: str, source: str, target: str) -> str:
    """A page with its relative links as they are on the site; what is no part of that is on GitHub.

    :param source: its path in the repository, from which links lead.
    :param target: its path on the site.
    """

    def replaced(match: re.Match) -> str:
        path = os.path.normpath(os.path.join(os.path.dirname(source), match[2]))
        if not (ROOT / path).exists():
            sys.exit(f"{source}: the link {match[2]} leads to no file")
        found = place(path)
        if found is None:
            kind = "tree" if (ROOT / path).is_dir() else "blob"
            return f"{match[1]}{HOME}/{kind}/main/{path}{match[3] or ''})"
        return f"{match[1]}{os.path.relpath(found, os.path.dirname(target) or '.')}{match[3] or ''})"

    # What stands in a block of code is no link.
    parts = re.split(r"(?ms)(^```.*?^```$)", text)
    return "".join(part if index % 2 else LINK.sub(replaced, part) for index, part in enumerate(parts))


def gather(folder: pathlib.Path) -> None:
    """Lay out the sources of the site."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    sources = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md"))]
    for source in [*(name for name in RENAMED if "/" not in name and name != "README.md"), *sources]:
        if source not in RENAMED and ROLE.fullmatch(source):
            continue
        target = folder / place(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / source).read_text(encoding="utf-8")
        if source.endswith(".md"):
            # The expressions of alerts are templates until a deployment fills them in: no lexer knows them.
            text = linked(text, source, place(source)).replace("```promql\n", "```text\n")
        target.write_text(text, encoding="utf-8")
    _runbooks(folder / "runbooks")


def _runbooks(folder: pathlib.Path) -> None:
    """The page that lists the runbooks, by the packs of their alerts."""
    lines = ["# Runbooks\n\nWhat to do when an alert fires. The [alerts](../alerts.md) with their thresholds.\n"]
    left = {path.stem for path in folder.glob("*.md")}
    for pack in sorted((ROOT / "bundled" / "rules").glob("*.yml")):
        alerts = yaml.safe_load(pack.read_text(encoding="utf-8"))["alerts"]
        lines.append("\n## {0}\n\n```{{toctree}}\n{1}\n```\n".format(pack.stem.capitalize(), "\n".join(alerts)))
        left -= set(alerts)
    if left:
        sys.exit(f"runbooks of no alert: {', '.join(sorted(left))}")
    (folder / "index.md").write_text("".join(lines), encoding="utf-8")


def reference(folder: pathlib.Path) -> None:
    """The pages of roles, modules and other plugins, from their own documentation."""
    folder.mkdir()
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
    }
    options = ["--use-current", "--squash-hierarchy", "--fail-on-error", "--no-add-antsibull-docs-version"]
    subprocess.run(
        [PROGRAMS / "antsibull-docs", "collection", *options, "--dest-dir", folder, COLLECTION],
        env=environment,
        check=True,
    )
    for page in folder.glob("*.rst"):
        # The theme has a table of contents beside each page, and marks a second one as an error.
        text = re.sub(r"(?m)^\.\. contents::\n(?: +:.*\n)+", "", page.read_text(encoding="utf-8"))
        page.write_text(text, encoding="utf-8")


def main() -> int:
    """Gather, and build."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    output = pathlib.Path(sys.argv[1]).resolve()
    source = output / "source"
    gather(source)
    reference(source / "reference")
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    builder = sys.argv[2]
    argv = [
        PROGRAMS / "sphinx-build",
        "--builder",
        builder,
        "--fail-on-warning",
        "--keep-going",
        "--fresh-env",
        "--quiet",
    ]
    environment = {**os.environ, "VIGIL_VERSION": galaxy["version"]}
    return subprocess.call([*argv, source, output / builder], env=environment)


if __name__ == "__main__":
    sys.exit(main())
