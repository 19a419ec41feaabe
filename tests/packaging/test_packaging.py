"""The collection is usable in both ways: from a plain clone with no install step, and built and installed."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from pathlib import Path

import pytest
import yaml

from lab import collection, common, venv
from lab.common import ROOT

NAME = "vigil.monitoring"
# Roles for playbooks of one's own.
# The proxy has no play of its own: it comes with the service that it closes.
NOT_IN_SITE = {"silenced_deployment", "tls_proxy"}
# What the roles of all services share.
SHARED = {"deployment"}
# In the playbook with its name as the only tag, and of no release: it deploys no service, and brings a package of the distribution.
OTHERS = {"backup"}


def run(*argv: str, cwd: Path, home: Path, **environment: str) -> str:
    """Run a tool of the virtual environment with none of the caller's Ansible settings; returns its output."""
    own = collection.environment(home, **environment)
    return common.run([venv.tool(argv[0]), *argv[1:]], cwd=cwd, env=own).stdout


def modules() -> list[str]:
    return sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py"))


def roles() -> list[str]:
    return sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "meta").is_dir())


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A fresh clone of today's files."""
    return collection.clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def installed(clone, tmp_path_factory) -> Path:
    """The built collection, installed into an empty path; returns that path."""
    return collection.install(clone, tmp_path_factory.mktemp("built"))


def test_a_plain_clone_finds_every_module(clone, tmp_path):
    listed = run("ansible-doc", "--list", NAME, "--json", cwd=clone, home=tmp_path)
    assert sorted(yaml.safe_load(listed)) == [f"{NAME}.{name}" for name in modules()]


def test_a_plain_clone_finds_every_role(clone, tmp_path):
    listed = run("ansible-doc", "-t", "role", "--list", "--json", cwd=clone, home=tmp_path)
    assert {f"{NAME}.{name}" for name in roles()} <= set(yaml.safe_load(listed))


@pytest.mark.parametrize("inventory", sorted(path.name for path in (ROOT / "inventories").iterdir() if path.is_dir()))
def test_a_plain_clone_resolves_the_playbook(clone, tmp_path, inventory):
    shown = run(
        "ansible-playbook", "site.yml", "-i", f"inventories/{inventory}", "--list-tasks", cwd=clone, home=tmp_path
    )
    assert f"{NAME}.deployment : " in shown
    for name in sorted(set(roles()) - NOT_IN_SITE - SHARED - OTHERS):
        assert f"TAGS: [{name}, {name}_" in shown, shown
    for name in OTHERS:
        assert f"TAGS: [{name}]" in shown, shown


def test_every_service_has_the_tags_that_people_expect(clone, tmp_path):
    """Its name, and one for each step; the page docs/tags.md lists what Ansible does."""
    shown = run("ansible-playbook", "site.yml", "-i", "inventories/prod", "--list-tags", cwd=clone, home=tmp_path)
    listed = set(re.findall(r"[\w.]+", " ".join(re.findall(r"TASK TAGS: \[(.*)\]", shown))))
    page = (clone / "docs" / "tags.md").read_text(encoding="utf-8")
    for service in sorted(set(roles()) - NOT_IN_SITE - SHARED - OTHERS):
        expected = {service, *(f"{service}_{step}" for step in ("install", "configure", "run"))}
        assert expected <= listed, service
        assert expected <= set(re.findall(r"`(\w+)`", page)), service
    assert "verify" in listed
    # What Ansible has and the page lacks, and the other way round. Other playbooks have tags of their own.
    rows = re.findall(r"(?m)^\| `([\w.]+)` \| (.*) \|$", page)
    there = {*(set(roles()) - NOT_IN_SITE), "vigil.monitoring.site", "vigil.monitoring.verify"}
    written = [tags for name, tags in rows if name in there]
    assert listed - {"always"} == set(re.findall(r"`(\w+)`", " ".join(written)))


@pytest.mark.parametrize("playbook", ["drill", "silence", "verify"])
def test_a_plain_clone_resolves_the_playbooks_of_the_day(clone, tmp_path, playbook):
    arguments = [f"{playbook}.yml", "-i", "inventories/prod", "--syntax-check"]
    run("ansible-playbook", *arguments, cwd=clone, home=tmp_path)


def test_the_links_hold_the_repository(clone):
    folder = clone / "collections" / "ansible_collections" / "vigil" / "monitoring"
    for name in ("bundled", "galaxy.yml", "meta", "playbooks", "plugins", "roles"):
        assert (folder / name).resolve() == (clone / name).resolve(), name


