"""`make demo`: an application in production on two lab hosts of this machine, monitored by the real site.yml.

The hosts have a Docker engine of their own, so that the services can become containers, and systemd services again.
`make demo-break` stops its database and shows what arrives in which channel, and when.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from . import application, containers, engine, fleet, hosts, mirror, registry, stack, stages, venv
from .common import ROOT, STATE, LabError, run, say, step
from .sink import Message
from .stack import Stack

GROUP = "demo"
ADDRESSES = STATE / "demo.json"
SUITES = {name: f"{suite}-docker" for name, suite in stack.SUITES.items()}
# What the services may run under, and how a person calls them there.
RUNTIMES = {"systemd": "systemd services", "docker": "containers"}
# Of the pages of synthetic hosts.
FLEET_PORT = 9200
# The registry's port is part of the images' names, so it has to be the same one the next time.
REGISTRY_PORT = 15000
# None of the collection's.
OPEN = ("application",)
# What to open in a browser or with curl: group -> (port, path that answers when the service is ready).
SERVICES = {
    "prometheus": (9091, "/-/ready"),
    "alertmanager": (9093, "/-/ready"),
    "node_exporter": (9100, "/metrics"),
    "blackbox_exporter": (9115, "/-/healthy"),
    "postgres_exporter": (9187, "/metrics"),
    # HAProxy serves it.
    "cadvisor": (18080, "/healthz"),
    "application": (8000, "/health"),
    "grafana": (3000, "/api/health"),
}
# The dead man's switch is told all the time, of nothing.
QUIET = "deadmansswitch"
# What a stopped database brings at once, and what ends with it. The page is the last stage.
BROKEN = ("PostgresDown", "ProbeFailed")
LAST_STAGE = "page"
# How a person calls the channels of a kind.
CALLED = {"slack": "Slack #{}", "email": "mail to {}", "pagerduty": "PagerDuty, {}"}
# By far more than the inventory's waits add up to.
PATIENCE = 180


def up(runtime: str = "systemd", synthetic: int = 0) -> int:
    """Boot what is missing, deploy, and print the URLs; returns the exit status of ansible-playbook.

    :param runtime: key of RUNTIMES. Services that run under the other one change to it, with their data.
    :param synthetic: how many synthetic hosts Prometheus scrapes besides, on a bad night of theirs.
    """
    venv.ensure()
    stages.prepare()
    booted = hosts.boot_all(SUITES, GROUP, {stack.PRODUCTION: application.image(SUITES[stack.PRODUCTION])})
    made = Stack(*booted, ADDRESSES)
    # It may still be stopped where demo-break was killed.
    made.application.postgresql("start")
    before = made.written().get("monitoring_runtime", runtime)
    if before != runtime:
        say(f"what runs as {RUNTIMES[before]} becomes {RUNTIMES[runtime]} now, and keeps its data")
    with _variables(runtime) as variables:
        variables = {**variables, **_fleet(made, synthetic)}
        # The addresses are the lab's own, so they stand beside the inventory and not in it.
        made.write(**variables)
        argv = made.command()
        say(f"monitoring_runtime: {runtime}, and where the hosts are, stand in {ADDRESSES.relative_to(ROOT)}")
        say("$ " + " ".join(argv).replace(f"{ROOT}/", ""))
        environment = stages.environment()
        del environment["ANSIBLE_NOCOLOR"], environment["NO_COLOR"]
        with step("ansible-playbook"):
            code = subprocess.call(argv, cwd=ROOT, env=environment)
    if code:
        say("the deployment failed: see above")
        return code
    for service, host in _placed(booted):
        port, path = SERVICES[service]
        url = f"{'http' if service in OPEN else 'https'}://{host.ip}:{port}"
        print(f"{service:18} {host.name:12} {url:28} {_answer(made, url + path)}", flush=True)
    print(f"{'messages':18} {made.production.name:12} {made.application.sink}/messages", flush=True)
    if not mirror.grafana():
        say(f"without Grafana: {mirror.without_grafana()}")
    say(f"log in as admin with the password {stack.PASSWORD}; browsers trust the certificates once they know")
    say(f"{(made.authority / 'ca.crt').relative_to(ROOT)}")
    again, other = ("make demo", "make demo RUNTIME=docker")[:: 1 if runtime == "systemd" else -1]
    (others,) = (called for name, called in RUNTIMES.items() if name != runtime)
    say(f"{again} again: nothing changes; {other} makes {others} of it")
    if not synthetic:
        say("make demo HOSTS=33 adds synthetic hosts on a bad night, for the dashboards of a fleet")
    say("make demo-break stops the database and shows who is told of it")
    look = "bash" if runtime == "systemd" else "docker ps"
    say(f"make demo-down removes it all; docker exec -it {made.monitoring.name} {look} looks inside")
    return 0


def _fleet(made: Stack, count: int) -> dict[str, object]:
    """Have the pages of so many synthetic hosts on the production host; what the inventory says of them."""
    host, shown = made.production, fleet.Fleet(count, bad=True)
    host.run("systemctl stop fleet", check=False)
    if not count:
        return {}
    run(["docker", "cp", fleet.__file__, f"{host.name}:/opt/fleet.py"])
    host.run(f"systemd-run --collect --unit=fleet /usr/bin/python3 /opt/fleet.py {count} {FLEET_PORT} bad")
    say(f"{count} synthetic hosts have a bad night: one is down, one is busy, one is short of memory, a disk fills up")
    lost = [shown.target(number) for number in range(count) if shown.down(number, time.time())]
    return {
        "prometheus_scrape_configs": [fleet.scrape_config(shown, f"{host.ip}:{FLEET_PORT}")],
        "monitoring_verify_ignore": [{"job": one["job"], "instance": re.escape(one["instance"])} for one in lost],
    }


def broken() -> int:
    """Stop the database, print what arrives until the last stage is told, and the same for its end; the exit status."""
    made = _made()
    shop = made.application
    say(
        "waits are scaled down here (inventories/demo): alerts fire after 10 s, by default after minutes; the stages are"
    )
    say("due after 5 s, 20 s and 40 s, by default after 10 s, 2 min and 4 min. This takes a minute or two.")
    shown, began = shop.messages(), time.time()
    _tell(began, began, "PostgreSQL is stopped")
    shop.postgresql("stop")
    try:
        reached = _follow(made, began, shown, {(LAST_STAGE, alert) for alert in BROKEN}, "CRITICAL")
    finally:
        _tell(began, time.time(), "PostgreSQL is started again")
        shop.postgresql("start")
    told = {(channel, alert) for channel, alert, word in map(_about, shown) if alert in BROKEN and word == "CRITICAL"}
    over = _follow(made, began, shown, told, "RESOLVED")
    rest = sorted({name for name, severity in made.firing() if severity != "none"})
    if rest:
        say(f"still firing: {', '.join(rest)}; what looks at the last five minutes ends when those are over")
    if not (reached and over):
        say(f"not everything arrived within {PATIENCE} s: is `make demo` green, and is nothing silenced?")
        return 1
    return 0


def down() -> None:
    """Remove the demo's hosts, and the engine if this clone started it and nobody else uses it."""
    if engine.answers():
        gone = hosts.down(GROUP)
        say("removed " + (", ".join(gone) or "nothing: no demo host is there"))
    shutil.rmtree(Stack(None, None, ADDRESSES).authority, ignore_errors=True)
    ADDRESSES.unlink(missing_ok=True)
    engine.stop()
    say(f"kept for the next time: .venv, the images vigil-lab* and the mirror {mirror.path()}")


