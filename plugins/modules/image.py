#!/usr/bin/python
# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Pull or load the container image of a service
description:
  - Ensures that the Docker engine of the host has the image, pulled from its registry or loaded from an archive.
  - An image that is present is neither pulled nor loaded again. If its name contains a digest, the digest has to match.
  - An engine that does not answer, is too old, or cannot be used because Python's requests is missing is reported before
    changes.
version_added: 0.2.0
requirements:
  - Docker 20.10 or newer and Python's requests on the host, and the collection community.docker on the controller.
author:
  - Contributors to vigil.monitoring (@vigil-monitoring)
attributes:
  check_mode:
    support: full
    description: >-
      Reports whether the image would be pulled or loaded, and what would make a run fail, such as a registry that does not
      answer or has no such image for this host's architecture. Pulls nothing.
  diff_mode:
    support: none
    description: An image has no diff.
  idempotent:
    support: full
    description: An image that is present is not requested from any registry.
options:
  name:
    description: Name of the service's container.
    type: str
    required: true
  program:
    description: Name of the program in the image.
    type: str
    required: true
  tools:
    description: Names of further programs in the same directory of the image.
    type: list
    elements: str
    default: []
  path:
    description: Path of the program in the image, if the image has another entry point.
    type: path
  image:
    description: Name of the image, with a tag, a digest, or both.
    type: str
    required: true
  version:
    description: Version of the program in the image.
    type: str
    required: true
  role:
    description: Prefix of the variables that messages name. Defaults to O(program).
    type: str
  archive:
    description: Archive on the controller, written by C(docker save), from which the image is loaded instead of pulled.
    type: path
  username:
    description: User name at the registry.
    type: str
  password:
    description: Password of that user. It is used for the pull only, and not stored on the host.
    type: str
  engine:
    description: Whether the engine has to be V(present), or is installed from the packages of the distribution.
    type: str
    choices: [present, install]
    default: present
  docker_host:
    description: Address of the Docker engine on the host.
    type: str
    default: unix:///var/run/docker.sock
  size:
    description: Size of O(archive) in bytes, which has to fit on the engine's disk. Set by the action plugin alone.
    type: int
    default: 0
  inquire:
    description: Whether to look up in the registry an image that is not present. Set by the action plugin alone, in check mode.
    type: bool
    default: false
seealso:
  - module: vigil.monitoring.service
  - module: community.docker.docker_image_pull
  - module: community.docker.docker_image_load
"""

EXAMPLES = r"""
- name: Pull the image of Prometheus
  vigil.monitoring.image:
    name: prometheus
    program: prometheus
    tools: [promtool]
    image: quay.io/prometheus/prometheus:v3.5.3
    version: 3.5.3
  register: release
"""

RETURN = r"""
image:
  description: ID of the image. Not set in check mode if it is not present yet.
  returned: success
  type: str
  sample: sha256:6b9f60b4c33e2f7d9e2e1f2ba1a2a3d2f7bd7b3c8e1d8a9a0b6a6b6f6a3a3a3a
digest:
  description: Digest in its registry, or its ID if it was loaded from an archive.
  returned: when the image is present
  type: str
  sample: sha256:0d0c2b1d6a2c7a5ab1f8e1a3b7d9f0c4e2b6a8d1c3f5e7a9b1c3d5e7f9a1b3c5
version:
  description: The requested version.
  returned: success
  type: str
  sample: 3.5.3
commands:
  description: Path of the program inside the image.
  returned: success
  type: dict
  sample: {"prometheus": "/bin/prometheus"}
binaries:
  description: Paths of all programs inside the image, by their names.
  returned: success
  type: dict
  sample: {"prometheus": "/bin/prometheus", "promtool": "/bin/promtool"}
links:
  description: Always empty, for compatibility with M(vigil.monitoring.release).
  returned: success
  type: dict
  sample: {}
"""

import importlib.util
import os
import sys

from ansible_collections.vigil.monitoring.plugins.module_utils._disk_space import is_short
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    DEFAULT_HOST,
    NO_REQUESTS,
    image_answer,
    image_problem,
    platform_problem,
    version_problem,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._engine import Engine, NoEngine, Refused
from ansible_collections.vigil.monitoring.plugins.module_utils._host import HostError
from ansible_collections.vigil.monitoring.plugins.module_utils._module import Module


def obtaining_problem(engine, params):
    """Why an image that is not there could not be obtained, as far as that can be known before: a sentence, or None."""
    role = params["role"] or params["program"]
    if params["archive"]:
        root = engine.root()
        if root and os.path.isdir(root) and is_short(root, params["size"]):
            return "there is not enough space in {0} for {1}_image_archive ({2} MiB); free some space and run again".format(
                root, role, params["size"] >> 20
            )
        return None
    if not params["inquire"]:
        return None
    try:
        manifest = engine.manifest(params["image"], params["username"], params["password"])
    except Refused as error:
        return "the image {0} cannot be pulled: {1}; check {2}_image and the registry".format(
            params["image"], error, role
        )
    problem = platform_problem(params["image"], manifest, engine.version().get("Arch"))
    return problem and "{0}; correct {1}_image".format(problem, role)


def main():
    """Entry point."""
    module = Module(
        argument_spec={
            "name": {"type": "str", "required": True},
            "program": {"type": "str", "required": True},
            "tools": {"type": "list", "elements": "str", "default": []},
            "path": {"type": "path"},
            "image": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "role": {"type": "str"},
            "archive": {"type": "path"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "engine": {"type": "str", "choices": ["present", "install"], "default": "present"},
            "docker_host": {"type": "str", "default": DEFAULT_HOST},
            "size": {"type": "int", "default": 0},
            "inquire": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if os.geteuid() != 0:
        module.fail_json(msg="root is needed to deploy a service; run the play with become: true")
    params = module.params
    missing, image, problem, root = [], None, None, ""
    try:
        engine = Engine(params["docker_host"])
        try:
            wrong = version_problem(engine.version())
            if wrong:
                # No package that could be installed would mend it.
                module.fail_json(msg=wrong)
        except NoEngine as error:
            missing.append("engine")
            problem = "{0}; start it, or set docker_engine: install to install it".format(error)
        if not importlib.util.find_spec("requests"):
            missing.append("requests")
            problem = problem or NO_REQUESTS.format(sys.executable)
        if problem and (params["engine"] != "install" or not missing):
            module.fail_json(msg=problem)
        if "engine" not in missing:
            image = engine.image(params["image"])
            problem = None if image else obtaining_problem(engine, params)
            root = "" if image else engine.root()
            if problem:
                module.fail_json(msg=problem)
    except HostError as error:
        module.fail_json(msg=str(error))
    if image is None or missing:
        module.exit_json(changed=True, wanted=missing + ([] if image else ["image"]), root=root)
    problem = image_problem(params["image"], image)
    if problem:
        module.fail_json(msg="{0}; correct {1}_image".format(problem, params["role"] or params["program"]))
    given = (params[name] for name in ("image", "program", "tools", "version", "path"))
    module.exit_json(changed=False, **image_answer(image, *given))


if __name__ == "__main__":
    main()
