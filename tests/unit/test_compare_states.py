# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked, against what is on disk, what the process was started with and what it has loaded, whoever brought it there.

The same states of a host go through both that compare: the look of the controller, and the module on the host.
"""

from __future__ import annotations

import copy
import json
import os
from types import SimpleNamespace

import pytest
from ansible_collections.vigil.monitoring.plugins.module_utils import _compare_program, _process_state, _systemd
from ansible_collections.vigil.monitoring.plugins.module_utils._deployment import Deployment
from ansible_collections.vigil.monitoring.plugins.module_utils._host import digest
from ansible_collections.vigil.monitoring.plugins.module_utils._plan import make_plan
from ansible_collections.vigil.monitoring.plugins.module_utils._preflight import dropin_problems
from ansible_collections.vigil.monitoring.plugins.module_utils._process import other_start
from ansible_collections.vigil.monitoring.plugins.module_utils._system import System
from ansible_collections.vigil.monitoring.plugins.module_utils._task import Task
from ansible_collections.vigil.monitoring.plugins.plugin_utils._compare_service import Service
from ansible_collections.vigil.monitoring.plugins.plugin_utils._host_commands import MARK
from checked_health import complete_health

PID = 4711
URL = "http://127.0.0.1:9090"
UNIT = "[Service]\nUser=prometheus\nExecStart={0}\nLimitNOFILE=65000\nProtectSystem=strict\n"
FILES = {"prometheus.yml": "global: {}\n", "rules/vigil.yml": "groups: []\n"}
LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             7823                 7823                 processes
Max open files            65000                65000                files
"""
STATUS = "Name:\tprometheus\nUid:\t998\t998\t998\t998\nGroups:\t998 \nNoNewPrivs:\t1\nSeccomp:\t2\nCapBnd:\t0000\n"
MOUNTS = "90 80 0:1 / / ro,relatime master:1 - ext4 /dev/root rw\n91 90 0:2 / /tmp rw - ext4 /dev/root rw\n"
METRICS = 'prometheus_build_info{version="3.5.3"} 1\nprometheus_config_last_reload_successful 1\n'


