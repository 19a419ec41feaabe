# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles of services, written from ``plugins/plugin_utils/services/*.yml``: inputs, specifications, tasks, handlers.

A file of a service has

- ``title``, ``short_description`` and ``description`` of the role;
- ``upstream``, the address of its releases, and their ``repository`` on GitHub where they are elsewhere; neither where it comes from
  packages alone;
- ``layout`` where upstream names their files otherwise: ``archive`` and ``checksums``, with ``{version}`` and ``{arch}``, or ``bare``
  or ``flat``, as parameters of the filter release_url;
- ``image`` and ``image_tag``;
- ``defaults`` of shared variables, ``without`` those that it lacks, and what ``differs`` about others;
- its own ``variables``, below the titles of their sections;
- ``proxy``, the service that serves it by TLS, and there ``behind``, the service whose role deploys it.
"""

from __future__ import annotations

import json
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVICES = ROOT / "plugins" / "plugin_utils" / "services"
NOTE = "# Written by `make docs` from plugins/plugin_utils/services/{0}.yml and shared.yml; do not edit.\n"
AUTHOR = "Contributors to vigil.monitoring"
PHASES = ("install", "download", "configure", "run")
ORDER = ("type", "elements", "choices", "default", "description")


class _Dumper(yaml.SafeDumper):
    """Lists indented below their keys, and texts with templates in double quotes, as in files that are written by hand."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def _text(dumper, value):
    templated = "{{" in value or "{%" in value
    style = "|" if "\n" in value else ">" if templated and len(value) > 80 else '"' if templated or not value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(data):
    """YAML in the order of its keys."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118, default_flow_style=False)


def names():
    """The services that have a role."""
    return sorted(path.stem for path in SERVICES.glob("*.yml") if path.stem != "shared")


def read(name):
    """The file of a service, or ``shared``."""
    return yaml.safe_load((SERVICES / (name + ".yml")).read_text(encoding="utf-8"))


def variables(name):
    """The inputs of a role by their whole names, below the titles of their sections: specification and default of each."""
    about, sections = read(name), {}
    places = {
        "<service>": name,
        "<title>": about["title"],
        "<upstream>": about.get("upstream", ""),
        "<layout>": _layout(about),
        "<archive>": layout_of(about)["archive"].format(program="NAME", version="VERSION", arch="ARCH"),
        "<checksums>": layout_of(about)["checksums"],
        "<image>": about.get("image", ""),
        "<tag>": _tag(name, about.get("image_tag", "<version>")),
    }
    without, differs = set(about.get("without") or ()), about.get("differs") or {}
    for section, shared in read("shared").items():
        for variable, option in shared.items():
            if variable in without:
                continue
            found = {**option, **(differs.get(variable) or {})}
            if variable in about["defaults"]:
                found["default"] = about["defaults"][variable]
            sections.setdefault(section, {})[name + "_" + variable] = _filled(found, places)
        # After the shared section of the same title, else after the first one, which says what is installed.
        for title in [title for title in about["variables"] if title == section]:
            sections.setdefault(title, {}).update(_own(name, about["variables"][title]))
        if section == "Installation":
            for title in [title for title in about["variables"] if title not in read("shared")]:
                sections[title] = _own(name, about["variables"][title])
    return sections


def layout_of(about):
    """How upstream names the files of a release: ``archive`` and ``checksums``; and whether it is ``bare`` or ``flat``."""
    usual = {"archive": "{program}-{version}.linux-{arch}.tar.gz", "checksums": "sha256sums.txt"}
    return {**usual, **(about.get("layout") or {})}


def _layout(about):
    """The layout as arguments of the filters release_url and release_sums_url."""
    layout = about.get("layout") or {}
    return "".join(", {0}={1}".format(key, "true" if value is True else repr(value)) for key, value in layout.items())


def _own(name, options):
    return {"{0}_{1}".format(name, variable): option for variable, option in options.items()}


def _tag(name, tag):
    """The tag of an image as an expression: ``v<version>`` becomes ``'v' ~ NAME_version``."""
    before, after = tag.split("<version>")
    parts = ["'{0}'".format(before)] if before else []
    parts += [name + "_version"] + (["'{0}'".format(after)] if after else [])
    return " ~ ".join(parts)


def _filled(value, places):
    if isinstance(value, str):
        for place, text in places.items():
            value = value.replace(place, text)
        return value
    if isinstance(value, list):
        return [_filled(item, places) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, places) for key, item in value.items()}
    return value


def _is_literal(value):
    """Whether a default may stand in the specification: a failed validation shows it with each template's value, be it a secret."""
    without_raw = re.sub(r"\{% raw %\}.*?\{%\s*endraw %\}", "", str(value), flags=re.DOTALL)
    return "{{" not in without_raw


