# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker engine says and what it is told, as values in and values out. Nothing here talks to an engine.

The answers are those of the Engine API, https://docs.docker.com/reference/api/engine/.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from typing import NamedTuple, Optional

from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize

DEFAULT_HOST = "unix:///var/run/docker.sock"
# Engine 20.10, the oldest whose API has everything that is used.
OLDEST_API = (1, 41)
OLDEST_ENGINE = "20.10"

LABEL_SERVICE = "monitoring.vigil.service"
LABEL_DEFINITION = "monitoring.vigil.definition"
LABEL_IMAGE = "monitoring.vigil.image"

# How a container comes up with its engine unless its options say otherwise.
DEFAULT_POLICY = "unless-stopped"

# A restart that is no longer ago than this many seconds says that it may happen again at any moment.
RECENTLY = 60

# What containers may share with the host, option -> what it is; an engine that remaps accounts gives none of these.
SHARED = {"network_mode": "network", "pid_mode": "process ids"}

NO_REQUESTS = (
    "Python's requests, with which community.docker makes containers, is not there for {0} on this host: install the"
    " package python3-requests, or let it be installed with docker_engine: install"
)

# What `docker update` can change of a container that is there; everything else stays as it was made.
UPDATABLE = (
    "BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus CpusetMems Memory"
    " MemoryReservation MemorySwap NanoCpus PidsLimit"
).split()

# Directories whose place in a container belongs to the image.
OF_THE_IMAGE = ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr")
OF_THE_IMAGE += ("/home", "/opt", "/root", "/tmp", "/usr/bin", "/usr/lib", "/usr/local", "/var", "/var/lib", "/var/run")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Reference(NamedTuple):
    """The name of an image: ``registry.example:5000/prometheus/prometheus:v3.5.3@sha256:…``.

    :ivar registry: host with its port; empty for Docker's own.
    :ivar repository: path below it.
    :ivar tag: None where there is none.
    :ivar digest: ``sha256:…``, or None.
    """

    registry: str
    repository: str
    tag: Optional[str]
    digest: Optional[str]