@contextlib.contextmanager
def _variables(runtime: str) -> Iterator[dict[str, str]]:
    """What the inventory says for this runtime. In a `with` block, as containers need a registry that has their images."""
    if runtime != "docker":
        yield {"monitoring_runtime": runtime}
        return
    usual = [program for program in containers.SHAPES if not mirror.PROGRAMS[program].by_hand]
    wanted = [*map(containers.image, usual), *map(containers.grafana, mirror.grafana()[-1:])]
    with contextlib.ExitStack() as served:
        with step(f"putting {len(wanted)} images into a registry on the hosts' bridge"):
            address = served.enter_context(registry.serve(*wanted, port=REGISTRY_PORT)).address
        yield {"monitoring_runtime": runtime, "monitoring_image_registry": address}


def _made() -> Stack:
    """The demo that runs; LabError where none does."""
    if not engine.answers() or not ADDRESSES.exists():
        raise LabError("there is no demo: run `make demo` first")
    return Stack(hosts.find(stack.MONITORING), hosts.find(stack.PRODUCTION), ADDRESSES)


def _follow(made: Stack, began: float, shown: list[Message], wanted: set[tuple[str, str]], word: str) -> bool:
    """Print messages as they arrive until each wanted channel was told this of its alert; whether all were in time.

    :param shown: the messages so far; those that arrive are added.
    """
    missing, deadline = set(wanted), time.monotonic() + PATIENCE
    while missing and time.monotonic() < deadline:
        time.sleep(0.5)
        for one in made.application.messages()[len(shown) :]:
            shown.append(one)
            channel, alert, said = _about(one)
            if channel != QUIET:
                _tell(began, one.at, f"{CALLED.get(one.kind, '{}').format(channel):28} {one.title}")
            if said == word:
                missing.discard((channel, alert))
    return not missing


def _about(message: Message) -> tuple[str, str, str]:
    """The channel of a message, its alert, and the word that it begins with."""
    found = re.match(r"\[(\w+)[^]]*\] (\w+):", message.title)
    return message.channel, *((found[2], found[1]) if found else ("", ""))


def _tell(began: float, at: float, text: str) -> None:
    print(f"+{at - began:4.0f} s  {text}", flush=True)


def _placed(booted: list[hosts.Host]) -> list[tuple[str, hosts.Host]]:
    """Which service is on which host, by the demo's inventory."""
    argv = [venv.tool("ansible-inventory"), "-i", "inventories/demo", "-i", str(ADDRESSES), "--list"]
    done = subprocess.run(argv, cwd=ROOT, env=stages.environment(), capture_output=True, text=True, check=True)
    inventory = json.loads(done.stdout)
    groups = {name: inventory.get(name, {}) for name in SERVICES}
    # The database's exporter is where the database is.
    for group in groups.values():
        for child in group.get("children", []):
            group.setdefault("hosts", []).extend(inventory[child].get("hosts", []))
    return [(name, host) for name in SERVICES for host in booted if host.name in groups[name].get("hosts", [])]


def _answer(made: Stack, url: str) -> str:
    try:
        with made.opened(url) as response:
            return "ready" if response.status == 200 else f"answers {response.status}"
    except (urllib.error.URLError, OSError) as error:
        if "certificate required" in str(error).replace("_", " ").lower():
            return "ready, for holders of a client certificate"
        return f"does not answer: {error}"