def defaults_file(name):
    """``defaults/main.yml``: every input, below the titles of their sections."""
    lines = ["---", NOTE.format(name) + "# What each of them means is in meta/argument_specs.yml and in README.md."]
    for section, options in variables(name).items():
        lines.append("\n# {0}".format(section))
        lines += [to_yaml({variable: option["default"]}).rstrip() for variable, option in options.items()]
    return "\n".join(lines) + "\n"


def specs_file(name):
    """``meta/argument_specs.yml``."""
    about, options = read(name), {}
    for found in variables(name).values():
        for variable, option in found.items():
            spec = {key: option[key] for key in ORDER if key in option}
            spec.update((key, value) for key, value in option.items() if key not in spec)
            if not _is_literal(option["default"]):
                del spec["default"]
            options[variable] = spec
    main = {"short_description": about["short_description"], "description": about["description"]}
    main.update(author=[AUTHOR + " (@vigil-monitoring)"], options=options)
    return "---\n" + NOTE.format(name) + to_yaml({"argument_specs": {"main": main}})


def galaxy_file(name):
    """``meta/main.yml``."""
    about = read(name)
    description = "Deploys {0} as a hardened service or container and verifies that it works as specified"
    info = {
        "author": AUTHOR,
        "description": description.format(about["title"]),
        "license": "GPL-3.0-or-later",
        "min_ansible_version": "2.17",
        "platforms": [
            {"name": "Debian", "versions": ["bookworm", "trixie"]},
            {"name": "Ubuntu", "versions": ["all"]},
            {"name": "EL", "versions": ["all"]},
        ],
        "galaxy_tags": ["monitoring", *(about.get("galaxy_tags") or ["prometheus"])],
    }
    return "---\n" + NOTE.format(name) + to_yaml({"galaxy_info": info, "dependencies": []})


def tags(name):
    """The tags of a role's tasks."""
    return [name, *(read(name).get("tags") or ["{0}_{1}".format(name, phase) for phase in PHASES])]


def tasks_file(name):
    """``tasks/main.yml``."""
    about, tasks = read(name), []
    if about.get("before"):
        before = dict(about["before"])
        (include,) = [key for key in before if key.endswith("include_tasks")]
        before[include] = {"file": before[include], "apply": {"tags": tags(name)}}
        tasks.append({"name": before.pop("name"), "tags": tags(name), **before})
    tasks.append(
        {
            "name": "Install, configure and verify {0}, or remove it".format(about["title"]),
            "tags": tags(name),
            "ansible.builtin.import_role": {"name": "vigil.monitoring.deployment", "rolespec_validate": False},
            "vars": {"deployment_service": name},
        }
    )
    if about.get("proxy"):
        tasks.append(
            {
                "name": "Serve {0} by TLS where monitoring_tls closes it".format(about["title"]),
                "tags": tags(name),
                "when": "__deployment.proxied | default(false)",
                "ansible.builtin.include_role": {
                    "name": "vigil.monitoring." + about["proxy"],
                    "apply": {"tags": tags(name)},
                    "rolespec_validate": False,
                },
            }
        )
    return "---\n" + NOTE.format(name) + "\n".join(to_yaml([task]) for task in tasks)


