# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporters of the application stack, beside a real PostgreSQL: its role, its secrets, its absence, the probes.

One host for all tests, in the order in which they stand; each leaves it converged.
"""

from __future__ import annotations

import re

import pytest
from conftest import EXPORTERS, Site, base_variables

from lab import hosts, mirror
from lab.application import with_postgresql

pytestmark = pytest.mark.xdist_group("exporters")

PASSWORD = "Sentinel-Vault-71"
NEXT_PASSWORD = "Sentinel-Vault:72\\'$"
DATABASE = ("postgres_exporter",)


class Stack(Site):
    """A host with PostgreSQL and both exporters."""

    def sql(self, statement: str) -> str:
        """What PostgreSQL's administrator gets for a statement."""
        return self.host.run("cd / && su postgres -c 'psql -XAtq -v ON_ERROR_STOP=1'", stdin=statement).stdout.strip()

    def postgresql(self, verb: str) -> None:
        """Start or stop the server itself: the unit `postgresql` only stands for it, and does not wait."""
        self.host.run(f"systemctl {verb} postgresql@$(ls /etc/postgresql)-main")

    def pg_up(self) -> str:
        metrics = self.host.run("curl -fsS http://127.0.0.1:9187/metrics").stdout
        return re.search(r"(?m)^pg_up (\S+)$", metrics)[1]

    def probe(self, module: str, target: str) -> str:
        """`probe_success` of one probe, asked of the exporter itself."""
        url = f"http://127.0.0.1:9115/probe?module={module}&target={target}"
        return re.search(r"(?m)^probe_success (\S+)$", self.host.run(f"curl -fsS '{url}'").stdout)[1]


@pytest.fixture(scope="module")
def host():
    with hosts.host("trixie", group="fault", image=with_postgresql("trixie")) as made:
        yield made


@pytest.fixture
def stack(host, tmp_path):
    """The host with its variables as the first deployment had them: no password, the server's socket."""
    versions = mirror.versions()
    variables = {
        **base_variables(),
        **{f"{service}_version": versions[service]["new"] for service in EXPORTERS},
        **{f"{service}_ready_timeout": 20 for service in EXPORTERS},
        "postgres_exporter_database": "shop",
        "postgres_exporter_manage_role": True,
        "monitoring_verify_timeout": 2,
    }
    return Stack(host, tmp_path, variables, EXPORTERS)


def test_the_first_deployment_makes_the_role_with_the_right_to_look_and_nothing_more(stack):
    stack.sql("CREATE DATABASE shop; REVOKE CONNECT ON DATABASE shop FROM PUBLIC;")
    outcome = stack.run("--check", "--diff", groups=DATABASE).must_be_green(changed=True)
    assert 'GRANT pg_monitor TO "postgres-exp";' in outcome.output
    assert stack.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'postgres-exp'") == "0"

    outcome = stack.run().must_be_green(changed=True)
    assert "MONITORING: 2 of 2 services verified" in outcome.output
    assert stack.pg_up() == "1"
    assert stack.sql("SELECT string_agg(g.rolname, ',') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid"
                     " JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = 'postgres-exp'") == "pg_monitor"  # fmt: skip
    attributes = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
    assert stack.sql(f"SELECT {attributes} FROM pg_roles WHERE rolname = 'postgres-exp'") == "f"


def test_a_password_reaches_the_service_and_nobody_else(stack):
    stack.variables["postgres_exporter_password"] = PASSWORD
    outcome = stack.run("-vvv", "--diff", groups=DATABASE).must_be_green(changed=True)
    assert PASSWORD not in outcome.output
    assert stack.pg_up() == "1"
    places = "/etc /var/log /var/lib/postgresql /run/systemd /tmp /opt /root"
    found = stack.host.run(f"grep -rlF {PASSWORD} {places}", check=False).stdout.split()
    assert found == ["/etc/postgres_exporter/postgres_exporter_pass"]
    assert stack.host.run(f"stat -c '%a %U %G' {found[0]}").stdout.strip() == "640 root postgres-exp"
    assert PASSWORD not in stack.host.run("cat /proc/[0-9]*/cmdline; systemctl show postgres_exporter").stdout
    assert PASSWORD not in stack.host.run("journalctl --no-pager --output=cat").stdout
    environment = f"cat /proc/{stack.pid('postgres_exporter')}/environ"
    assert PASSWORD not in stack.host.run(environment).stdout


