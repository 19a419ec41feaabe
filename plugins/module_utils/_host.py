# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's disk and its programs: what reads, writes and runs. Everything that decides is elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
import uuid

from ansible_collections.vigil.monitoring.plugins.module_utils import _nofollow
from ansible_collections.vigil.monitoring.plugins.module_utils._nofollow import (
    HostError,
    ensure_directory,
    read_bytes,
    write_atomically,
)
from ansible_collections.vigil.monitoring.plugins.module_utils._process import since_start, telling_lines
from ansible_collections.vigil.monitoring.plugins.module_utils._redact import redact_text
from ansible_collections.vigil.monitoring.plugins.module_utils._sanitize import sanitize_lines
from ansible_collections.vigil.monitoring.plugins.module_utils._switch import (
    EMPTY_MANIFEST,
    Change,
    Owners,
    undo_steps,
)

# How long to wait for the start hook of a unit to end, in seconds; what it does takes a fraction of one.
HOOK_SECONDS = 30
LOG_LINES = 15
LOG_COLUMNS = 500
# Where the locks are: anybody may lock a file that he can open, so nobody else than root can enter.
LOCKS = "/run/vigil.monitoring"
# Bytes of a large file that are read at once.
PIECE = 1 << 20


class NotVerified(Exception):
    """A service does not do what it has to; the message says why."""


def digest(data):
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path):
    """SHA-256 of a file, in hexadecimal."""
    summed = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(PIECE), b""):
            summed.update(piece)
    return summed.hexdigest()


def read_text(path):
    """Text of a file, or an empty string when there is none or it vanishes while it is read (as in /proc)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def read_json(path, default, roots=False):
    """Parsed content of one of our own files; ``default`` where it is missing or was cut short.

    :param roots: whether it counts only in a directory that is root's alone.
    """
    try:
        return json.loads(read_bytes(path, roots) or b"")
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
            # No tool finds anything there that somebody put into the directory in which we happen to be.
            cwd="/",
            timeout=timeout,
            check=False,
            **kwargs,
        )
    except FileNotFoundError as error:
        return 127, str(error)
    except OSError as error:
        return 126, str(error)
    except subprocess.TimeoutExpired:
        return 124, "{0} did not finish within {1} s".format(argv[0], timeout)
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
    return "\n".join("  " + sanitize_lines(line, LOG_COLUMNS) for line in lines) or "  (no log lines)"


def restore_context(paths):
    """Give paths their default SELinux label where SELinux is in force.

    Where others can write, a name may be anybody's file by then: what is new there has the label of its directory.
    """
    if paths and os.path.exists("/sys/fs/selinux/enforce") and shutil.which("restorecon"):
        safe = [path for path in paths if _nofollow.inspect(path) and not _nofollow.weakness(os.path.dirname(path))]
        if safe:
            run(["restorecon", "-R"] + safe)


def _lock(descriptor, title, patience):
    """Wait for a lock (flock(2); it ends with the process, however that ends).

    :param title: what somebody else is at work on.
    :raises HostError: when it was not given within ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise HostError(
                    "another run has been changing {0} for more than {1} s; wait until it has finished".format(
                        title, patience
                    )
                ) from None
        time.sleep(0.1)


@contextlib.contextmanager
def exclusively(path, patience):
    """Keep other processes that need the same directory out, such as the start hook of a unit.

    :param path: an existing directory, which nobody but root can enter.
    :param patience: seconds to wait for whoever is in.
    :raises HostError: when those have passed.
    """
    with _nofollow.directory(path) as folder, folder.readable() as descriptor:
        folder.must_be_roots()
        _lock(descriptor, path, patience)
        yield


@contextlib.contextmanager
def one_run_at_a_time(path, patience=900, title=None):
    """Keep a second run on the same service waiting: also one whose controller was killed goes on on the host.

    The lock is a file of root's own directory, so that nobody else can hold it, and it stays the same whether what it stands
    for is there, is made or is taken away.

    :param path: what the lock stands for, such as the configuration directory of a service.
    :param patience: seconds to wait for the other run.
    :param title: what that is at work on, for people; the path where it is None.
    :raises HostError: when those have passed.
    """
    ensure_directory(LOCKS, 0o700)
    with _nofollow.directory(LOCKS) as folder:
        folder.must_be_roots()
        with folder.lock_file(os.path.basename(lock_path(path))) as descriptor:
            _lock(descriptor, title or path, patience)
            # Since when it is held.
            os.utime(descriptor)
            yield


def lock_path(path):
    """The file that is locked for what stands at a path."""
    return "{0}/{1}.lock".format(LOCKS, os.path.normpath(path).strip("/").replace("/", "-")[-200:])


# In a directory of data: the newest version that has written there. It goes where the data goes.
WRITER = ".vigil-version"


def newest_writer(data_dir):
    """The version that a directory of data is marked with, or None. What others than root put there does not count."""
    try:
        with _nofollow.directory(data_dir) as folder, os.fdopen(folder.open_file(WRITER), "rb") as stream:
            if os.fstat(stream.fileno()).st_uid != os.geteuid():
                return None
            return stream.read(100).decode("ascii", "replace").strip() or None
    except (OSError, HostError):
        return None