def parse_reference(text):
    """The parts of an image's name.

    :raises ValueError: when it is none.
    """
    name, dummy, digest = str(text).partition("@")
    if digest and not _DIGEST.fullmatch(digest):
        raise ValueError("{0!r} has a digest that is not sha256: and 64 hexadecimal digits".format(str(text)))
    match = re.fullmatch(r"(?P<path>[a-zA-Z0-9][^\s:]*(?::\d+/[^\s:]+)?)(?::(?P<tag>\w[\w.-]{0,127}))?", name)
    if not match:
        raise ValueError("{0!r} is not the name of an image".format(str(text)))
    first, slash, rest = match.group("path").partition("/")
    # As Docker has it: the first part is a host where it has a dot or a port, or is localhost.
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    registry, repository = (first, rest) if is_host else ("", match.group("path"))
    if not re.fullmatch(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", repository):
        raise ValueError("{0!r} is not the name of an image".format(str(text)))
    return Reference(registry, repository, match.group("tag"), digest or None)


def socket_path(host):
    """Path of the socket in the address of an engine, ``unix:///PATH``.

    :raises ValueError: when it is another kind of address.
    """
    path = host[len("unix://") :] if str(host).startswith("unix://") else ""
    if not path.startswith("/"):
        raise ValueError("{0!r} is not the address of an engine on the host itself, unix:///PATH".format(host))
    return path


def is_podman(version):
    """Whether it is Podman that answers like a Docker engine.

    :param version: answer to ``/version``.
    """
    return any("podman" in str(one.get("Name", "")).lower() for one in version.get("Components") or ())


def version_problem(version):
    """That an engine is too old, or is none of Docker's, or None.

    :param version: answer to ``/version``.
    """
    if is_podman(version):
        return (
            "it is Podman {0} that answers like a Docker engine, and it is not supported as a runtime: install Docker and"
            " name its socket with monitoring_docker_host, or run the service with systemd (monitoring_runtime:"
            " systemd)".format(version.get("Version", ""))
        )
    numbers = tuple(int(part) for part in re.findall(r"\d+", str(version.get("ApiVersion", "0")))[:2])
    if numbers >= OLDEST_API:
        return None
    return "the Docker engine on this host is {0} (API {1}), too old: {2} is the oldest that can be used".format(
        version.get("Version", "of an unknown version"), version.get("ApiVersion", "unknown"), OLDEST_ENGINE
    )


def remapping_problem(info, container, role):
    """That an engine which remaps accounts (userns-remap) would refuse a container: a sentence, or None.

    :param info: answer to ``/info``.
    :param container: options of docker_container.
    :param role: prefix of the variables that are the way out.
    """
    if not any("name=userns" in str(one).split(",") for one in info.get("SecurityOptions") or ()):
        return None
    shared = [what for option, what in sorted(SHARED.items()) if container.get(option) == "host"]
    if container.get("userns_mode") == "host" or not (shared or container.get("privileged")):
        return None
    what = "the host's " + " and ".join(shared) if shared else "every privilege"
    out = "have this one left out of the remapping with {0}_container_extra: {{userns_mode: host}}".format(role)
    if shared == ["network"] and not container.get("privileged"):
        out += (
            ", or give it a network of its own with monitoring_container_network (its data have to belong to the remapped"
            " account then)"
        )
    return "the Docker engine remaps the accounts of containers (userns-remap), so it gives none {0}; {1}".format(
        what, out
    )


def room_problem(message, root, variable):
    """What to do about an engine that has no room left for an image: a sentence, or None for another failure.

    :param message: what the engine or community.docker says.
    :param root: the directory in which the engine keeps its images, empty where that is not known.
    :param variable: name of the variable that specifies the image.
    """
    if not re.search(r"no space left on device|disk quota exceeded", message, re.IGNORECASE):
        return None
    return "not enough free space in {0} for what {1} specifies; free disk space there, such as with `docker image prune`".format(
        root or "the directory of the Docker engine", variable
    )


def image_problem(reference, image):
    """That an image is not the one that its pinned digest names, or None.

    :param reference: specified name.
    :param image: what the engine knows about the image.
    """
    pinned = parse_reference(reference).digest
    found = [image["Id"], *(name.partition("@")[2] for name in image.get("RepoDigests") or ())]
    if pinned is None or pinned in found:
        return None
    return "the image {0} that is on the host has other digests: {1}".format(reference, ", ".join(found))


def platform_problem(reference, manifest, arch):
    """That an image in a registry is for other machines than this one: a sentence, or None.

    :param manifest: answer to ``/distribution/NAME/json``.
    :param arch: of the engine, as it calls it.
    """
    found = [platform.get("architecture") for platform in manifest.get("Platforms") or ()]
    found = sorted({name for name in found if name and name != "unknown"})
    if not found or arch in found:
        return None
    return "the image {0} is for {1}, and not for {2}".format(reference, ", ".join(found), arch)


def full_name(reference):
    """The name of an image as registries know it, without its digest, to compare it: Docker leaves the usual parts out.

    :raises ValueError: when it is none.
    """
    parts = parse_reference(reference)
    usual = parts.registry in ("", "docker.io", "index.docker.io")
    below = "library/" if usual and "/" not in parts.repository else ""
    return "{0}/{1}{2}:{3}".format(
        "docker.io" if usual else parts.registry, below, parts.repository, parts.tag or "latest"
    )


def archive_problem(reference, index):
    """That an archive of images does not hold the specified one: a sentence, or None where it may.

    :param index: what its ``manifest.json`` says; None where it has none.
    """
    names = [name for entry in index or () for name in entry.get("RepoTags") or ()]
    if parse_reference(reference).digest or not index or not all(isinstance(name, str) for name in names):
        return None
    if full_name(reference) in [full_name(name) for name in names]:
        return None
    return "holds {0}, and not {1}".format(", ".join(names) or "no image with a name", reference)


def digest_of(image, repository=None):
    """The digest that a registry knows an image by; its id for one that came from none.

    :param repository: name without tag, to choose among several.
    """
    names = sorted(image.get("RepoDigests") or (), key=lambda name: name.partition("@")[0] != repository)
    return names[0].partition("@")[2] if names else image["Id"]


def image_answer(image, reference, program, tools, version, path=None):
    """What the module image returns, in the shape of the module release.

    :param image: what the engine knows about the image, or None where it is not there yet.
    :param reference: specified name.
    :param program: name of the program that containers of it run.
    :param tools: names of further programs beside it.
    :param version: specified version.
    :param path: where the program is, for images whose entry point is another one.
    """
    entry = ((image or {}).get("Config") or {}).get("Entrypoint") or ["/bin/" + program]
    path = path or entry[0]
    folder = posixpath.dirname(path)
    repository = reference.partition("@")[0].rpartition(":")[0]
    return {
        "version": version,
        "image": image["Id"] if image else None,
        "digest": digest_of(image, repository) if image else None,
        "links": {},
        "commands": {program: path},
        "binaries": {program: path, **{tool: posixpath.join(folder, tool) for tool in tools}},
    }


def fingerprint(definition, image):
    """Sixteen hexadecimal digits that stand for everything a container is made of.

    :param definition: options of docker_container.
    :param image: id of the image.
    """
    text = json.dumps([definition, image], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def names_of(service):
    """The names of a service's containers: its own, that of the next one, and that of the one before."""
    return service, service + "-vigil-next", service + "-vigil-previous"


def policy_of(made):
    """How a container has to come up with the engine.

    :param made: the manifest's entry about it.
    """
    return made["definition"].get("restart_policy") or DEFAULT_POLICY


def label(container, name):
    """A container's label, or None."""
    return ((container.get("Config") or {}).get("Labels") or {}).get(name)


def limits(container):
    """What ``docker update`` could change about a container, and the networks that it is on."""
    host = container["HostConfig"]
    found = {name: host[name] for name in UPDATABLE if host.get(name)}
    found["networks"] = sorted((container.get("NetworkSettings") or {}).get("Networks") or {})
    return found


def different_options(before, after):
    """Names of the options in which two definitions differ, sorted."""
    return sorted(name for name in set(before) | set(after) if before.get(name) != after.get(name))


def is_restarted(before, now):
    """Whether the engine has started a container anew since ``before``."""
    return before is not None and now is not None and now["RestartCount"] > before["RestartCount"]


def trouble(before, now, deaths=()):
    """Why a container does not run as it has to, or None.

    :param before: what the engine said when the watch began, or None when it is yet to begin.
    :param now: what it says; None when there is no container.
    :param deaths: how it ended since then, as :meth:`_engine.Engine.deaths` tells.
    """
    if now is None:
        return "its container is gone"
    state = now["State"]
    last = deaths[-1] if deaths else {"status": state.get("ExitCode"), "killed": False}
    status = "status {0}".format(last["status"])
    if state.get("OOMKilled") or last["killed"]:
        return "it was killed: out of memory ({0})".format(status)
    if state.get("Restarting") or is_restarted(before, now):
        return "it keeps restarting ({0})".format(status)
    if not state.get("Running"):
        # A container that has just been made says nothing yet.
        words = ", ".join(filter(None, [status, state.get("Error")]))
        return "it stopped ({0})".format(words)
    if before is not None and before["State"]["StartedAt"] != state["StartedAt"]:
        return "it restarted during verification ({0})".format(status)
    return None


def health_problems(container, images, reference, age):
    """What speaks against a container that should serve, beside what the service itself says.

    :param container: what the engine says about it; None where there is none.
    :param images: what the engine knows about the images of containers, by their ids.
    :param reference: name of the image that was specified.
    :param age: seconds since its last start, or None where that is not known.
    :returns: list of ``(whether it is beyond doubt, sentence)``.
    """
    if container is None or not label(container, LABEL_SERVICE):
        text = "it is not run by a container that the collection made"
        if container is None:
            text += "; to one that was renamed by hand, the next run of the role gives its name again"
        return [(True, text)]
    found = [(True, reason) for reason in [trouble(None, container)] if reason]
    if not found and container["RestartCount"] and age is not None and age < RECENTLY:
        text = "the engine has restarted it {0} times, the last time {1:.0f} s ago"
        found.append((True, text.format(container["RestartCount"], age)))
    made_of = label(container, LABEL_IMAGE)
    if made_of != reference:
        found.append((True, "it runs the image {0}, expected is {1}".format(made_of, reference)))
    elif container["Image"] in images:
        wrong = image_problem(reference, images[container["Image"]])
        found += [(True, wrong)] if wrong else []
    health = container["State"].get("Health") or {}
    if health.get("Status") == "unhealthy":
        said = ([""] + [one.get("Output", "").strip() for one in health.get("Log") or ()])[-1]
        found.append(
            (False, "its own health check fails: {0}".format(sanitize(redact_text(said)[-200:]) or "no output"))
        )
    return found


def log_text(stream):
    """The text in a stream of log frames: each begins with eight bytes, the last four of which are its length.

    :param stream: bytes; text without frames, as of a container with a terminal, is returned as it is.
    """
    parts, position = [], 0
    while position + 8 <= len(stream):
        if stream[position] > 2 or stream[position + 1 : position + 4] != b"\0\0\0":
            parts.append(stream[position:])
            break
        length = int.from_bytes(stream[position + 4 : position + 8], "big")
        parts.append(stream[position + 8 : position + 8 + length])
        position += 8 + length
    return b"".join(parts).decode("utf-8", "replace")


def published_by(containers, port):
    """The container that publishes a TCP port of the host, or None.

    :param containers: the engine's list of containers.
    """
    for container in containers:
        for found in container.get("Ports") or ():
            if found.get("PublicPort") == port and found.get("Type", "tcp") == "tcp":
                return container
    return None


def in_container(cgroup):
    """The id of the container that a process belongs to, or None.

    :param cgroup: text of ``/proc/PID/cgroup``.
    """
    match = re.search(r"docker[-/]([0-9a-f]{64})", cgroup)
    return match.group(1) if match else None


def in_podman(cgroup):
    """The id of the container of Podman that a process belongs to, or None.

    :param cgroup: text of ``/proc/PID/cgroup``.
    """
    match = re.search(r"libpod-([0-9a-f]{64})", cgroup)
    return match.group(1) if match else None


def version_in(output):
    """The version that a program prints on request, or None."""
    match = re.search(r"\bversion:? v?(\d+\.\d+\.\d+[0-9A-Za-z.+~-]*)", output)
    return match.group(1) if match else None


def mounts_of(paths, inside=()):
    """Read-only mounts that let a container see these files of the host where they are.

    A directory is mounted, never a single file: one that is replaced by a rename would not be seen.

    :param paths: absolute paths of files.
    :param inside: directories that are mounted anyway.
    :raises ValueError: for a file in a directory that cannot be laid over that of the image.
    """
    found = set()
    for path in paths:
        folder = posixpath.dirname(path)
        if any(folder == other or folder.startswith(other.rstrip("/") + "/") for other in inside):
            continue
        if folder in OF_THE_IMAGE:
            raise ValueError(
                "{0} lies in {1}, which a container has of its image; put it into a directory of its own".format(
                    path, folder
                )
            )
        found.add("{0}:{0}:ro".format(folder))
    return sorted(found)


def clamp_nofile(ulimits, ceiling):
    """Limits of open files that the host can grant.

    :param ulimits: list of ``NAME:SOFT:HARD`` or ``NAME:BOTH``.
    :param ceiling: the highest number, or None for no ceiling.
    """

    def clamped(entry):
        name, *values = str(entry).split(":")
        if name != "nofile" or ceiling is None:
            return entry
        return ":".join([name, *(str(min(int(value), ceiling)) for value in values)])

    return [clamped(entry) for entry in ulimits]