def test_another_password_is_taken_up_by_both_sides(stack):
    stack.variables["postgres_exporter_password"] = NEXT_PASSWORD
    stack.run(groups=DATABASE).must_be_green(changed=True)
    assert stack.pg_up() == "1"
    # Somebody changes it in the database: the next run sees that, although nothing changed here.
    stack.sql("ALTER ROLE \"postgres-exp\" PASSWORD 'something else'")
    stack.run(groups=DATABASE).must_be_green(changed=True)
    stack.run().must_be_green(changed=False)


def test_what_a_failed_deployment_did_to_the_role_goes_back_with_it(stack):
    """The password of a role that was there, and a role that was not; on the server that the exporter logged in to before."""
    stack.variables["postgres_exporter_password"] = NEXT_PASSWORD
    stored = stack.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres-exp'")
    broken = {
        "postgres_exporter_systemd_dropin": "[Service]\nExecStartPre=/bin/false\n",
        "postgres_exporter_web_listen_address": "127.0.0.1:9287",
    }
    stack.variables.update(broken, postgres_exporter_password="Sentinel-Other-75")
    outcome = stack.run(groups=DATABASE)
    outcome.must_be_red(
        "The role postgres-exp in the database was restored",
        "was restored and is healthy again at http://127.0.0.1:9187/metrics",
    )
    assert "Sentinel-Other-75" not in outcome.output
    assert stack.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres-exp'") == stored
    assert stack.pg_up() == "1"
    stack.variables["postgres_exporter_username"] = "stranger"
    stack.run(groups=DATABASE).must_be_red("The role stranger in the database was restored", "is healthy again")
    assert stack.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'stranger'") == "0"
    assert stack.pg_up() == "1"
    # A later failure that comes before the switch has not changed it at all.
    stack.variables.update(postgres_exporter_systemd_dropin="", postgres_exporter_config_flags_extra={"no.such": "1"})
    stack.run(groups=DATABASE).must_be_red("does not know the flag --no.such")
    assert stack.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'stranger'") == "0"
    kept = stack.host.run("ls /etc/postgres_exporter/.vigil").stdout.split()
    # The program of the comparison bears the digest of its text.
    assert [name.partition("-")[0] for name in kept] == [
        "asked.json",
        "comparison",
        "manifest.json",
        "previous",
        "proven.json",
    ]


def test_a_wrong_password_is_taken_back(stack):
    stack.variables.update(postgres_exporter_password="Sentinel-Wrong-73", postgres_exporter_manage_role=False)
    outcome = stack.run(groups=DATABASE)
    outcome.must_be_red("its database is unreachable (pg_up is 0), and it did before the change")
    outcome.must_be_red("password authentication failed", "was restored and is healthy again")
    assert "Sentinel-Wrong-73" not in outcome.output
    assert stack.pg_up() == "1"


def test_a_password_that_was_always_wrong_is_red_in_the_exporters_own_words(stack):
    stored = stack.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres-exp'")
    stack.sql("ALTER ROLE \"postgres-exp\" PASSWORD 'something else'")
    stack.host.run("systemctl restart postgres_exporter")
    outcome = stack.run(playbook="playbooks/verify.yml", groups=DATABASE)
    outcome.must_be_red("postgres_exporter on subject: its database is unreachable", "password authentication failed")
    stack.sql(f"ALTER ROLE \"postgres-exp\" PASSWORD '{stored}'")
    stack.host.run("systemctl restart postgres_exporter")


def test_a_database_that_is_down_takes_no_exporter_back(stack):
    """Not even one that is changed just then; that the verification fails says whose fault it is."""
    stack.variables["postgres_exporter_password"] = NEXT_PASSWORD
    stack.postgresql("stop")
    stack.variables["postgres_exporter_log_level"] = "warn"
    outcome = stack.run(groups=DATABASE)
    outcome.must_be_red(
        "the database cannot be reached, so the role postgres-exp was not checked",
        # The other one is there, and this inventory has it in no group.
        "0 of 2 services verified, 1 failed, 1 not fully verified",
        "connect: connection refused",
    )
    assert stack.host.run("grep -c log.level=warn /etc/systemd/system/postgres_exporter.service").stdout.strip() == "1"
    stack.postgresql("start")
    assert stack.pg_up() == "1"