def handlers_file(name, reloads):
    """``handlers/main.yml``, for tasks of a play's own, under the names that the peers' handlers have.

    :param reloads: whether the service reads its configuration again when it is told to.
    """
    aliases, handlers = read(name).get("listen") or {}, []
    for verb, state in (("Restart", "restarted"), *((("Reload", "reloaded"),) if reloads else ())):
        title = "{0} {1}".format(verb, name)
        handlers.append(
            {
                "name": title,
                "listen": [*aliases.get(title, ()), title[0].lower() + title[1:]],
                "vigil.monitoring.service_step": {"service": name, "step": state},
            }
        )
    return "---\n" + NOTE.format(name) + "\n".join(to_yaml([handler]) for handler in handlers)


SITE = """---
# Written by `make docs` from plugins/plugin_utils/services and tools/roles.py; do not edit.
# Exporters first, then Alertmanager, Prometheus and Grafana, so that the verification at the end finds everything deployed.
# Tags are the services' names, and verify; a missing group is treated as a group without hosts.
- name: Gather facts if the inventory needs them
  ansible.builtin.import_playbook: facts.yml

- name: Validate the inputs of all services before anything is changed
  hosts: "{{ groups | vigil.monitoring.service_groups | join(':') | default('all:!all', true) }}"
  gather_facts: false
  strategy: ansible.builtin.linear
  tags: always
  tasks:
    - name: Refuse inputs that cannot work
      vigil.monitoring.validate_inputs:
      run_once: true

    - name: Have new certificates issued
      vigil.monitoring.certificate_authority:
        renew: true
      when: monitoring_tls_renew | default(false) | bool

<plays>
- name: Verify monitoring
  ansible.builtin.import_playbook: verify.yml

# Last: a backup that has failed keeps nothing from being verified.
- name: Back up what was deployed
  hosts: "{{ 'backup' if 'backup' in groups else 'all:!all' }}"
  gather_facts: false
  tags: backup
  tasks:
    - name: Configure the backup and verify its last run
      ansible.builtin.import_role:
        name: vigil.monitoring.backup
        rolespec_validate: false
"""
PLAY = """- name: Deploy <title>
  hosts: "{{ '<service>' if '<service>' in groups else 'all:!all' }}"
  gather_facts: false
  tags: <service>
  tasks:
    # The play above, and the role itself, validate its inputs: Ansible need not do so once more.
    - name: Deploy <title>
      ansible.builtin.import_role:
        name: vigil.monitoring.<service>
        rolespec_validate: false
"""


def site_file(order):
    """``playbooks/site.yml``: a play for each service.

    :param order: names of the services in the order of their deployment.
    """
    about = {name: read(name) for name in order}
    # One that is deployed by the role of the service behind it has no play.
    places = ({"<service>": name, "<title>": of["title"]} for name, of in about.items() if not of.get("behind"))
    return SITE.replace("<plays>", "\n".join(_filled(PLAY, of_one) for of_one in places))


def lab_file(rooms):
    """``tests/lab/services.json``: what the lab, which reads no YAML, makes releases and images of.

    :param rooms: name to the room of each service.
    """
    found = {}
    for name, room in rooms.items():
        about = read(name)
        if not about.get("upstream"):
            continue
        program = (room.binaries or (name,))[0]
        found[name] = {
            "package": about["defaults"]["packages"][0],
            "members": about["defaults"]["package_binaries"],
            "program": program.rpartition("/")[2],
            "bare": bool((about.get("layout") or {}).get("bare")),
            **{key: layout_of(about)[key] for key in ("archive", "checksums")},
            "image": about["image"],
            "tag": about["image_tag"],
            "image_program": room.image_program or "/bin/" + program,
            "lab": about.get("lab") or {},
            "port": room.port or room.scrape.get("port"),
        }
    return json.dumps(found, indent=1) + "\n"


def files(order, reloading):
    """Path below the repository to content of everything that is written.

    :param order: names of the services in the order of their deployment.
    :param reloading: names of the services that read their configuration again when they are told to.
    """
    content = {"playbooks/site.yml": site_file(order)}
    for name in names():
        role = "roles/{0}/".format(name)
        content[role + "defaults/main.yml"] = defaults_file(name)
        content[role + "meta/argument_specs.yml"] = specs_file(name)
        content[role + "meta/main.yml"] = galaxy_file(name)
        content[role + "tasks/main.yml"] = tasks_file(name)
        content[role + "handlers/main.yml"] = handlers_file(name, name in reloading)
    return content
