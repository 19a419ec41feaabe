# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of image: an image that a container of the service runs already is found by one command. Else the
module says what is wanted, and community.docker loads or pulls it.
"""

from __future__ import annotations

import json
import os
import tarfile
import zlib

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.vigil.monitoring.plugins.module_utils._docker import (
    DEFAULT_HOST,
    archive_problem,
    image_answer,
    parse_reference,
    room_problem,
)
from ansible_collections.vigil.monitoring.plugins.plugin_utils._community import must_be_there, run_module
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_containers import Image
from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import locate, places
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils._packages import install
from ansible_collections.vigil.monitoring.plugins.plugin_utils._transfer import (
    CannotCopy,
    copy,
    temporary_directory,
)

# From Debian 13 on, the command line is a package of its own that docker.io recommends.
PACKAGES = {"apt": {"engine": ["docker.io"], "requests": ["python3-requests"]}}
LARGEST_INDEX = 1 << 20  # bytes
OTHERS = {"engine": ["docker"], "requests": ["python3-requests"]}


def image_index(path):
    """What an archive of images says about them, or None where it does not.

    :raises ValueError: when it is no archive.
    """
    try:
        with tarfile.open(path) as tar:
            member = next((member for member in tar if member.name == "manifest.json"), None)
            if member is None or not member.isreg() or member.size > LARGEST_INDEX:
                return None
            found = json.loads(tar.extractfile(member).read())
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ValueError("is damaged or is no archive of images: {0}".format(error)) from error
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(entry, dict) for entry in found) else None


class ActionModule(ActionBase):
    """Action plugin of the image module."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    # What an archive was found to hold, and the directory on the host in which the engine keeps its images.
    _loaded = ()
    _root = ""

    def run(self, tmp=None, task_vars=None):
        """Compare; obtain what is missing; compare again."""
        super().run(tmp, task_vars)
        options = {name: value for name, value in self._task.args.items() if value not in (None, "")}
        try:
            reference = parse_reference(options["image"])
        except ValueError as error:
            raise AnsibleActionFail("{0}_image: {1}".format(self._role(options), error)) from error
        there = self._compare(options)
        if there:
            return there
        must_be_there(self._shared_loader_obj, "docker_image_pull")
        bases = places(task_vars, self._loader.get_basedir())
        options.update(self._size(options, bases))
        result, changed = self._run_module(options, task_vars), False
        for step in (self._provide_engine, self._provide_image):
            wanted = result.get("wanted")
            if not wanted or result.get("failed"):
                continue
            self._root = result.get("root") or ""
            if self._task.check_mode:
                return self._check(wanted, options, task_vars)
            if step(wanted, options, reference, task_vars):
                result, changed = self._run_module(options, task_vars), True
        if result.get("wanted") and not result.get("failed"):
            raise AnsibleActionFail(self._still_missing(options, result["wanted"]))
        result["changed"] = changed
        return result

    @staticmethod
    def _role(options):
        return options.get("role") or options["program"]

    def _compare(self, options):
        """The answer for an image that the service's container runs already, else None."""
        image = Image(options["name"], options["image"], options.get("docker_host") or DEFAULT_HOST)
        output = answer(self, image.command())
        known = output and image.known(output)
        return {"changed": False, **self._answer(known, options)} if known else None

    @staticmethod
    def _answer(image, options):
        given = (options["image"], options["program"], options.get("tools") or (), options["version"])
        return image_answer(image, *given, path=options.get("path"))

    def _run_module(self, options, task_vars):
        # A host that is only asked is not told the secret.
        told = {name: value for name, value in options.items() if name != "password"}
        return self._execute_module(module_name="vigil.monitoring.image", module_args=told, task_vars=task_vars)

    def _check(self, wanted, options, task_vars):
        """The answer of a check for an image that would have to be obtained."""
        if "image" in wanted and options.get("archive"):
            self._open(options, task_vars)
        elif "image" in wanted and "engine" not in wanted:
            asked = {**options, "inquire": True}
            found = self._execute_module(module_name="vigil.monitoring.image", module_args=asked, task_vars=task_vars)
            if found.get("failed"):
                return found
        answer = {"changed": True, **self._answer(None, options)}
        if "engine" in wanted:
            why = "check mode cannot tell whether {0} can be had, as the Docker engine is yet to be installed"
            answer["warnings"] = ["{0}: {1}".format(self._role(options), why.format(options["image"]))]
        return answer

    @staticmethod
    def _size(options, bases):
        """The option that tells the size of the archive; one that is not there may not be needed."""
        try:
            return {"size": os.path.getsize(locate(options["archive"], bases)[0])}
        except (KeyError, OSError):
            return {}

    def _open(self, options, task_vars):
        """Path of the archive on the controller, which holds the image as far as it says."""
        bases = places(task_vars, self._loader.get_basedir())
        path, dummy = locate(options["archive"], bases)
        if not os.path.isfile(path):
            raise AnsibleActionFail(
                "{0}_image_archive: {1} is not on the controller; looked in {2}".format(
                    self._role(options), options["archive"], ", ".join(bases)
                )
            )
        try:
            problem = archive_problem(options["image"], image_index(path))
        except ValueError as error:
            problem = str(error)
        if problem:
            raise AnsibleActionFail(
                "{0} {1}: make {2}_image and {2}_image_archive agree".format(path, problem, self._role(options))
            )
        return path

    def _provide_engine(self, wanted, options, dummy_reference, task_vars):
        """Install the engine, or what community.docker needs besides; whether that was wanted."""
        missing = [what for what in wanted if what != "image"]
        if not missing:
            return False
        with_apt = self._low_level_execute_command("command -v apt-get")["rc"] == 0
        names = PACKAGES["apt"] if with_apt else OTHERS
        packages = [package for what in missing for package in names[what]]
        done = install(self, packages, with_apt, task_vars, alone=False)
        if done.get("failed"):
            raise AnsibleActionFail(
                "{0} cannot be installed (docker_engine is install): {1}".format(
                    ", ".join(packages), done.get("msg", "no reason given")
                )
            )
        if "engine" in missing:
            service = {"name": "docker", "state": "started", "enabled": True}
            self._execute_module(
                module_name="ansible.builtin.systemd_service", module_args=service, task_vars=task_vars
            )
        return True

    def _provide_image(self, dummy_wanted, options, reference, task_vars):
        """Load the image from an archive or pull it."""
        if options.get("archive"):
            self._load(options, task_vars)
            return True
        failure = "the image {0} cannot be pulled, nothing was changed".format(options["image"])
        task = self._task
        try:
            if options.get("username"):
                # The login goes with the task's temporary directory: the host's own logins stay as they are.
                folder = temporary_directory(self)
                login = {
                    "username": options["username"],
                    "password": options.get("password") or "",
                    "config_path": self._connection._shell.join_path(folder, "config.json"),
                    **({"registry_url": reference.registry} if reference.registry else {}),
                }
                run_module(self, "docker_login", options, login, task_vars, failure)
                self._task = task.copy()
                self._task.environment = [*(task.environment or []), {"DOCKER_CONFIG": folder}]
            pull = {"name": options["image"], "pull": "not_present"}
            self._obtain("docker_image_pull", options, pull, task_vars, failure, "_image")
        finally:
            self._task = task
        return True

    def _load(self, options, task_vars):
        """Load an archive of the controller."""
        variable = self._role(options) + "_image_archive"
        path = self._open(options, task_vars)
        try:
            there = copy(self, path, "image.tar")
        except CannotCopy as error:
            raise AnsibleActionFail("{0}: {1}".format(variable, error)) from error
        failure = "{0} cannot be loaded, nothing was changed".format(path)
        archive = {"path": there}
        loaded = self._obtain("docker_image_load", options, archive, task_vars, failure, "_image_archive")
        self._loaded = loaded.get("image_names") or []

    def _obtain(self, module, options, arguments, task_vars, failure, variable):
        """The answer of a module of community.docker that brings the image; a full disk is named with the way out.

        :param variable: end of the name of the variable that specifies the image.
        """
        try:
            return run_module(self, module, options, arguments, task_vars, failure)
        except AnsibleActionFail as error:
            full = room_problem(str(error), self._root, self._role(options) + variable)
            if full:
                raise AnsibleActionFail("{0}: {1}".format(full, error)) from error
            raise

    def _still_missing(self, options, wanted):
        """Why what was obtained is not what is needed."""
        if "image" in wanted:
            return "{0} holds {1}, and not {2}: make {3}_image and {3}_image_archive agree".format(
                options.get("archive") or "its registry",
                ", ".join(self._loaded) or "no image",
                options["image"],
                self._role(options),
            )
        return "{0} was installed, and cannot be used yet: see `journalctl -u docker` on the host".format(
            " and ".join(wanted)
        )