def test_the_documented_commands_install_the_collection_from_its_clone(clone, tmp_path):
    """As they stand, in the clone, with its ansible.cfg; no server is there, and no other collection."""
    commands = [
        line
        for line in (clone / "docs" / "installation.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("ansible-galaxy collection build")
    ]
    (line,) = commands
    (tmp_path / "home").mkdir()
    copy = collection.clone(tmp_path / "clone")
    # A home without collections, and a Python whose own are not looked at.
    own = collection.environment(
        tmp_path / "home", ANSIBLE_GALAXY_SERVER="http://127.0.0.1:9/", ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="false"
    )
    said = common.run(["bash", "-c", line], cwd=copy, env=own).stdout
    assert "Nothing to do" not in said
    assert "was installed successfully" in said
    folder = tmp_path / "home" / ".ansible" / "collections" / "ansible_collections" / "vigil" / "monitoring"
    assert (folder / "MANIFEST.json").is_file()
    # The clone still runs what is in it.
    shown = run("ansible-doc", f"{NAME}.service", "--json", cwd=copy, home=tmp_path / "home")
    assert yaml.safe_load(shown)[f"{NAME}.service"]["doc"]["filename"].startswith(str(copy))


def test_it_depends_on_no_other_collection():
    assert not yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"]


def test_an_installed_collection_finds_every_module(installed, tmp_path):
    listed = run(
        "ansible-doc",
        "--list",
        NAME,
        "--json",
        cwd=tmp_path,
        home=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(installed),
    )
    assert sorted(yaml.safe_load(listed)) == [f"{NAME}.{name}" for name in modules()]


def test_an_installed_collection_runs_its_playbook(installed, clone, tmp_path):
    shown = run(
        "ansible-playbook",
        f"{NAME}.site",
        "-i",
        str(clone / "inventories" / "prod"),
        "--list-tasks",
        cwd=tmp_path,
        home=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(installed),
    )
    assert f"{NAME}.deployment : " in shown
    for name in sorted(set(roles()) - NOT_IN_SITE - SHARED - OTHERS):
        assert f"TAGS: [{name}, {name}_" in shown, shown


def test_the_documented_inventory_and_commands_of_an_installed_collection(installed, clone, tmp_path):
    """As they stand, but that Ansible lists the tasks; tests/faults/test_installed.py carries them out."""
    page = (clone / "docs" / "installation.md").read_text(encoding="utf-8")
    (inventory,) = re.findall(r"(?ms)^```yaml\n(# hosts.yml\n.*?)^```", page)
    (tmp_path / "hosts.yml").write_text(inventory, encoding="utf-8")
    commands = re.findall(r"(?m)^(ansible-playbook vigil\S+ -i hosts.yml)", page)
    assert len(commands) == 2
    for command in commands:
        argv = [*command.split(), "--list-tasks", "--list-hosts"]
        shown = run(*argv, cwd=tmp_path, home=tmp_path, ANSIBLE_COLLECTIONS_PATH=str(installed))
        assert {"mon1", "web1"} <= set(shown.split()), shown
        assert "Could not match" not in shown


def test_the_archive_holds_no_development_files(installed):
    folder = installed / "ansible_collections" / "vigil" / "monitoring"
    allowed = {
        "CHANGELOG.rst",
        "FILES.json",
        "LICENSE",
        "MANIFEST.json",
        "README.md",
        "bundled",
        "changelogs",
        "docs",
        "meta",
        "playbooks",
        "plugins",
        "roles",
    }
    assert {path.name for path in folder.iterdir()} <= allowed
    # Not what Python has written there since.
    names = [entry["name"] for entry in json.loads((folder / "FILES.json").read_text(encoding="utf-8"))["files"]]
    assert names and not [name for name in names if name.endswith(".pyc") or "__pycache__" in name]


def test_the_archive_holds_the_dashboards(installed):
    folder = Path("bundled", "dashboards")
    shipped = (installed / "ansible_collections" / "vigil" / "monitoring" / folder).rglob("*.json")
    assert len(list(shipped)) == len(list((ROOT / folder).rglob("*.json"))) == 8


def test_the_list_of_components_is_that_of_the_archive(tmp_path):
    archive, listed = venv.sbom(tmp_path)
    bom = json.loads(listed.read_text(encoding="utf-8"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    whole = bom["metadata"]["component"]
    assert whole["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(archive.read_bytes()).hexdigest()}]
    sums = {part["name"]: part["hashes"][0]["content"] for part in bom["components"] if part["type"] == "file"}
    with tarfile.open(archive) as opened:
        packed = {member.name: opened.extractfile(member).read() for member in opened if member.isfile()}
    # FILES.json has the checksums of all others, and MANIFEST.json that of FILES.json.
    assert sums == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in packed.items()
        if name not in ("FILES.json", "MANIFEST.json")
    }
    deployed = {part["name"]: part for part in bom["components"] if part["type"] == "application"}
    assert set(deployed) == set(roles()) - NOT_IN_SITE - SHARED - OTHERS
    assert re.fullmatch(r"pkg:github/prometheus/prometheus@v[\d.]+", deployed["prometheus"]["purl"])
    assert {part["scope"] for part in deployed.values()} == {"excluded"}


def test_a_development_dependency_with_another_checksum_is_not_installed(tmp_path):
    """With the real pip; what it downloads is small."""
    (entry,) = re.findall(r"(?m)^iniconfig==.*\n(?:    --hash=.*\n)+", venv.lock("dev").read_text(encoding="utf-8"))
    python, other, target = venv.tool("python"), tmp_path / "lock.txt", tmp_path / "installed"

    def install(text: str) -> None:
        other.write_text(text, encoding="utf-8")
        venv.install(python, other, "--target", str(target))

    with pytest.raises(common.LabError, match="DO NOT MATCH THE HASHES"):
        install(re.sub("sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, entry))
    with pytest.raises(common.LabError, match="Hashes are required"):
        install(entry.partition(" ")[0] + "\n")
    assert not target.exists()
    install(entry)
    assert (target / "iniconfig").is_dir()


def test_versions_agree():
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    assert f'\nversion = "{galaxy["version"]}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
