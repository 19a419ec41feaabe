# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that the timer of a backup runs on the host: prepare, back up by restic, prune and check, write the metrics.

It is written to the host as it is, and needs nothing but the standard library of Python 3.9. What it backs up, and where to,
is in its configuration; secrets reach restic by its environment, and no command line.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import time

CONFIG = "/etc/vigil-backup/backup.json"
# What a block of Prometheus' has once it is written: https://prometheus.io/docs/prometheus/latest/storage/
COMPLETE = {"meta.json", "index", "chunks"}
ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
# In a directory of data: hard links of what is backed up, for the length of a run.
LINKS = ".vigil-backup"
MANIFEST = "manifest.json"
TAG = "vigil"
DAY = 86400
# So far the clocks of two hosts may differ.
AHEAD = 3600
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?")
# Exit status while another run has the lock.
BUSY = 75
# So long is waited while another host prunes or checks the repository that they share: restic takes a lock for one of a process that
# is no more after half an hour.
PATIENCE = 2100
PAUSE = 5
LOCKED = "already locked"
# Exit status of restic where some files could not be read.
INCOMPLETE = 3
# restic waits for a bucket to appear, and creates it with a repository.
BUCKET = "specified bucket does not exist|NoSuchBucket"
NO_REPOSITORY = "there is no repository at backup_repository; it was removed, is not mounted, or is elsewhere now"
# What is remembered of a restore of this host that is under way; and the lock that a task of it holds.
RESTORE_NOTE = "/run/vigil.monitoring/restore.json"
RESTORE_LOCK = "/run/vigil.monitoring/var-lib-vigil-restore.lock"
# A restore of which nothing was heard for so many seconds is no more.
SILENT = 1800
# Where the clients of databases are.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What restic says where its ssh fails, and its option for how to run that.
SESSION, SFTP_COMMAND = "unable to start the sftp session", "sftp.command="
# What restic writes to its error output -> what it means. The first that is found counts.
REASONS = (
    (r"wrong password|no key found", "backup_password is not the password of the repository"),
    (r"no space left|disk quota exceeded", "no space is left where the repository, the cache or the data is"),
    (LOCKED, "another process works on the repository; if none does, run `restic unlock`"),
    (BUCKET, NO_REPOSITORY),
    # What ssh says first counts: restic may end before it has read the rest.
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key is known for|Host key verification failed",
        "the repository cannot be reached: its server does not have the key in backup_ssh_known_hosts",
    ),
    # Before what follows: restic asks whether there is a repository whatever keeps it from opening one.
    (
        rf"Permission denied|{SESSION}|connection refused|no route to host|timed out|no such host"
        r"|Could not resolve|network is unreachable|connection reset|server response unexpected"
        r"|AccessDenied|Access Denied|403 Forbidden|401 Unauthorized|signature we calculated does not match|InvalidAccessKeyId",
        "the repository cannot be reached",
    ),
    (r"unable to open config file|repository does not exist|Is there a repository at", NO_REPOSITORY),
    (
        r"ciphertext verification failed|does not match|invalid data returned|pack .* (?:not found|does not exist)|errors were found"
        r"|unexpected EOF|load.*: invalid|file does not exist",
        "the repository is damaged; keep it, and see docs/howto/backup.md",
    ),
    (r"panic: ", "restic crashed, as it does where the repository is damaged: run `restic check`"),
)


class BackupError(Exception):
    """Why a backup, or a part of it, was not made: a sentence."""


class Busy(BackupError):
    """Another run is under way."""


def reason_of(output):
    """What the error output of restic means: a sentence that ends with its own last lines."""
    # What follows a crash are places in its source.
    lines = [line.strip() for line in output.partition("\ngoroutine ")[0].splitlines() if line.strip()]
    last = "; ".join(lines[-3:])[-600:]
    for pattern, meaning in REASONS:
        if re.search(pattern, output, re.IGNORECASE):
            return "{0} (restic: {1})".format(meaning, last)
    return "restic failed: {0}".format(last or "no output")


