"""What somebody else brought to another state, and maybe had loaded or started with it, is corrected by the next run."""

from __future__ import annotations

# An editor's way: the content and its time are those of before afterwards.
EDITED = """cp -p {0} /root/kept; sed -i '{1}' {0}; {2}; sleep 1; cp -p /root/kept {0}"""


def arguments(site, service):
    return site.host.run(f"tr '\\0' ' ' </proc/{site.pid(service)}/cmdline").stdout


def open_files(site, service):
    return site.host.run(f"grep 'Max open files' /proc/{site.pid(service)}/limits").stdout.split()[3]


def loaded(site, url):
    return site.host.run(f"curl -fsS {url}").stdout


def test_what_was_put_back_after_it_was_loaded(site):
    """Editors, reloads and restarts by hand: the files are as specified each time, and what runs is not."""
    host = site.host
    unit = "/etc/systemd/system/prometheus.service"
    restart = "systemctl daemon-reload; systemctl restart prometheus"
    host.run(EDITED.format(unit, "s/retention.time=30d/retention.time=12d/", restart))
    host.run(EDITED.format("/etc/alertmanager/alertmanager.yml", "s/resolve_timeout: .*/resolve_timeout: 47m/",
                           "systemctl reload alertmanager"))  # fmt: skip
    limit = open_files(site, "node_exporter")
    host.run(f"prlimit --nofile=777:777 --pid {site.pid('node_exporter')}")
    assert "retention.time=12d" in arguments(site, "prometheus")
    assert "47m" in loaded(site, "127.0.0.1:9093/api/v2/status")
    assert open_files(site, "node_exporter") == "777"

    site.run("--check").must_be_green(changed=True)
    site.run().must_be_green(changed=True)
    assert "retention.time=30d" in arguments(site, "prometheus")
    assert "47m" not in loaded(site, "127.0.0.1:9093/api/v2/status")
    assert open_files(site, "node_exporter") == limit
    pids = {service: site.pid(service) for service in site.groups}
    site.run().must_be_green(changed=False)
    assert pids == {service: site.pid(service) for service in site.groups}

    # The same with rules that were loaded, and with a process that was started with what is there no longer.
    rules = host.run("ls /etc/prometheus/rules/*.yml | head -1").stdout.strip()
    host.run(EDITED.format(rules, "s/alert: /alert: Edited/", "systemctl reload prometheus"))
    host.run(EDITED.format("/etc/alertmanager/alertmanager.yml", "s/resolve_timeout: .*/resolve_timeout: 48m/",
                           "systemctl restart alertmanager"))  # fmt: skip
    node = host.run("readlink -f /usr/local/bin/node_exporter").stdout.strip()
    host.run(f"cp -p {node} /root/node; rm {node}; cp -p /root/node {node}")
    assert "Edited" in loaded(site, "127.0.0.1:9090/api/v1/rules")
    site.run().must_be_green(changed=True)
    assert "Edited" not in loaded(site, "127.0.0.1:9090/api/v1/rules")
    assert "48m" not in loaded(site, "127.0.0.1:9093/api/v2/status")
    assert host.run(f"readlink /proc/{site.pid('node_exporter')}/exe").stdout.strip() == node
    site.run().must_be_green(changed=False)


def test_a_drop_in_of_somebody_else(site):
    """It is named with the way out, also in check mode, and kept where it only adds what is nobody's business."""
    host, folder = site.host, "/etc/systemd/system/alertmanager.service.d"
    put = "mkdir -p {0}; printf '[Service]\\n{1}\\n' >{0}/override.conf; systemctl daemon-reload; systemctl restart alertmanager"
    host.run(put.format(folder, "Nice=5"))
    site.run().must_be_green()
    host.run(put.format(folder, "LimitNOFILE=1024\\nEnvironment=GOGC=5"))
    words = (
        f"{folder}/override.conf",
        "Environment, LimitNOFILE",
        "alertmanager_systemd_dropin",
        "alertmanager_take_over",
    )
    before = site.state()
    site.run("--check").must_be_red(*words)
    site.run().must_be_red(*words)
    assert site.state() == before
    site.variables["alertmanager_take_over"] = True
    site.run().must_be_green(changed=True)
    assert host.run(f"ls {folder}", check=False).stdout == ""
    environment = host.run(f"tr '\\0' '\\n' </proc/{site.pid('alertmanager')}/environ").stdout
    assert "GOGC" not in environment
    assert open_files(site, "alertmanager") != "1024"
    site.run().must_be_green(changed=False)


def test_the_verification_alone_compares_too(site):
    """What the inventory specifies now, and what somebody did to the host, without a run of the roles in between."""
    verify = {"playbook": "playbooks/verify.yml"}
    site.run(**verify).must_be_green(changed=False)
    before = site.state()
    site.variables["prometheus_storage_retention"] = "12d"
    site.variables["alertmanager_resolve_timeout"] = "9m"
    site.host.run(f"prlimit --nofile=777:777 --pid {site.pid('node_exporter')}")
    site.run(**verify).must_be_red(
        "MONITORING: 0 of 3 services verified, 3 failed",
        "it runs with --storage.tsdb.retention.time=30d instead of --storage.tsdb.retention.time=12d",
        "its configuration differs from the inventory (alertmanager.yml)",
        "it runs with other limits (Max open files: 777/777",
        "run site.yml",
    )
    assert site.state() == before