class Host(System):
    """A host on which Prometheus runs as specified; a test changes what it pleases.

    :ivar files: below /proc.
    :ivar shown: properties of the unit, as systemd has them.
    :ivar answers: path -> status and text.
    """

    def __init__(self, folder):
        self.folder = folder
        self.unit_directory = str(folder / "units")
        self.config = folder / "etc"
        self.tool = folder / "prometheus"
        self.link = folder / "bin" / "prometheus"
        self.pointed = str(self.tool)
        self.ran = []
        self.boot = 1_000_000_000
        unit = UNIT.format(f"{self.link} --flag=12d")
        self.options = {
            "name": "prometheus",
            "role": "prometheus",
            "config_dir": str(self.config),
            "runtime": "systemd",
            "unit": unit,
            "dropin": "",
            "argv": [str(self.link), "--flag=12d"],
            "links": {str(self.link): str(self.tool)},
            "files": {},
            "reads": [],
            "conflicts": [],
            "health": complete_health("prometheus", URL),
            "version": "3.5.3",
            "reload": None,
            "take_over": False,
            "firewall": None,
        }
        self.complete = _systemd.complete_unit(unit, "", f"{self.config}/.vigil/undo")
        fingerprint = _systemd.unit_fingerprint(self.complete)
        self.files = {
            "stat": "btime {0}\n".format(self.boot),
            f"{PID}/stat": f"{PID} (prometheus) S " + " ".join(["0"] * 18) + " 900000000000 0",
            f"{PID}/cmdline": f"{self.link}\0--flag=12d\0",
            f"{PID}/environ": f"LOGNAME=x\0PATH=/bin\0INVOCATION_ID=1\0VIGIL_UNIT={fingerprint}\0",
            f"{PID}/limits": LIMITS,
            f"{PID}/status": STATUS,
            f"{PID}/uid_map": "0 0 1\n",
            f"{PID}/mountinfo": MOUNTS,
        }
        self.shown = {
            "Id": "prometheus.service",
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "UnitFileState": "enabled",
            "MainPID": str(PID),
            "NRestarts": "0",
            "NeedDaemonReload": "no",
            "FragmentPath": f"{self.unit_directory}/prometheus.service",
            "DropInPaths": "",
            "ExecStart": "{ path=x ; argv[]=x --flag=12d ; ignore_errors=no ; start_time=[n/a] ; pid=4711 }",
            "LimitNOFILE": "65000",
        }
        self.answers = {"/metrics": (200, METRICS), "/-/ready": (200, ""), "/api/v1/status/config": (200, "global: {}")}

    def lay_out(self):
        """Put the generation on the disk."""
        for path, text in {
            **{f"etc/{path}": text for path, text in FILES.items()},
            "units/prometheus.service": self.complete,
            "prometheus": "",
        }.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        (self.config / "scrape_configs").mkdir()
        (self.folder / "bin").mkdir()
        self.link.symlink_to(self.tool)
        (self.config / ".vigil").mkdir()
        manifest = {
            "generation": "g1",
            "files": {path: digest(text.encode()) for path, text in FILES.items()},
            "units": [f"{self.unit_directory}/prometheus.service"],
            "links": {str(self.link): str(self.tool)},
            "secret": [],
            "directories": [],
            "container": None,
        }
        (self.config / ".vigil/manifest.json").write_text(json.dumps(manifest))

    def proc(self, path):
        return self.files.get(path, "")

    def executable(self, pid):
        return self.pointed

    def run(self, argv, **_more):
        self.ran.append(argv)
        return 0, "".join(f"{name}={value}\n" for name, value in self.shown.items())

    def get(self, url, *_access, **_more):
        status, text = self.answers.get(url[len(URL) :], (404, ""))
        return SimpleNamespace(status=status, text=text)

    def module(self):
        params = {
            "docker_host": "unix:///none",
            "state": "present",
            "allow_downgrade": False,
            "data_change": None,
            "history": None,
            "removal": None,
            "keep": [],
            "dump": None,
            "migrations": None,
            "data_of_line": False,
            **self.options,
        }
        return Deployment(Task(SimpleNamespace(params=params, check_mode=True), self))

    def prove(self):
        """Have the module write down what it verified."""
        service = self.module()
        runtime = service.task.runtime
        seen = runtime.inspect()
        verified = service.record.of(runtime.running(seen), self.comparison().asked, seen)
        (self.config / ".vigil/proven.json").write_text(json.dumps(verified))

    def comparison(self):
        return Service(self.options, "python3")

    def compares_equal(self):
        """Whether the controller finds nothing to do."""
        state = self.config / ".vigil"
        verified = json.loads((state / "proven.json").read_text())
        comparison = self.comparison()
        seen = _compare_program.compare(comparison.program_options(), None, self, str(state))
        seen["process"] = seen["process"] if self.proc(f"{PID}/stat") else None
        unit = self.folder / "units/prometheus.service"
        sums = f"{digest(unit.read_bytes())}  {unit}"
        sections = [
            "\n".join(os.listdir(state)),
            (state / "manifest.json").read_text(),
            json.dumps(verified),
            "".join(f"{name}={value}\n" for name, value in self.shown.items()),
            sums,
            "regular file",
            os.readlink(self.link),
            os.path.realpath(self.link),
            "",
            "",
            "",
            "",
            json.dumps(seen),
        ]
        output = "".join(f"{MARK}\n{section}\n" for section in sections) + MARK
        return comparison.matches(output)

    def decided(self):
        """What the module finds to do, in words; None for nothing."""
        service = self.module()
        task, runtime = service.task, service.task.runtime
        manifest, verified, seen = task.state.manifest(), task.state.verified(), runtime.inspect()
        problems = dropin_problems(task)
        if problems:
            return "refused: " + problems[0]
        if make_plan(task, manifest, seen).changes:
            return "change"
        if seen["NeedDaemonReload"] == "yes" or verified["definition"] != runtime.definition(seen):
            return "reread by systemd"
        decision = service.comparison.decide(runtime.running(seen), verified)
        return None if decision.action == "none" else f"{decision.action}: {decision.reason}"


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    made.lay_out()
    made.prove()
    return made