def is_missing(output):
    """Whether restic says that there is no repository, in any of its versions and for any of its kinds of storage."""
    absent = r"does not exist|doesn't exist|no such file|NoSuchKey|404|object not found"
    found = re.search("unable to open config file|repository does not exist", output, re.IGNORECASE)
    return bool((found and re.search(absent, output, re.IGNORECASE)) or re.search(BUCKET, output, re.IGNORECASE))


def read_json(path, default):
    """What a file holds; the default where it is missing or damaged."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (FileNotFoundError, ValueError):
        return default


def write_atomically(path, text, mode):
    """Write a file so that readers see the old content or the new, never a part."""
    scratch = "{0}.{1}.tmp".format(path, os.urandom(4).hex())
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.rename(scratch, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(scratch)
        raise


@contextlib.contextmanager
def directory(path, above=None):
    """A descriptor of a directory that is no link.

    :param above: descriptor of the directory that it lies in, which its path is relative to.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def link_tree(source, target):
    """Make hard links of all files of a directory in another one. Both are descriptors: what has the rights of the service may
    put a link in the place of a directory at any moment.

    :raises FileNotFoundError: when something was removed in between.
    """
    for name in os.listdir(source):
        mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            os.mkdir(name, 0o700, dir_fd=target)
            with directory(name, source) as there, directory(name, target) as here:
                link_tree(there, here)
        elif stat.S_ISREG(mode):
            os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)


def link_block(name, source, target):
    """Make hard links of a block of Prometheus' that is written completely."""
    with directory(name, source) as there:
        if COMPLETE.issubset(os.listdir(there)):
            os.mkdir(name, 0o700, dir_fd=target)
            with directory(name, target) as here:
                link_tree(there, here)


def boot_time():
    """Seconds since the host was booted; no change of its clock changes them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def locked_since(path):
    """Since when a process has held the lock on a file, in seconds since 1970; None where none holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
    return None


def restore_note(has_lock=False):
    """What is remembered of a restore of this host that is under way: ``run``, ``since`` and ``seen``; None without one.

    It is in a directory that root alone can enter.

    :param has_lock: whether the caller holds the lock itself, so that no task of that restore is at work.
    """
    note = read_json(RESTORE_NOTE, None)
    if not note:
        return None
    at_work = not has_lock and locked_since(RESTORE_LOCK) is not None
    return note if at_work or 0 <= boot_time() - note["seen"] < SILENT else None


def due(last, days, now):
    """Whether something that is done every so many days has to be done; 0 days for never.

    :param last: when it was done, 0 for never; a time in the future is that of a clock that was wrong.
    """
    return bool(days) and (last <= 0 or last > now or now - last >= days * DAY - DAY / 4)


def seconds(text):
    """A time in seconds since 1970, such as ``2026-11-27 03:00`` in the host's time zone or one with a zone; None for none.

    A date alone is the end of that day.
    """
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    date, clock, zone = found.groups()
    clock = clock or "23:59:59"
    clock += ":00" if len(clock) == 5 else ""
    zone = "+00:00" if zone == "Z" else zone or ""
    zone = zone if not zone or ":" in zone else zone[:3] + ":" + zone[3:]
    try:
        return datetime.datetime.fromisoformat("{0}T{1}{2}".format(date, clock, zone)).timestamp()
    except ValueError:
        return None


def is_ahead(moment, now):
    """Whether a time is one that this host's clock, or the one that it is of, has wrong."""
    return moment > now + AHEAD


def settled(status, now):
    """What is remembered of earlier runs, without times that a wrong clock has set: nothing would be too old until then."""
    return {
        name: 0
        if isinstance(value, (int, float)) and name.startswith(("last_", "first_")) and value > now + 60
        else value
        for name, value in status.items()
    }


def of_repository(status, repository):
    """What is remembered of earlier runs that holds for a repository: of another one, not when it was checked and pruned."""
    # There may be a password in it.
    known = hashlib.sha256(repository.encode("utf-8")).hexdigest()[:16]
    if status.get("repository") in (None, known):
        return {**status, "repository": known}
    kept = {key: value for key, value in status.items() if key not in ("last_check", "check_success", "last_prune")}
    return {**kept, "repository": known}


