# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's disk and its programs: what reads, writes and runs. Everything that decides is elsewhere."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import time
import uuid

from ansible_collections.vigil.monitoring.plugins.module_utils._clean import clean_lines
from ansible_collections.vigil.monitoring.plugins.module_utils._process import since_start, telling_lines
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import (
    EMPTY_MANIFEST,
    SCRATCH,
    Change,
    Owners,
    owner_commands,
    undo_script,
)

# How long to wait for the start hook of a unit to end, in seconds; what it does takes a fraction of one.
HOOK_SECONDS = 30
# How long it may take to pass on a directory with everything in it, in seconds; a million files take less than ten.
OWNER_SECONDS = 900
LOG_LINES = 15
LOG_COLUMNS = 500


class HostError(Exception):
    """Something about the host stops the run; the message names the path and the way out."""


class NotProven(Exception):
    """A service does not do what it has to; the message says why."""


def fsync_dir(path):
    """Make renames within a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path, data, mode, uid=None, gid=None):
    """Write a file so that readers see the old content or the new, never a part.

    :param data: bytes.
    :param mode: permission bits, set explicitly so that the umask does not matter.
    :param uid: numeric owner; None leaves that of the process.
    :param gid: numeric group; None leaves that of the process.
    :raises HostError: when the disk is full.
    """
    scratch = "{0}.{1}.tmp".format(path, uuid.uuid4().hex[:8])
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if uid is not None or gid is not None:
                os.fchown(stream.fileno(), -1 if uid is None else uid, -1 if gid is None else gid)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.rename(scratch, path)
    except BaseException as error:
        if os.path.lexists(scratch):
            os.unlink(scratch)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostError("no space left for {0}; free some on its file system and run again".format(path)) from error
        raise
    fsync_dir(os.path.dirname(path))


def digest(data):
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_bytes(path):
    """Content of a regular file, or None when there is none."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def read_text(path):
    """Text of a file, or an empty string when there is none or it vanishes while it is read (as in /proc)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def read_json(path, default):
    """Parsed content of one of our own files; ``default`` where it is missing or was cut short."""
    try:
        return json.loads(read_bytes(path) or b"")
    except ValueError:
        return default


def run(argv, timeout=120, **kwargs):
    """Run a command in the C locale; never through a shell.

    :returns: ``(exit status, standard output and error together)``; 127 when there is no such command,
        126 when it cannot be executed, 124 when it did not end in time.
    """
    environment = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(  # pylint: disable=subprocess-run-check
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            timeout=timeout,
            check=False,
            **kwargs,
        )
    except FileNotFoundError as error:
        return 127, str(error)
    except OSError as error:
        return 126, str(error)
    except subprocess.TimeoutExpired:
        return 124, "{0} did not end within {1} s".format(argv[0], timeout)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def last_words(unit, since, limit=LOG_LINES, run=run, before=None):
    """A unit's last log lines that tell something, indented and without secrets.

    :param unit: name of the unit.
    :param since: seconds since the epoch.
    :param limit: how many lines at the most.
    :param run: what runs a command.
    :param before: the invocation of the unit that was ended since, whose last lines tell nothing.
    """
    argv = ["journalctl", "--no-pager", "--output=json", "--output-fields=MESSAGE,_SYSTEMD_INVOCATION_ID,INVOCATION_ID"]
    argv += ["--unit", unit, "--since", "@{0:.0f}".format(since - 1)]
    return log_excerpt("\n".join(since_start(run(argv)[1], before)), limit)


def log_excerpt(text, limit=LOG_LINES):
    """The lines of a log that tell something, indented and without secrets.

    :param limit: how many lines at the most.
    """
    lines = telling_lines(redact_text(text).splitlines(), limit)
    return "\n".join("  " + clean_lines(line, LOG_COLUMNS) for line in lines) or "  (no log lines)"


def restore_context(paths):
    """Give paths their default SELinux label where SELinux is in force."""
    if paths and os.path.exists("/sys/fs/selinux/enforce") and shutil.which("restorecon"):
        run(["restorecon", "-R"] + list(paths))


def ensure_directory(path, mode=0o755, uid=0, gid=0):
    """Create a directory and its parents with explicit modes; an existing one is left as it is.

    :param mode: of the directory itself; its parents get 0755.
    :param uid: of its owner, and ``gid`` of its group; its parents are root's.
    """
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    if parent and not os.path.isdir(parent):
        ensure_directory(parent)
    os.mkdir(path, 0o700)
    os.chown(path, uid, gid)
    os.chmod(path, mode)


@contextlib.contextmanager
def exclusively(path, patience):
    """Keep other processes that ask for the same directory out (flock(2); it ends with the process, however that ends).

    :param path: an existing directory.
    :param patience: seconds to wait for whoever is in.
    :raises HostError: when those have passed.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise HostError(
                        "another run has been at work on {0} for more than {1} s; wait until it has ended".format(
                            path, patience
                        )
                    ) from None
            time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def one_run_at_a_time(config_dir, patience=900):
    """Keep a second run on the same service waiting: also one whose controller was killed goes on on the host.

    Where the configuration directory is not there yet its nearest parent stands for it.

    :param patience: seconds to wait for the other run.
    :raises HostError: when those have passed.
    """
    while True:
        path = _nearest_directory(config_dir)
        with exclusively(path, patience) as descriptor:
            # While we waited the other run may have made the directory, or taken it away.
            if path == _nearest_directory(config_dir) and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                yield
                return