def mark_writer(data_dir, version):
    """Mark a directory of data with the newest version that has written there."""
    try:
        write_atomically(os.path.join(data_dir, WRITER), version.encode("ascii", "replace") + b"\n", 0o600)
    except (OSError, HostError) as error:
        raise HostError(
            "the version that writes to {0} cannot be recorded there: {1}".format(data_dir, error)
        ) from error


class State:
    """What the collection remembers about one service, in ``<config_dir>/.vigil``.

    ``manifest.json`` names what the current generation wrote, ``staged/`` holds the next one, ``previous/`` what the
    last switch replaced. ``undo`` is the journal of a switch under way, ``rollback`` the same script once the switch
    is complete, ``running`` says that the service ran when the switch began, ``proven.json`` which generation was seen
    to work, and ``asked.json`` how its health was checked then, secrets included. Only root can enter.
    """

    def __init__(self, config_dir, before=None):
        self.config_dir = config_dir
        self.directory = os.path.join(config_dir, ".vigil")
        # Where the configuration was, until the service is verified with the new directory.
        before = before or (read_bytes(self._path("before"), roots=True) or b"").decode("utf-8").strip()
        self.before = State(before) if before and before != config_dir else None
        self.staged = os.path.join(self.directory, "staged")
        self.previous = os.path.join(self.directory, "previous")
        self.undo = os.path.join(self.directory, "undo")
        self.rollback = os.path.join(self.directory, "rollback")

    def _path(self, name):
        return os.path.join(self.directory, name)

    def create(self):
        """Make the directory; its parent, the configuration directory, must exist.

        :raises HostError: when one is there that somebody else can change.
        """
        ensure_directory(self.directory, mode=0o700)
        with _nofollow.directory(self.directory) as found:
            found.must_be_roots()
        if self.before and not _nofollow.inspect(self._path("before")):
            write_atomically(self._path("before"), self.before.config_dir.encode("utf-8") + b"\n", 0o600)

    def forget_before(self):
        """Nothing is left in the directory where the configuration was."""
        _nofollow.unlink(self._path("before"))
        self.before = None

    def _read(self, name, default):
        return read_json(self._path(name), default, roots=True)

    def manifest(self):
        """What the current generation wrote; empty for a service that was never deployed."""
        found = dict(EMPTY_MANIFEST, **self._read("manifest.json", {}))
        if self.before and not found["generation"]:
            # The files are in the other directory; the unit or the container is the same.
            known = self.before.manifest()
            found.update({name: known[name] for name in ("generation", "units", "links", "container")})
        return found

    def verified(self):
        """The record of the last verification: ``generation``, ``pid``, ``started`` and more; empty when there is none."""
        return self._read("proven.json", {}) or (self.before.verified() if self.before else {})

    def record_verified(self, record):
        """Remember that the current generation works."""
        self._write_json("proven.json", record)

    def install_program(self, name, files):
        """Have a program of the comparison's in the state directory, and no other version of it.

        :param name: of its directory.
        :param files: relative path -> text; the one that starts it is the last.
        """
        for path, text in files.items():
            target, data = self._path(os.path.join(name, path)), text.encode("utf-8")
            if read_bytes(target, roots=True) != data:
                ensure_directory(os.path.dirname(target), mode=0o700)
                write_atomically(target, data, 0o600)
        with _nofollow.directory(self.directory) as found:
            others = [other for other in found.names() if other.startswith("comparison-") and other != name]
        for other in others:
            _nofollow.remove(self._path(other))

    def asked(self, generation):
        """How the health of a generation was checked when it was verified, or None where that is not known.

        :param generation: its name.
        """
        record = self._read("asked.json", {})
        # Up to 0.2 it was called the probe.
        known = record.get("health") or record.get("probe")
        if generation and record.get("generation") == generation:
            return known
        return self.before.asked(generation) if self.before else None

    def record_asked(self, generation, health):
        """Remember the health check of a generation, so that it is the same after a rollback; not with which certificate
        of a run, which lies on no disk."""
        health = {name: value for name, value in health.items() if name != "client_pem"}
        if self.asked(generation) != health:
            self._write_json("asked.json", {"generation": generation, "health": health})

    def history(self):
        """The jobs and targets of the configuration that was verified last; None where they are not known."""
        return self._read("history.json", None) or (self.before.history() if self.before else None)

    def record_history(self, history):
        """Remember the jobs and targets of a configuration that was verified."""
        if history is not None and history != self.history():
            self._write_json("history.json", history)

    def database(self):
        """How a role in a database goes back that a switch under way has changed, or None."""
        return self._read("database.json", None)

    def note_database(self, record):
        """Remember that, before the role is changed; None: it was rolled back, or the service is verified with it."""
        if record:
            self._write_json("database.json", record)
        else:
            _nofollow.unlink(self._path("database.json"))

    def staged_plan(self):
        """The plan that config_files left for the switch, or None when there is nothing staged."""
        return self._read("staged/plan.json", None)

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
        _nofollow.remove(self.staged)

    def needs_recovery(self):
        """Whether an earlier run ended between the beginning of an activation and its verification."""
        if _nofollow.inspect(self.undo):
            return True
        return bool(_nofollow.inspect(self.rollback)) and self.manifest()["generation"] != self.verified().get(
            "generation"
        )

    def recover(self):
        """Undo an activation that was not verified. The process that runs is not touched: what runs is compared later.

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
        # A part of what was staged may have been moved to its place already.
        self.discard_stage()
        try:
            self._carry_out()
        except (HostError, OSError, subprocess.CalledProcessError) as error:
            raise HostError("{0}, the journal of an interrupted run, failed: {1}".format(self.undo, error)) from error

    def _carry_out(self):
        """Put the old generation back; the lock on the directory is held."""
        self._forget_process()
        if _nofollow.inspect(self.undo) is None:
            # From here on the start hook does the rest, if this is cut off.
            _nofollow.move(self.rollback, self.undo)
        text = (read_bytes(self.undo, roots=True) or b"").decode("utf-8")
        _nofollow.put_back(_nofollow.parse_journal(text, self.directory))

    def _forget_process(self):
        """Let no process count as the one that has loaded the old generation: it may have loaded the new one since."""
        verified = self.verified()
        if verified:
            self.record_verified(dict(verified, pid=None, started=None))

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
        _nofollow.unlink(self.rollback)
        _nofollow.remove(self.previous)
        ensure_directory(self.previous, mode=0o700)
        backups = {}
        for number, change in enumerate(changes):
            if change.kind not in ("owner", "data") and _nofollow.inspect(change.path):
                backups[change.path] = os.path.join("previous", str(number))
                _nofollow.copy(change.path, self._path(backups[change.path]))
        _nofollow.sync_directory(self.previous)
        script = _nofollow.journal(undo_steps(changes, backups), self.directory, reload_systemd, _own_text())
        write_atomically(self.undo, script.encode("utf-8"), 0o700)

        try:
            for change in changes:
                _make(change)
            for directory in {os.path.dirname(change.path) for change in changes}:
                _nofollow.sync_directory(directory)
            restore_context([change.path for change in changes if change.kind != "owner"])
            _nofollow.move(self.undo, self.rollback)
        except BaseException:
            self._undo()
            raise
        _nofollow.sync_directory(self.directory)

    def engine(self):
        """Address of the Docker engine that has had a container of the service, or None."""
        found = (read_bytes(self._path("engine"), roots=True) or b"").decode("utf-8").strip() or None
        return found or (self.before.engine() if self.before else None)

    def remember_engine(self, host):
        """Remember the engine, before it gets a container of the service; None: it has none any more."""
        if host:
            write_atomically(self._path("engine"), host.encode("utf-8") + b"\n", 0o600)
        else:
            _nofollow.unlink(self._path("engine"))

    def copied_data(self):
        """The copy of data that was begun and whose old one is not removed yet: ``(from, to)``, or None."""
        found = self._read("data.json", None)
        return (found["from"], found["to"]) if found else None

    def note_copied_data(self, move):
        """Remember that data is being copied; None: the old copy is gone.

        :param move: ``(from, to)``.
        """
        if move:
            self._write_json("data.json", {"from": move[0], "to": move[1]})
        else:
            _nofollow.unlink(self._path("data.json"))

    def was_running(self):
        """Whether the service ran when a switch began that nobody has seen the end of."""
        return _nofollow.inspect(self._path("running")) is not None

    def note_running(self, running):
        """Remember that the service runs, before a switch stops it; or that the switch has come to its end."""
        if running:
            write_atomically(self._path("running"), b"", 0o600)
        else:
            _nofollow.unlink(self._path("running"))

    def amend_manifest(self, manifest):
        """Rewrite what is remembered about a generation whose files stay as they are."""
        self._write_json("manifest.json", dict(manifest, generation=self.manifest()["generation"]))

    def roll_back(self):
        """Put the previous generation back on disk.

        :raises HostError: when that failed; the message says what is left to do by hand.
        """
        # The service may be starting again by itself at this very moment.
        with exclusively(self.directory, HOOK_SECONDS):
            try:
                self._carry_out()
            except (HostError, OSError, subprocess.CalledProcessError) as error:
                raise HostError("rolling back with {0} failed: {1}".format(self.undo, error)) from error

    def _write_json(self, name, value):
        write_atomically(self._path(name), json.dumps(value, indent=1, sort_keys=True).encode("utf-8") + b"\n", 0o600)


def _own_text():
    """The text of the program that a journal is carried out by."""
    return _nofollow.__loader__.get_source(_nofollow.__name__)


def _make(change):
    """Carry out one change by a rename."""
    if change.kind == "remove":
        _nofollow.unlink(change.path)
    elif change.kind == "link":
        _nofollow.make_link(change.source, change.path)
    elif change.kind == "file":
        _nofollow.move(change.source, change.path)
    elif change.kind == "data":
        _nofollow.shift(change.source, change.path)
    elif change.kind == "owner":
        _nofollow.pass_on(change.path, *Owners.of(change.source))