def replaced(path, *pairs):
    def change(host):
        for old, new in pairs:
            assert old in host.files[path]
            host.files[path] = host.files[path].replace(old, new)

    return change


def written(path, text=None):
    """Somebody wrote a file, be it as it was before, and may have had it read in between."""

    def change(host):
        target = host.config / path
        times = os.stat(target) if target.exists() else None
        target.write_text(FILES.get(path, "") if text is None else text)
        if times:
            # As `cp -p` from a copy would: the content and its time are those of before.
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))

    return change


def shown(**properties):
    return lambda host: host.shown.update(properties)


def dropin(text, folder="units/prometheus.service.d", name="override.conf"):
    def change(host):
        (host.folder / folder).mkdir(exist_ok=True)
        (host.folder / folder / name).write_text(text)
        host.shown["DropInPaths"] = str(host.folder / folder / name)

    return change


def both(*changes):
    return lambda host: [change(host) for change in changes]


def another_start(host):
    """The service was started by somebody; long after all files, with nothing else to tell it by."""
    host.files[f"{PID}/stat"] = host.files[f"{PID}/stat"].replace("900000000000", "910000000000")


def before_the_files(host):
    host.files[f"{PID}/stat"] = host.files[f"{PID}/stat"].replace("900000000000", "100")


CMDLINE, ENVIRON, LIMIT = f"{PID}/cmdline", f"{PID}/environ", f"{PID}/limits"
RIGHTS, MOUNTINFO = f"{PID}/status", f"{PID}/mountinfo"
# A state, and how the module's answer begins.
STATES = {
    "the configuration was edited, loaded and put back": (written("prometheus.yml"), "reload: it has not loaded"),
    "a rule file was edited, loaded and put back": (written("rules/vigil.yml"), "reload"),
    "a rule file of somebody's was loaded and is there": (written("rules/theirs.yml", ""), "reload"),
    "a rule file of somebody's was loaded and taken away again": (
        both(written("rules/theirs.yml", ""), lambda host: os.unlink(host.config / "rules/theirs.yml")),
        "reload",
    ),
    "a directory was restored from a backup": (
        both(*map(written, FILES)),
        "reload",
    ),
    "it shows another configuration": (
        lambda host: host.answers.update({"/api/v1/status/config": (200, "global: {a: b}")}),
        "reload",
    ),
    "it was started with an edited configuration that was put back": (
        both(before_the_files, written("prometheus.yml")),
        "reload",
    ),
    "it was started by hand, and shows another configuration": (
        both(another_start, lambda host: host.answers.update({"/api/v1/status/config": (200, "other")})),
        "reload",
    ),
    "other arguments": (
        replaced(CMDLINE, ("12d", "30d")),
        "restart: it runs with --flag=30d instead of --flag=12d",
    ),
    "other arguments, of another start": (both(another_start, replaced(CMDLINE, ("12d", "30d"))), "restart: it runs with"),
    "one argument more": (replaced(CMDLINE, ("12d\0", "12d\0--web.enable-admin-api\0")), "restart"),
    "one argument less": (replaced(CMDLINE, ("--flag=12d\0", "")), "restart"),
    "another variable": (
        replaced(ENVIRON, ("PATH", "GOGC=5\0PATH")),
        "restart: it runs with other variables in its environment (GOGC)",
    ),
    "another value of a variable": (replaced(ENVIRON, ("/bin", "/sbin")), "restart"),
    "one variable less": (replaced(ENVIRON, ("LOGNAME=x\0", "")), "restart"),
    "another unit's process": (replaced(ENVIRON, ("VIGIL_UNIT=", "VIGIL_UNIT=f")), "restart: its unit has changed since it was started"),
    "another limit": (
        replaced(LIMIT, ("65000                65000", "1024                 65000")),
        "restart: it runs with other limits (Max open files: 1024/65000, not 65000/65000)",
    ),
    "another user": (replaced(RIGHTS, ("998\t998\t998\t998", "0\t0\t0\t0")), "restart: it runs with other rights (Uid"),
    "another group": (replaced(RIGHTS, ("Groups:\t998", "Groups:\t998 27")), "restart"),
    "it may gain privileges": (replaced(RIGHTS, ("NoNewPrivs:\t1", "NoNewPrivs:\t0")), "restart"),
    "no filter of system calls": (replaced(RIGHTS, ("Seccomp:\t2", "Seccomp:\t0")), "restart"),
    "all capabilities within reach": (replaced(RIGHTS, ("CapBnd:\t0000", "CapBnd:\tffff")), "restart"),
    "no user namespace of its own": (replaced(f"{PID}/uid_map", ("0 0 1", "0 0 4294967295")), "restart"),
    "a file system that it may write": (replaced(MOUNTINFO, ("/ / ro", "/ / rw")), "restart"),
    "the temporary directory of all": (
        lambda host: host.files.update({MOUNTINFO: MOUNTS.splitlines()[0] + "\n"}),
        "restart",
    ),
    "its binary was deleted": (
        lambda host: setattr(host, "pointed", f"{host.tool} (deleted)"),
        "restart: it runs",
    ),
    "another binary": (lambda host: setattr(host, "pointed", "/usr/bin/prometheus"), "restart"),
    "systemd has yet to read a unit": (shown(NeedDaemonReload="yes"), "reread by systemd"),
    "systemd has read another command line, and its file was put back as it was": (
        shown(ExecStart="{ path=x ; argv[]=x --flag=30d ; ignore_errors=no ; start_time=[n/a] ; pid=4711 }"),
        "reread by systemd",
    ),
    "systemd has read another limit": (shown(LimitNOFILE="1024"), "reread by systemd"),
    "systemd has read another file": (shown(FragmentPath="/run/systemd/transient/x"), "reread by systemd"),
    "the unit was edited": (
        lambda host: (host.folder / "units/prometheus.service").write_text(host.complete.replace("12d", "30d")),
        "change",
    ),
    "the link leads elsewhere": (
        lambda host: (os.unlink(host.link), host.link.symlink_to("/bin/true")),
        "change",
    ),
    "somebody's drop-in changes the command": (dropin("[Service]\nExecStart=\nExecStart=/bin/x\n"), "refused"),
    "somebody's drop-in changes the user": (dropin("[Service]\nUser=root\n"), "refused"),
    "somebody's drop-in changes a limit": (dropin("[Service]\nLimitNOFILE=1024\n"), "refused"),
    "somebody's drop-in sets a limit that we do not": (dropin("[Service]\nLimitCORE=0\n"), "refused"),
    "somebody's drop-in changes the environment": (dropin("[Service]\nEnvironment=GOGC=5\n"), "refused"),
    "somebody's drop-in reads an environment": (dropin("[Service]\nEnvironmentFile=/etc/x\n"), "refused"),
    "somebody's drop-in takes the hardening away": (dropin("[Service]\nProtectSystem=no\n"), "refused"),
    "somebody's drop-in has a line before ours": (dropin("[Service]\nUser=root\n", name="10-a.conf"), "refused"),
    "somebody's drop-in for the time until the next boot": (
        dropin("[Service]\nUser=root\n", folder="system.control", name="prometheus.service"),
        "refused",
    ),
}  # fmt: skip