def metric_text(metric, text, name, value):
    """A metric of a backup for node_exporter's textfile collector.

    :param text: what it is.
    :param name: of the backup.
    """
    return series_text(metric, text, [({"backup": name}, value)])


def series_text(metric, text, series):
    """The series of a metric for node_exporter's textfile collector.

    :param text: what it is.
    :param series: pairs of labels and value.
    """
    lines = ["# HELP {0} {1}".format(metric, text), "# TYPE {0} gauge".format(metric)]
    for labels, value in series:
        pairs = ("{0}={1}".format(key, json.dumps(str(one), ensure_ascii=False)) for key, one in labels.items())
        lines.append("{0}{{{1}}} {2}".format(metric, ",".join(pairs), float(value)))
    return "\n".join([*lines, ""])


def metrics_text(name, status):
    """All metrics of a backup that are known."""
    found = []
    for metric, key, text in (
        ("backup_last_success_timestamp_seconds", "last_success", "When the last backup succeeded; 0 for never."),
        ("backup_first_success_timestamp_seconds", "first_success", "When a backup succeeded for the first time."),
        ("backup_last_run_success", "run_success", "Whether the last run succeeded."),
        ("backup_last_run_timestamp_seconds", "last_run", "When the last run ended."),
        ("backup_duration_seconds", "duration", "How long the last successful backup took."),
        ("backup_size_bytes", "size", "Size of what the last successful backup holds."),
        ("backup_added_bytes", "added", "What the last successful backup added to the repository."),
        ("backup_last_check_timestamp_seconds", "last_check", "When the repository was checked without an error."),
        ("backup_last_check_success", "check_success", "Whether the last check of the repository found no error."),
    ):
        if key in status:
            found.append(metric_text(metric, text, name, status[key]))
    return "".join(found)


