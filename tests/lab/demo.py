"""`make demo`: the real site.yml over inventories/demo, on two lab hosts of this machine."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request

from . import engine, hosts, mirror, stages, venv
from .common import ROOT, STATE, say, step

GROUP = "demo"
HOSTS = {"vigil-demo1": "trixie", "vigil-demo2": "bookworm"}
ADDRESSES = STATE / "demo.json"
# What to open in a browser or with curl: group -> (port, path that answers when the service is ready).
SERVICES = {
    "prometheus": (9091, "/-/ready"),
    "alertmanager": (9093, "/-/ready"),
    "node_exporter": (9100, "/metrics"),
    "blackbox_exporter": (9115, "/-/healthy"),
    "postgres_exporter": (9187, "/metrics"),
}


def up() -> int:
    """Boot what is missing, deploy, and print the URLs; returns the exit status of ansible-playbook."""
    venv.ensure()
    stages.prepare()
    booted = hosts.boot_all(HOSTS, GROUP)
    STATE.mkdir(exist_ok=True)
    # The addresses are the lab's own, so they stand beside the inventory and not in it.
    ADDRESSES.write_text(
        json.dumps({"all": {"hosts": {host.name: {"monitoring_address": host.ip} for host in booted}}}),
        encoding="utf-8",
    )
    argv = [venv.tool("ansible-playbook"), "site.yml", "-i", "inventories/demo", "-i", str(ADDRESSES.relative_to(ROOT))]
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
        url = f"http://{host.ip}:{port}"
        print(f"{service:14} {host.name:12} {url:28} {_answer(url + path)}", flush=True)
    say("make demo again: nothing changes; make demo-down removes it; docker exec -it vigil-demo1 bash looks inside")
    return 0


def down() -> None:
    """Remove the demo's hosts, and the engine if this clone started it and nobody else uses it."""
    if engine.answers():
        gone = hosts.down(GROUP)
        say("removed " + (", ".join(gone) or "nothing: no demo host is there"))
    ADDRESSES.unlink(missing_ok=True)
    engine.stop()
    say(f"kept for the next time: .venv, the images vigil-lab:* and the mirror {mirror.path()}")


def _placed(booted: list[hosts.Host]) -> list[tuple[str, hosts.Host]]:
    """Which service is on which host, by the demo's inventory."""
    argv = [venv.tool("ansible-inventory"), "-i", "inventories/demo", "--list"]
    done = subprocess.run(argv, cwd=ROOT, env=stages.environment(), capture_output=True, text=True, check=True)
    inventory = json.loads(done.stdout)
    return [
        (name, host) for name in SERVICES for host in booted if host.name in inventory.get(name, {}).get("hosts", [])
    ]


def _answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return "ready" if response.status == 200 else f"answers {response.status}"
    except (urllib.error.URLError, OSError) as error:
        return f"does not answer: {error}"