def test_a_host_as_asked(host):
    assert host.decided() is None
    assert host.compares_equal()


@pytest.mark.parametrize("state", STATES)
def test_a_state_that_is_not_as_asked(host, state):
    change, words = STATES[state]
    change(host)
    found = host.decided()
    assert found is not None and found.startswith(words), found
    assert not host.compares_equal()


INDIFFERENT = {
    "a token beside the configuration was renewed": written("token", "x"),
    "what is discovered from files changed": lambda host: (host.config / "file_sd").mkdir(),
    "a host with more memory": replaced(LIMIT, ("7823", "9999")),
    "variables of another start": replaced(ENVIRON, ("INVOCATION_ID=1", "INVOCATION_ID=2\0JOURNAL_STREAM=8:1\0LANG=C")),
    "a file system that was mounted since": replaced(
        MOUNTINFO, ("91 90", "92 90 0:3 / /mnt rw - ext4 /dev/x rw\n91 90")
    ),
    "times of the last start": shown(
        ExecStart="{ path=x ; argv[]=x --flag=12d ; ignore_errors=no ; start_time=[Mon] ; pid=1 }"
    ),
}


@pytest.mark.parametrize("state", INDIFFERENT)
def test_a_state_that_makes_no_difference(host, state):
    INDIFFERENT[state](host)
    assert host.decided() is None
    assert host.compares_equal()