class Restic:
    """The program restic with its repository.

    :param config: what the configuration says: ``restic``, ``options``, ``environment``.
    :param patience: seconds to wait for another process that has locked the repository.
    """

    def __init__(self, config, patience=0):
        self.patience = patience
        self.argv = [config["restic"], *config["options"]]
        self.environment = {**os.environ, "LC_ALL": "C", **config["environment"]}

    def run(self, *arguments, timeout=None):
        """Run it, again and again while another process has locked the repository: exit status, output, error output."""
        deadline = time.monotonic() + self.patience
        while True:
            status, output, errors = self._once(arguments, timeout)
            if not status or LOCKED not in output + errors or time.monotonic() > deadline:
                return status, output, errors
            time.sleep(PAUSE)
            # One whose process was killed on another host is no longer counted after a while.
            self._once(("unlock",), timeout)

    def _once(self, arguments, timeout):
        try:
            done = subprocess.run(
                [*self.argv, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd="/",
                timeout=timeout,
                check=False,
            )
        except OSError as error:
            raise BackupError("{0} cannot be run: {1}".format(self.argv[0], error.strerror)) from error
        except subprocess.TimeoutExpired as error:
            words = (error.stderr or b"").decode("utf-8", "replace")
            return 124, "", "{0}\nthe repository did not answer within {1} s: timed out".format(words, timeout)
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    def must(self, *arguments, timeout=None):
        """Run it: its output.

        :raises BackupError: when it fails.
        """
        status, output, errors = self.run(*arguments, timeout=timeout)
        if status:
            raise BackupError(self.reason(errors or output))
        return output

    def reason(self, output):
        """What an error means. Where restic has ended before it has read why ssh failed, ssh is asked once more."""
        command = next((one[len(SFTP_COMMAND) :] for one in self.argv if one.startswith(SFTP_COMMAND)), None)
        if command and SESSION in output:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                # With nothing to read, the server of sftp ends at once where it can be reached.
                done = subprocess.run(
                    shlex.split(command),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    cwd="/",
                    timeout=60,
                    check=False,
                )
                output = done.stderr.decode("utf-8", "replace") + output
        return reason_of(output)

    def is_there(self):
        """Whether there is a repository that the password opens.

        :raises BackupError: when that cannot be said, or the password is wrong.
        """
        status, output, errors = self.run("cat", "config", "--no-lock", timeout=60)
        if not status:
            return True
        if is_missing(errors + output):
            return False
        raise BackupError(self.reason(errors or output))


class Backup:
    """One run.

    :param config: the configuration.
    :param now: function that gives the time.
    """

    def __init__(self, config, now=time.time):
        self.config, self.now = config, now
        self.restic = Restic(config, PATIENCE)
        self.state = config["state_dir"]
        self.staging = os.path.join(self.state, "staging")
        self.errors = []

    def run(self):
        """Back up, and remember how it went.

        :returns: exit status.
        """
        with self._alone():
            start = self.now()
            status = settled(read_json(os.path.join(self.state, "status.json"), {}), start)
            status = of_repository(status, self.config["environment"]["RESTIC_REPOSITORY"])
            try:
                status.update(self._back_up(status, start))
            except (BackupError, OSError) as error:
                self.errors.append(str(error))
            finally:
                self._clear()
            status["run_success"] = not self.errors
            status["last_run"] = self.now()
            status["errors"] = self.errors
            status.setdefault("last_success", 0)
            if not self.errors:
                status["last_success"] = status["last_run"]
                status["first_success"] = status.get("first_success") or status["last_run"]
                status["duration"] = max(0.0, status["last_run"] - start)
            self._remember(status)
        for error in self.errors:
            sys.stderr.write("the backup failed: " + error + "\n")
        return 1 if self.errors else 0

    def report(self, error):
        """Remember that a run ended before it began."""
        status = settled(read_json(os.path.join(self.state, "status.json"), {}), self.now())
        status.setdefault("last_success", 0)
        self._remember({**status, "run_success": False, "last_run": self.now(), "errors": [str(error)]})

    @contextlib.contextmanager
    def _alone(self):
        os.makedirs(self.state, 0o700, exist_ok=True)
        with open(os.path.join(self.state, "lock"), "a", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
                raise Busy("another backup of this host is running; this one is left to it") from None
            os.utime(stream.fileno())
            # After the lock is held: a restore that begins at this moment sees that.
            note = restore_note()
            if note:
                since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(note["since"]))
                raise Busy(
                    "a restore of this host has been running since {0}; it makes a backup when it has ended".format(
                        since
                    )
                )
            yield

    def _remember(self, status):
        write_atomically(os.path.join(self.state, "status.json"), json.dumps(status, indent=1) + "\n", 0o600)
        path = self.config["textfile"]
        if path and os.path.isdir(os.path.dirname(path)):
            write_atomically(path, metrics_text(self.config["name"], status), 0o644)

    def _clear(self):
        """Take away what was prepared, also by a run that was killed."""
        for path in [
            self.staging,
            *(os.path.join(one["data"], LINKS) for one in self.config["services"] if one["data"]),
        ]:
            shutil.rmtree(path, ignore_errors=True)

    def _back_up(self, status, start):
        """What is remembered of it."""
        self._clear()
        os.makedirs(self.staging, 0o700)
        paths, excluded, described = [], list(self.config["exclude"]), []
        for service in self.config["services"]:
            try:
                found = self._prepare(service)
            except (OSError, sqlite3.Error, BackupError) as error:
                # The others are backed up all the same.
                self.errors.append("{0}: {1}".format(service["name"], error))
                continue
            paths += [path for path in [service["config"], *service["files"]] if os.path.lexists(path)]
            paths += [one["from"] for one in found]
            excluded += service["exclude"]
            described.append({**{key: service[key] for key in ("name", "data", "files", "config")}, "sources": found})
            described[-1]["version"] = writer_of(service["data"]) or service["version"]
        for path in self.config["paths"]:
            if os.path.lexists(path):
                paths.append(path)
            else:
                self.errors.append("{0} in backup_paths does not exist".format(path))
        manifest = os.path.join(self.staging, MANIFEST)
        write_atomically(manifest, json.dumps({"time": start, "services": described}, indent=1) + "\n", 0o600)
        # Takes away the locks of processes that are no more, and of no other.
        self.restic.run("unlock", timeout=300)
        tags = [TAG, *("{name}={version}".format(**one) for one in described)]
        found = self._snapshot([manifest, *dict.fromkeys(paths)], excluded, tags)
        found.update(self._maintain(status, start))
        return found

    def _prepare(self, service):
        """Have a consistent copy of a service's data: pairs of where it is and where it belongs."""
        found, data = [], service["data"]
        if not data:
            return found
        if not os.path.isdir(data):
            raise BackupError("its data directory {0} does not exist".format(data))
        for step in service["prepare"]:
            if step["kind"] == "tree":
                found.append({"from": data, "to": data})
            elif step["kind"] == "blocks":
                links = self._link_blocks(data)
                found.append({"from": links, "to": data})
            elif step["kind"] == "sqlite":
                copy = os.path.join(self.staging, service["name"] + ".db")
                copy_database(step["path"], copy)
                found.append({"from": copy, "to": step["path"]})
            else:
                copy = os.path.join(self.staging, service["name"] + ".sql")
                self._dump(step, copy)
                found.append({"from": copy, "to": None})
        return found

    @staticmethod
    def _link_blocks(data):
        """Make hard links of the complete blocks of Prometheus; where they are."""
        with directory(os.path.realpath(data)) as base:
            os.mkdir(LINKS, 0o700, dir_fd=base)
            with directory(LINKS, base) as top:
                os.mkdir("blocks", 0o700, dir_fd=top)
                with directory("blocks", top) as links:
                    for name in sorted(filter(ULID.fullmatch, os.listdir(base))):
                        try:
                            link_block(name, base, links)
                        except FileNotFoundError:
                            # Compacted, or too old by now: the block that replaced it is linked, or comes with the next backup.
                            shutil.rmtree(os.path.join(data, LINKS, "blocks", name), ignore_errors=True)
        return os.path.join(data, LINKS, "blocks")

    @staticmethod
    def _dump(step, path):
        """Dump a database of a server by the server's own tool."""
        with open(path, "wb") as stream:
            try:
                done = subprocess.run(
                    step["argv"],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.PIPE,
                    check=False,
                    **client_options(step["environment"]),
                )
            except OSError as error:
                raise BackupError("{0} cannot be run: {1}".format(step["argv"][0], error.strerror)) from error
        if done.returncode:
            raise BackupError("its database was not dumped: {0}".format(done.stderr.decode("utf-8", "replace")[-500:]))

    def _snapshot(self, paths, excluded, tags):
        """Have restic make a snapshot; a second time where something changed while it was read."""
        argv = ["backup", "--json", "--host", self.config["name"], "--ignore-ctime"]
        argv += [part for tag in tags for part in ("--tag", tag)]
        argv += [part for pattern in excluded for part in ("--exclude", pattern)]
        for attempt in (1, 2):
            status, output, errors = self.restic.run(*argv, "--", *paths)
            if status != INCOMPLETE or attempt == 2:
                break
        if status == INCOMPLETE:
            raise BackupError("some files could not be read: {0}".format("; ".join(_read_errors(errors + output))))
        if status:
            raise BackupError(self.restic.reason(errors or output))
        return summary_of(output)

    def _own(self):
        return ["--host", self.config["name"], "--tag", TAG]

    def _snapshots(self):
        return json.loads(self.restic.must("snapshots", "--json", "--no-lock", *self._own())) or []

    def _maintain(self, status, now):
        """Prune and check, where it is time."""
        found = {}
        keep = [
            part for name, number in sorted(self.config["keep"].items()) for part in ("--keep-" + name, str(number))
        ]
        if keep and due(status.get("last_prune", 0), self.config["prune_days"], now):
            # What is kept is counted from the newest one: this one would go, and others with it.
            ahead = [one for one in self._snapshots() if is_ahead(seconds(one["time"]) or 0, self.now())]
            if ahead:
                self.errors.append(ahead_problem(ahead))
            else:
                self.restic.must("forget", "--prune", *self._own(), "--group-by", "host", *keep)
                found["last_prune"] = self.now()
        failed = status.get("check_success") is False
        if failed or due(status.get("last_check", 0), self.config["check_days"], now):
            subset = self.config["check_subset"]
            try:
                self.restic.must("check", *(["--read-data-subset=" + subset] if subset else []))
                found.update(last_check=self.now(), check_success=True)
            except BackupError as error:
                self.errors.append("the check of the repository failed: {0}".format(error))
                found["check_success"] = False
        return found


def ahead_problem(snapshots):
    """Why no snapshot is removed: a sentence.

    :param snapshots: those of later than now, as restic lists them.
    """
    named = ", ".join("{0} of {1}".format(one["id"][:8], one["time"][:16]) for one in snapshots[:5])
    return (
        "snapshots of later than now are in the repository, so the clock of this host is or was wrong: {0}{1}. None is removed until the"
        " clock is right and `restic forget` has removed those".format(
            named, " and {0} more".format(len(snapshots) - 5) if len(snapshots) > 5 else ""
        )
    )


def client_options(environment):
    """How the client of a database is run: by what it is given, and by nothing of whoever runs this.

    :param environment: variables that it is given, with the password, which so is in no command line.
    """
    return {"env": {"PATH": PATH, "LC_ALL": "C", **environment}, "cwd": "/"}


def writer_of(data):
    """The version that a directory of data is marked with, or None."""
    if not data:
        return None
    with contextlib.suppress(OSError), open(os.path.join(data, ".vigil-version"), encoding="ascii") as stream:
        return stream.read(100).strip() or None
    return None


def copy_database(source, target):
    """Copy a SQLite database that is in use, as of one moment.

    :raises sqlite3.Error: when it is none, or damaged.
    """
    if not os.path.isfile(source):
        raise BackupError("its database {0} does not exist".format(source))
    address = "file:{0}?mode=ro".format("".join("%{0:02x}".format(byte) for byte in os.fsencode(source)))
    closing = contextlib.closing
    with closing(sqlite3.connect(address, uri=True, timeout=60)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here, pages=1000)
        (verdict,) = here.execute("PRAGMA quick_check").fetchone()
    os.chmod(target, 0o600)
    if verdict != "ok":
        raise BackupError("its database {0} is damaged: {1}".format(source, verdict))


def summary_of(output):
    """What restic says of the snapshot that it made."""
    for line in reversed(output.splitlines()):
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and found.get("message_type") == "summary":
                return {
                    "snapshot": found["snapshot_id"],
                    "size": found["total_bytes_processed"],
                    "added": found["data_added"],
                    "files": found["total_files_processed"],
                }
    raise BackupError("restic does not say that it made a snapshot")


def _read_errors(text):
    """Which files restic could not read, without repetition."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            one = json.loads(line)
            if isinstance(one, dict) and one.get("message_type") == "error":
                found.append(
                    "{0}: {1}".format(one.get("item"), (one.get("error") or {}).get("message") or one.get("error"))
                )
    return list(dict.fromkeys(found))[:5] or [text.strip()[-300:]]


def main(argv):
    """Entry point: ``backup.py [CONFIGURATION]``."""
    os.umask(0o077)
    with open(argv[1] if len(argv) > 1 else CONFIG, encoding="utf-8") as stream:
        backup = Backup(json.load(stream))
    try:
        return backup.run()
    except Busy as error:
        sys.stderr.write(str(error) + "\n")
        return BUSY
    except (BackupError, OSError) as error:
        sys.stderr.write("the backup failed: {0}".format(error) + "\n")
        with contextlib.suppress(OSError):
            backup.report(error)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