def _nearest_directory(path):
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


# In a directory of data: the newest version that has written there. It goes where the data goes.
WRITER = ".vigil-version"


def newest_writer(data_dir):
    """The version that a directory of data is marked with, or None. What others than root put there does not count."""
    try:
        with _opened_directory(data_dir) as folder:
            descriptor = os.open(WRITER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as stream:
                status = os.fstat(stream.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                    return None
                return stream.read(100).decode("ascii", "replace").strip() or None
    except OSError:
        return None


def mark_writer(data_dir, version):
    """Mark a directory of data with the newest version that has written there.

    Whoever owns the directory can put anything in the way: nothing of it is followed, written to or waited for.
    """
    scratch = "{0}.{1}".format(WRITER, uuid.uuid4().hex[:8])
    try:
        with _opened_directory(data_dir) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(scratch, flags, 0o600, dir_fd=folder), "wb") as stream:
                stream.write(version.encode("ascii", "replace") + b"\n")
            os.rename(scratch, WRITER, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        raise HostError(
            "{0} cannot be marked with the version that writes there: {1}".format(data_dir, error)
        ) from error


@contextlib.contextmanager
def _opened_directory(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class State:
    """What the collection remembers about one service, in ``<config_dir>/.vigil``.

    ``manifest.json`` names what the current generation wrote, ``staged/`` holds the next one, ``previous/`` what the
    last switch replaced. ``undo`` is the journal of a switch under way, ``rollback`` the same script once the switch
    is complete, ``running`` says that the service ran when the switch began, ``proven.json`` which generation was seen
    to work, and ``asked.json`` how it was asked then, secrets included. Only root can enter.
    """

    def __init__(self, config_dir):
        self.config_dir = config_dir
        self.directory = os.path.join(config_dir, ".vigil")
        self.staged = os.path.join(self.directory, "staged")
        self.previous = os.path.join(self.directory, "previous")
        self.undo = os.path.join(self.directory, "undo")
        self.rollback = os.path.join(self.directory, "rollback")

    def _path(self, name):
        return os.path.join(self.directory, name)

    def create(self):
        """Make the directory; its parent, the configuration directory, must exist."""
        ensure_directory(self.directory, mode=0o700)

    def manifest(self):
        """What the current generation wrote; empty for a service that was never deployed."""
        return dict(EMPTY_MANIFEST, **read_json(self._path("manifest.json"), {}))

    def proven(self):
        """The record of the last proof: ``generation``, ``pid``, ``started`` and more; empty when there is none."""
        return read_json(self._path("proven.json"), {})

    def record_proof(self, record):
        """Remember that the current generation works."""
        self._write_json("proven.json", record)

    def asked(self, generation):
        """How a generation was asked when it was proven, or None where that is not known.

        :param generation: its name.
        """
        record = read_json(self._path("asked.json"), {})
        return record.get("probe") if generation and record.get("generation") == generation else None

    def record_asked(self, generation, probe):
        """Remember how a generation is asked, so that it is asked the same way where it is put back."""
        if self.asked(generation) != probe:
            self._write_json("asked.json", {"generation": generation, "probe": probe})

    def database(self):
        """How a role in a database goes back that a switch under way has changed, or None."""
        return read_json(self._path("database.json"), None)

    def note_database(self, record):
        """Remember that, before the role is changed; None: it has gone back, or the service is proven with it."""
        if record:
            self._write_json("database.json", record)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path("database.json"))

    def staged_plan(self):
        """The plan that config_tree left for the switch, or None when there is nothing staged."""
        return read_json(os.path.join(self.staged, "plan.json"), None)

    def stage(self, files, plan):
        """Put the next generation's files aside; the plan is written last, so its presence says that all are there.

        :param files: relative path -> ``(bytes, mode, uid, gid)``.
        :param plan: what :meth:`staged_plan` gives back.
        """
        self.discard_stage()
        ensure_directory(self.staged, mode=0o700)
        try:
            for path, (data, mode, uid, gid) in files.items():
                target = os.path.join(self.staged, "files", path)
                ensure_directory(os.path.dirname(target), mode=0o700)
                write_atomically(target, data, mode, uid, gid)
            self._write_json("staged/plan.json", plan)
        except BaseException:
            self.discard_stage()
            raise

    def staged_file(self, path):
        """Where a staged file lies."""
        return os.path.join(self.staged, "files", path)

    def discard_stage(self):
        """Forget what was staged."""
        shutil.rmtree(self.staged, ignore_errors=True)

    def needs_recovery(self):
        """Whether an earlier run ended between the beginning of a switch and its proof."""
        if os.path.exists(self.undo):
            return True
        return os.path.exists(self.rollback) and self.manifest()["generation"] != self.proven().get("generation")

    def recover(self):
        """Undo a switch that was not proven. The process that runs is not touched: what runs is compared later.

        :returns: whether there was anything to undo.
        :raises HostError: when the journal could not be carried out.
        """
        if not self.needs_recovery():
            return False
        # The unit's start hook may be undoing the same switch at this very moment.
        with exclusively(self.directory, HOOK_SECONDS):
            if self.needs_recovery():
                self._undo()
        return True

    def _undo(self):
        script = self.undo if os.path.exists(self.undo) else self.rollback
        # A part of what was staged may have been moved to its place already.
        self.discard_stage()
        self._forget_process()
        status, output = run(["/bin/sh", script])
        if status:
            raise HostError("{0}, the journal of an interrupted switch, failed: {1}".format(script, output.strip()))

    def _forget_process(self):
        """Let no process count as the one that has loaded the old generation: it may have loaded the new one since."""
        proof = self.proven()
        if proof:
            self.record_proof(dict(proof, pid=None, started=None))

    def switch(self, changes, manifest, reload_systemd):
        """Make all changes, with a journal on disk first.

        :param changes: list of :class:`_switch.Change`.
        :param manifest: the manifest of the new generation; ``generation`` is filled in here.
        :param reload_systemd: whether a unit is among the changes.
        :returns: the new generation's name.
        """
        generation = uuid.uuid4().hex[:12]
        # A service that restarts by itself just now must not find the journal and undo what is being done.
        with exclusively(self.directory, HOOK_SECONDS):
            self._switch(changes, manifest, generation, reload_systemd)
        self.discard_stage()
        return generation

    def _switch(self, changes, manifest, generation, reload_systemd):
        manifest_path = self._path("manifest.json")
        new_manifest = self._path("manifest.next.json")
        self._write_json("manifest.next.json", dict(manifest, generation=generation))
        changes = list(changes) + [Change(manifest_path, "file", new_manifest)]

        # The last rollback's copies go, so it goes first: half of them must never be put back.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.rollback)
        shutil.rmtree(self.previous, ignore_errors=True)
        ensure_directory(self.previous, mode=0o700)
        backups = {}
        for number, change in enumerate(changes):
            if change.kind != "owner" and os.path.lexists(change.path):
                backups[change.path] = os.path.join(self.previous, str(number))
                _copy(change.path, backups[change.path])
        fsync_dir(self.previous)
        script = undo_script(changes, backups, self.directory, self.undo, reload_systemd)
        write_atomically(self.undo, script.encode("utf-8"), 0o700)

        try:
            for change in changes:
                _make(change)
            for directory in {os.path.dirname(change.path) for change in changes}:
                if os.path.isdir(directory):
                    fsync_dir(directory)
            restore_context(
                [change.path for change in changes if change.kind != "owner" and os.path.lexists(change.path)]
            )
            os.rename(self.undo, self.rollback)
        except BaseException:
            self._undo()
            raise
        fsync_dir(self.directory)

    def engine(self):
        """Address of the Docker engine that has had a container of the service, or None."""
        return (read_text(self._path("engine")) or "").strip() or None

    def remember_engine(self, host):
        """Remember the engine, before it gets a container of the service; None: it has none any more."""
        if host:
            write_atomically(self._path("engine"), host.encode("utf-8") + b"\n", 0o600)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path("engine"))

    def was_running(self):
        """Whether the service ran when a switch began that nobody has seen the end of."""
        return os.path.exists(self._path("running"))

    def note_running(self, running):
        """Remember that the service runs, before a switch stops it; or that the switch has come to its end."""
        if running:
            write_atomically(self._path("running"), b"", 0o600)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path("running"))

    def amend_manifest(self, manifest):
        """Rewrite what is remembered about a generation whose files stay as they are."""
        self._write_json("manifest.json", dict(manifest, generation=self.manifest()["generation"]))

    def roll_back(self):
        """Put the previous generation back on disk.

        :raises HostError: when that failed; the message says what is left to do by hand.
        """
        self._forget_process()
        status, output = run(["/bin/sh", self.rollback])
        if status:
            raise HostError("rolling back with {0} failed: {1}".format(self.rollback, output.strip()))

    def _write_json(self, name, value):
        write_atomically(self._path(name), json.dumps(value, indent=1, sort_keys=True).encode("utf-8") + b"\n", 0o600)


