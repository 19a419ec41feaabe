# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of ``vigil.monitoring.release``.

One command finds a release of an archive that is there already, or that nothing of it is there. Else the module says what is
``wanted``: to obtain the archive and copy it to the host, or to have packages installed. Then the module is asked again.
"""

from __future__ import annotations

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.vigil.monitoring.plugins.module_utils._release import (
    ARCHITECTURES,
    ReleaseError,
    archive_answer,
    check_names,
    is_remote,
    local_path,
    shown,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._version import plain_version
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_release import Release
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import answer
from ansible_collections.vigil.monitoring.plugins.plugin_utils._transfer import (
    CannotCopy,
    adopt_directory,
    copy,
    directory_command,
)

display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False  # no temporary directory on a host that needs nothing

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        options = dict(self._task.args)
        try:
            answer = self._answer(options, task_vars)
        except ReleaseError as error:
            answer = {"failed": True, "msg": str(error)}
        answer["invocation"] = {"module_args": _without_secrets(options)}
        return answer

    def _answer(self, options, task_vars):
        # A host that downloads nothing itself is not told the secrets of the mirror.
        hidden = () if options.get("fetch") == "host" else ("headers",)
        told = {name: value for name, value in options.items() if name not in hidden}
        there, wanted = self._compare(options)
        if there:
            return there
        if options.get("method") == "archive" and options.get("state") != "absent":
            told["known_checksums"] = options["known_checksums"] = self._known(options)
        if wanted and options.get("fetch") != "host":
            return self._with_archive(options, told, wanted, task_vars)
        answer = self._run_release(told, task_vars)
        wanted = answer.pop("wanted", None)
        if not wanted:
            return answer
        if options.get("method") == "package":
            return self._with_packages(told, answer, wanted, task_vars)
        return self._with_archive(options, told, wanted, task_vars)

    def _compare(self, options):
        """The answer for a release that is there already, else None; and what the module would want, where that is clear.

        What is to be complained about is left to the module.
        """
        needed = [options.get(name) for name in ("program", "version", "url", "binaries", "releases_dir", "link_dir")]
        if options.get("method") != "archive" or options.get("state") == "absent" or not all(needed):
            return None, None
        program, version, dummy, members, releases_dir, link_dir = needed
        role = options.get("role") or program
        try:
            check_names(program, version, role)
        except ReleaseError:
            return None, None
        release = Release(program, plain_version(version), releases_dir, members)
        by_controller = options.get("fetch") != "host" and not self._task.check_mode
        output = answer(self, release.command(directory_command(self) if by_controller else None))
        arch = output and release.arch(output, options.get("checksum"), role)
        if not arch:
            adopt_directory(self, release.printed_otherwise(output or ""))
            missing = output and release.arch_to_fetch(output)
            return None, {"arch": missing} if missing else None
        message = f"{program} {release.version} is in {release.path}"
        return archive_answer(release.version, arch, release.path, members, link_dir, message), None

    def _run_release(self, options, task_vars):
        return self._run_module("vigil.monitoring.release", options, task_vars)

    def _run_module(self, name, options, task_vars):
        return self._execute_module(module_name=name, module_args=dict(options), task_vars=task_vars)

    def _with_archive(self, options, told, wanted, task_vars):
        # The architecture is all that is taken from the host's answer: it must not choose where secrets are sent.
        if wanted.get("arch") not in ARCHITECTURES.values():
            raise ReleaseError(f"the host names an architecture that is unknown here: {wanted.get('arch')!r}")
        # Imported here, as below: a converged run does without.
        from ansible_collections.vigil.monitoring.plugins.module_utils._download import Source  # noqa: PLC0415
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._cache import Cache  # noqa: PLC0415
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._files import locate, places  # noqa: PLC0415

        source = Source.from_options(options, wanted["arch"])
        bases = places(task_vars, self._loader.get_basedir())
        if not is_remote(source.url):
            source = source.below(lambda path: locate(path, bases)[0])
        cache = Cache(options.get("cache_dir"), bases)
        if self._task.check_mode:
            found = {"size": source.inspect(), "unpacked": self._unpacked(source, cache)}
            return self._run_release(dict(told, found=found), task_vars)
        digest = source.expected_digest()
        if source.doubt():
            display.warning(source.doubt())
        if is_remote(source.url):
            path = cache.obtain(digest, lambda stream: source.download(stream, digest))
        else:
            path = source.verify_local(digest)
        display.vv(f"{shown(source.url)} is in {path} on the controller")
        copied = self._copy(path)
        discard = copied != path and not constants.DEFAULT_KEEP_REMOTE_FILES
        answer = self._run_release(dict(told, archive=copied, discard=discard, checksum=digest), task_vars)
        if answer.pop("discarded", False):
            self._connection._shell.tmpdir = None  # nothing is left for Ansible to remove
        return answer

    @staticmethod
    def _known(options):
        """The checksums of upstream's own builds by architecture, empty where none are known."""
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._upstream_sums import sums_of  # noqa: PLC0415

        return sums_of(options["program"], plain_version(options.get("version") or ""))

    @staticmethod
    def _unpacked(source, cache):
        """Bytes that an archive which the controller has already needs when it is unpacked; None for any other."""
        from ansible_collections.vigil.monitoring.plugins.module_utils._unpack import unpacked_size  # noqa: PLC0415

        path = cache.held(source.expected_digest()) if is_remote(source.url) else local_path(source.url)
        return unpacked_size(path) or None if path else None

    def _copy(self, path):
        try:
            return copy(self, path, "archive.tar.gz")
        except CannotCopy as error:
            raise ReleaseError(
                f"{error}. With monitoring_release_fetch=host, the host downloads to the place where it is unpacked."
            ) from error

    def _with_packages(self, told, first, wanted, task_vars):
        from ansible_collections.vigil.monitoring.plugins.plugin_utils._packages import install  # noqa: PLC0415

        packages, masked = told["packages"], first["masked"]
        done = install(self, packages, wanted["manager"] == "apt", task_vars, alone=True)
        if done.get("failed"):
            for unit in masked:
                self._run_module("ansible.builtin.systemd_service", {"name": unit, "masked": False}, task_vars)
            role = told.get("role") or told["program"]
            reason = done.get("msg", "no reason given")
            raise ReleaseError(
                f"{', '.join(packages)} cannot be installed ({role}_install_method is package): {reason}"
            )
        answer = self._run_release(told, task_vars)
        if "wanted" in answer:
            raise ReleaseError(
                f"{', '.join(packages)} is installed, but does not bring {', '.join(told['package_binaries'].values())}"
            )
        if not answer.get("failed"):
            answer.update(changed=True, fetched=True, installed_now=True, masked=masked)
            answer["msg"] = f"installed {', '.join(packages)}, version {answer['version']}" + (
                f"; masked {', '.join(masked)} first, so that nothing of it could start" if masked else ""
            )
        return answer


def _without_secrets(options):
    """The options as ``-vvv`` may show them."""
    visible = dict(options)
    if visible.get("headers"):
        visible["headers"] = dict.fromkeys(visible["headers"], "********")
    for name in ("url", "checksums_url"):
        if visible.get(name):
            visible[name] = shown(visible[name])
    return visible