def test_a_process_of_another_start_is_left_to_the_module_which_finds_it_as_asked(host):
    another_start(host)
    assert host.decided() is None
    assert not host.compares_equal()


def test_nothing_is_told_by_what_the_kernel_does_not_say(host):
    start = _process_state.start(lambda name: host.proc(f"{PID}/{name}"))
    assert other_start({part: {} for part in start}, start) is None
    assert other_start(start, {}) is None
    assert other_start(None, start) is None


def test_no_secret_of_the_environment_is_kept(host):
    host.files[ENVIRON] += "DATA_SOURCE_PASS=sentinel\0"
    other = copy.copy(host.files[ENVIRON]).replace("sentinel", "another")
    kept = [
        _process_state.start(lambda name, text=text: text if name == "environ" else "")
        for text in (host.files[ENVIRON], other)
    ]
    assert kept[0] == kept[1]
    assert kept[0]["environment"]["DATA_SOURCE_PASS"] == ""


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        ("[Service]\nNice=5\nCPUWeight=200\nMemoryMax=1G\nOOMScoreAdjust=-900\n", []),
        ("[Unit]\nAfter=mnt-data.mount\nWants=x.service\n", []),
        ("[Service]\n# User=root\n;LimitNOFILE=1\n", []),
        ("[Service]\nLimitNOFILE=65000\nUser=prometheus\n", []),
        ("[Service]\nReadWritePaths=/srv\nExecStartPre=/bin/true\n", []),
        ("[Service]\nReadWritePaths=\n", []),
        ("[Service]\nExecStartPre=\n", ["ExecStartPre"]),
        ("[Service]\nUser = root\n LimitNOFILE = 1\n", ["LimitNOFILE", "User"]),
        ("[Service]\nExecStart=\nExecStart=/bin/x \\\n  --y\n", ["ExecStart"]),
        ("User=root\n[Install]\nUser=root\n", []),
        ("", []),
    ],
)
def test_what_a_drop_in_overrides(host, text, directives):
    assert _systemd.overridden(host.complete, text) == directives


def test_a_drop_in_of_the_users_own_is_asked_for(host):
    host.options["dropin"] = "[Service]\nExecStart=\nExecStart=/bin/x\n"
    task = host.module().task
    assert task.runtime.expected_arguments(["a"]) is None
    own = host.folder / "units/prometheus.service.d"
    own.mkdir()
    (own / "50-vigil.conf").write_text(host.options["dropin"])
    assert dropin_problems(task) == []
    dropin("[Service]\nUser=root\n")(host)
    (message,) = dropin_problems(task)
    for words in (str(own / "override.conf"), "User", "prometheus_systemd_dropin", "prometheus_take_over: true"):
        assert words in message


def test_a_drop_in_is_taken_away_where_that_is_allowed(host):
    dropin("[Service]\nUser=root\n")(host)
    host.options["take_over"] = True
    task = host.module().task
    assert dropin_problems(task) == []
    path = str(host.folder / "units/prometheus.service.d/override.conf")
    changes = make_plan(task, task.state.manifest(), task.runtime.inspect()).changes
    assert [(change.path, change.kind) for change in changes] == [(path, "remove")]


def test_a_drop_in_that_another_of_its_name_hides(host):
    dropin("")(host)
    dropin("[Service]\nUser=root\n", folder="system.control")(host)
    hidden = host.folder / "system.control" / "override.conf"
    folder = host.folder / "system.control/prometheus.service.d"
    folder.mkdir()
    hidden.rename(folder / "override.conf")
    assert list(host.module().task.runtime.other_dropins()) == [str(folder / "override.conf")]