def _copy(source, target):
    """Copy a file or a link with owner, group, mode and times.

    :raises HostError: when the source is something else, such as a directory.
    """
    status = os.lstat(source)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
        return
    if not stat.S_ISREG(status.st_mode):
        raise HostError("{0} is neither a file nor a link; move it away".format(source))
    # Nobody else may read the copy before it has its mode: the file may hold a secret.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(source, "rb") as reader, os.fdopen(descriptor, "wb") as writer:
        shutil.copyfileobj(reader, writer)
        writer.flush()
        os.fchown(writer.fileno(), status.st_uid, status.st_gid)
        shutil.copystat(source, target)
        os.fsync(writer.fileno())


def _make(change):
    """Carry out one change by a rename."""
    if change.kind == "keep":
        return
    if change.kind == "owner":
        for command in owner_commands(change.path, Owners.of(change.source)):
            status, output = run(command, timeout=OWNER_SECONDS)
            if status:
                raise HostError("{0} could not pass on {1}: {2}".format(command[0], change.path, output.strip()))
        return
    scratch = change.path + SCRATCH
    if change.kind == "remove":
        if os.path.lexists(change.path):
            os.unlink(change.path)
        return
    if change.kind == "link":
        if os.path.lexists(scratch):
            os.unlink(scratch)
        os.symlink(change.source, scratch)
        os.rename(scratch, change.path)
        return
    try:
        os.rename(change.source, change.path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: copy beside the target first, so that the last step is a rename all the same.
        if os.path.lexists(scratch):
            os.unlink(scratch)
        _copy(change.source, scratch)
        os.rename(scratch, change.path)