def test_a_role_that_may_do_more_is_left_alone(stack):
    stack.sql("CREATE ROLE boss SUPERUSER LOGIN; GRANT pg_read_server_files TO boss")
    stack.variables["postgres_exporter_name"] = "postgresql://boss:Sentinel-Boss-74@localhost/shop?sslmode=disable"
    pid = stack.pid("postgres_exporter")
    outcome = stack.run(groups=DATABASE)
    outcome.must_be_red(
        "boss exists and has more privileges than pg_monitor: SUPERUSER, membership in pg_read_server_files"
    )
    assert stack.pid("postgres_exporter") == pid
    assert stack.sql("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'boss'") == "t"
    assert "Sentinel-Boss-74" not in outcome.output
    # So is one that owns something, in whatever database.
    stack.sql("CREATE ROLE owner LOGIN; CREATE TABLE theirs (a int); ALTER TABLE theirs OWNER TO owner")
    stack.variables["postgres_exporter_name"] = "postgresql://owner:Sentinel-Boss-74@localhost/shop?sslmode=disable"
    stack.run(groups=DATABASE).must_be_red("the ownership of 1 table in the database postgres")


@pytest.mark.parametrize(
    "modules, words",
    [
        # The binary's own check accepts any prober, so this one is ours.
        ({"web": {"prober": "htp"}}, "did you mean http?"),
        ({"web": {"prober": "http", "http": {"metod": "GET"}}}, "field metod not found in type config.plain"),
    ],
)
def test_a_module_that_cannot_work_harms_nothing(stack, modules, words):
    before, pid = stack.fingerprint("/etc/blackbox_exporter"), stack.pid("blackbox_exporter")
    stack.variables["blackbox_exporter_configuration_modules"] = modules
    stack.run(groups=("blackbox_exporter",)).must_be_red(words)
    assert (stack.fingerprint("/etc/blackbox_exporter"), stack.pid("blackbox_exporter")) == (before, pid)


def test_modules_are_reloaded_and_only_icmp_needs_a_right_of_its_own(stack):
    pid = stack.pid("blackbox_exporter")
    assert stack.probe("icmp", "127.0.0.1") == "1"
    status = stack.host.run(f"cat /proc/{pid}/status").stdout
    assert re.search(r"CapEff:\s+0000000000002000\n", status), status
    modules = {"icmp": {"prober": "icmp"}, "quick": {"prober": "tcp", "timeout": "1s"}}
    stack.variables["blackbox_exporter_configuration_modules"] = modules
    stack.run(groups=("blackbox_exporter",)).must_be_green(changed=True)
    assert stack.pid("blackbox_exporter") == pid
    assert stack.probe("quick", "127.0.0.1:5432") == "1"
    assert stack.probe("quick", "127.0.0.1:1") == "0"
    del modules["icmp"]
    stack.run(groups=("blackbox_exporter",)).must_be_green(changed=True)
    status = stack.host.run(f"cat /proc/{stack.pid('blackbox_exporter')}/status").stdout
    assert re.search(r"CapEff:\s+0000000000000000\n", status), status


def test_probes_are_expected_and_a_page_that_is_down_is_no_fault_of_the_monitoring(stack):
    stack.variables["monitoring_probes"] = [
        {"name": "self", "module": "http_2xx", "group": "prometheus", "targets": ["http://{address}:9115/"]},
        {"module": "tcp_connect", "targets": ["127.0.0.1:1"], "labels": {"team": "shop"}},
    ]
    stack.variables["monitoring_verify_timeout"] = 30
    outcome = stack.run(groups=("blackbox_exporter", "prometheus")).must_be_green(changed=True)
    assert re.search(r"prometheus +subject +\S+ +4/4", outcome.output), outcome.output
    answer = stack.host.run("curl -fsS 'http://127.0.0.1:9090/api/v1/query?query=probe_success'").stdout
    assert '"instance":"http://127.0.0.1:9115/","job":"blackbox_http_2xx","probe":"self"},"value":[' in answer
    assert re.search(
        r'"instance":"127.0.0.1:1","job":"blackbox_tcp_connect","team":"shop"},"value":\[[^]]+"0"\]', answer
    )


def test_a_removal_takes_the_role_along_where_that_is_asked(stack):
    stack.variables.update({f"{service}_state": "absent" for service in EXPORTERS})
    stack.variables["postgres_exporter_purge_data"] = True
    stack.run().must_be_green(changed=True)
    assert stack.host.run("ls -d /etc/*_exporter", check=False).stdout == ""
    assert stack.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'postgres-exp'") == "0"
