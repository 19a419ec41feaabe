"""The lab's command line: see `python -m lab --help`."""

from __future__ import annotations

import argparse
import pathlib
import signal
import subprocess
import sys
import threading

from . import containers, demo, engine, hosts, images, mirror, mutation, site, stages, venv
from .common import ROOT, LabError, say


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="lab", description="Real systemd hosts and a release mirror for the tests and the demo."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("venv", help="make sure that .venv holds the tools that pyproject.toml pins")
    commands.add_parser("lock", help="write the lock files in requirements/ anew, from pyproject.toml")
    commands.add_parser("audit", help="tell of known vulnerabilities in what the lock files list; needs a network")
    commands.add_parser("sbom", help="build the collection and the list of its components in build/release")
    commands.add_parser("engine", help="make sure that a Docker engine answers")
    commands.add_parser("images", help="make sure that the hosts' images are there")
    commands.add_parser("mirror", help="make sure that the release mirror is there, and print where")
    commands.add_parser("prepare", help="all of engine, mirror and images")
    archive = commands.add_parser("archive", help="write archives of the services' images, as docker save does")
    archive.add_argument("folder", type=pathlib.Path)
    test = commands.add_parser("test", help="run the tests, all or some stages")
    test.add_argument("stages", nargs="*", metavar="STAGE")
    one = commands.add_parser("one", help="run one test, or some: arguments of pytest, after a --")
    one.add_argument("arguments", nargs="+")
    mutate = commands.add_parser("mutation", help="count the changes of decisions that no unit test notices")
    mutate.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(mutation.SUBJECTS))
    bench = commands.add_parser("bench", help="run the benchmark")
    bench.add_argument("arguments", nargs="*", help="its own, after a --: see tests/bench/run.py --help")
    show = commands.add_parser("demo", help="deploy an application and its monitoring to two lab hosts")
    show.add_argument("runtime", nargs="?", choices=tuple(demo.RUNTIMES), default="systemd")
    show.add_argument("--hosts", type=int, default=0, help="synthetic hosts besides, on a bad night of theirs")
    commands.add_parser("demo-break", help="stop the demo's database, show who is told of it, and start it again")
    commands.add_parser("demo-down", help="remove what the demo made, and nothing else")
    core = commands.add_parser("test-core", help="deploy, check and deploy again with another ansible-core")
    core.add_argument("version", help="such as 2.21, or 2.21.5")
    commands.add_parser("pictures", help="draw the documentation's pictures of a real deployment")
    drawn = commands.add_parser("gallery", help="draw the dashboards over a synthetic fleet, into build/gallery")
    drawn.add_argument("hosts", type=int, nargs="?", default=33)
    drawn.add_argument("night", nargs="?", choices=("quiet", "bad"), default="quiet")
    drawn.add_argument("uids", nargs="*", metavar="UID", help="of dashboards; all when none is given")
    built = commands.add_parser("site", help="build the documentation site in build/site/html")
    built.add_argument(
        "--external", action="store_true", help="check its links to other sites instead; needs a network"
    )
    commands.add_parser("ls", help="list the hosts")
    up = commands.add_parser("up", help="boot hosts (or keep those that run)")
    up.add_argument("names", nargs="+", metavar="NAME[:SUITE]")
    up.add_argument("--group", default="lab")
    down = commands.add_parser(
        "down", help="remove hosts: those named, those of a group, or with --all every one of the lab's"
    )
    down.add_argument("names", nargs="*", metavar="NAME")
    down.add_argument("--group")
    down.add_argument("--all", action="store_true")
    down.add_argument("--engine", action="store_true", help="end the Docker engine too, if this clone started it")
    serve = commands.add_parser("serve", help="serve the mirror over HTTP, to the lab's hosts too")
    serve.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        return globals()[f"_{options.command.replace('-', '_')}"](options) or 0
    except LabError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _venv(_options) -> None:
    venv.ensure()


def _lock(_options) -> None:
    venv.ensure()
    venv.write_locks()


def _audit(_options) -> None:
    venv.audit()


def _sbom(_options) -> None:
    venv.ensure()
    for path in venv.sbom(ROOT / "build" / "release"):
        say(str(path.relative_to(ROOT)))


def _engine(_options) -> None:
    engine.ensure()


def _images(_options) -> None:
    engine.ensure()
    images.ensure()


def _mirror(_options) -> None:
    print(mirror.ensure())


def _prepare(_options) -> None:
    stages.prepare()


def _archive(options) -> None:
    options.folder.mkdir(parents=True)
    for program in (name for name in containers.SHAPES if not mirror.PROGRAMS[name].by_hand):
        containers.save(options.folder / f"{program}.tar", [containers.image(program)])


def _test(options) -> int:
    return stages.test(options.stages)


def _one(options) -> int:
    return stages.one(options.arguments)


def _mutation(options) -> int:
    return mutation.run(options.subjects)


def _bench(options) -> int:
    return stages.bench(options.arguments)


def _demo(options) -> int:
    return demo.up(options.runtime, options.hosts)


def _demo_break(_options) -> int:
    return demo.broken()


def _demo_down(_options) -> None:
    demo.down()


def _test_core(options) -> int:
    return stages.test_core(options.version)


def _gallery(options) -> int:
    venv.ensure()
    # In .venv, whose packages draw them.
    arguments = [str(options.hosts), options.night, *options.uids]
    return subprocess.call([venv.tool("python"), "-m", "lab.gallery", *arguments], env=stages.environment())


def _pictures(_options) -> int:
    venv.ensure()
    # In .venv, whose packages draw them.
    return subprocess.call(
        [venv.tool("python"), "-c", "from lab import pictures; pictures.make()"], env=stages.environment()
    )


def _site(options) -> int:
    return site.build(ROOT / "build" / "site", "linkcheck" if options.external else "html")


def _ls(_options) -> None:
    for host in hosts.listing():
        print(f"{host.name}\t{host.suite}\t{host.ip}")


def _up(options) -> None:
    engine.ensure()
    wanted = {}
    for text in options.names:
        name, _colon, suite = text.partition(":")
        wanted[name] = suite or "trixie"
    for host in hosts.boot_all(wanted, options.group):
        print(f"{host.name}\t{host.suite}\t{host.ip}")


def _down(options) -> None:
    if not (options.names or options.group or options.all):
        raise LabError("down wants names, --group GROUP or --all")
    if engine.answers():
        gone = hosts.down(options.group, options.names or None)
        say("removed " + (", ".join(gone) or "nothing: no such host is there"))
    if options.engine:
        engine.stop()


def _serve(options) -> None:
    with mirror.serve(hosts.gateway(), options.port) as server:
        print(server.url, flush=True)
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_signal: stop.set())
        stop.wait()


if __name__ == "__main__":
    sys.exit(main())
