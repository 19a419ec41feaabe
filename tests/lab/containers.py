"""Container images of the services in upstream's shape, made of the release mirror's programs.

    image = containers.image("prometheus", "new")
    host.load(image)                                          without a registry
    with registry.serve(image) as served: served.name(image)  to be pulled

An image has upstream's repository, tag, entry point, arguments, user, folders and labels. No engine builds it: its
layers are packed here, so that the same programs make the same digest on every machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import mirror
from .common import cache_dir, locked, run

# Raise it when the way in which layers are packed changes.
FORMAT = 1
NOBODY = 65534
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
USERS = {"root": (0, "/root", "/bin/sh"), "nobody": (NOBODY, "/home", "/bin/false")}


@dataclass(frozen=True)
class Shape:
    """What upstream's Dockerfile says of a program.

    :ivar repository: below the host of the registry, which is ``upstream``.
    :ivar files: the release's programs, which lie beside the entry point; it is the first, in /bin, if not told.
    :ivar data: a folder of the user's, and a volume.
    :ivar config: the configuration that the image brings: (path, text).
    """

    repository: str
    port: int
    files: tuple[str, ...]
    upstream: str = "quay.io"
    user: str = "nobody"
    entrypoint: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    health: str = ""
    data: str = ""
    config: tuple[str, str] | None = None
    command: tuple[str, ...] = ()


SHAPES = {
    "prometheus": Shape(
        "prometheus/prometheus",
        9090,
        ("prometheus", "promtool"),
        data="/prometheus",
        config=("/etc/prometheus/prometheus.yml", "global: {}\n"),
        command=("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"),
    ),
    "alertmanager": Shape(
        "prometheus/alertmanager",
        9093,
        ("alertmanager", "amtool"),
        data="/alertmanager",
        config=("/etc/alertmanager/alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n"),
        command=("--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"),
    ),
    "node_exporter": Shape("prometheus/node-exporter", 9100, ("node_exporter",)),
    # Upstream's runs as root, for the ICMP probes.
    "blackbox_exporter": Shape(
        "prometheus/blackbox-exporter",
        9115,
        ("blackbox_exporter",),
        user="",
        config=("/etc/blackbox_exporter/config.yml", "modules: {http_2xx: {prober: http}}\n"),
        command=("--config.file=/etc/blackbox_exporter/config.yml",),
    ),
    "postgres_exporter": Shape("prometheuscommunity/postgres-exporter", 9187, ("postgres_exporter",)),
    "cadvisor": Shape(
        "google/cadvisor",
        8080,
        ("cadvisor",),
        upstream="ghcr.io",
        user="",
        entrypoint=("/usr/bin/cadvisor", "-logtostderr"),
        environment=("CADVISOR_HEALTHCHECK_URL=http://localhost:8080/healthz",),
        health="wget --quiet --tries=1 --spider $CADVISOR_HEALTHCHECK_URL || exit 1",
    ),
}

# Others hold their program and nothing else.
SHAPES.update(
    (
        name,
        Shape(
            about["image"].partition("/")[2],
            about["port"],
            (about["program"],),
            upstream=about["image"].partition("/")[0],
            entrypoint=(about["image_program"],),
        ),
    )
    for name, about in mirror.SERVICES.items()
    if name not in SHAPES and name in mirror.PROGRAMS
)

# Upstream's image of Grafana holds the whole release, and says in its environment where everything is, which has more
# weight than grafana.ini. There is one where the mirror has an archive of it.
GRAFANA = {
    "user": "472",
    "paths": {
        "CONFIG": "/etc/grafana/grafana.ini",
        "DATA": "/var/lib/grafana",
        "HOME": "/usr/share/grafana",
        "LOGS": "/var/log/grafana",
        "PLUGINS": "/var/lib/grafana/plugins",
        "PROVISIONING": "/etc/grafana/provisioning",
    },
    "script": '#!/bin/sh\nexec grafana server --homepath="$GF_PATHS_HOME" --config="$GF_PATHS_CONFIG" "$@"\n',
}


@dataclass(frozen=True)
class Layer:
    """A packed layer: its file, and its digests packed (``digest``) and unpacked (``diff_id``)."""

    path: Path
    digest: str
    diff_id: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class Image:
    """An image.

    :ivar upstream: host of upstream's registry.
    :ivar settings: what containers get of it, as an image's own description has it.
    """

    upstream: str
    repository: str
    tag: str
    settings: dict
    layers: tuple[Layer, ...]

    def but(self, tag: str | None = None, **settings) -> Image:
        """The same image under another tag or with other settings (``Entrypoint``, ``User``, ...): one to fail with."""
        return dataclasses.replace(self, tag=tag or self.tag, settings={**self.settings, **settings})

    def with_script(self, path: str, text: str) -> Image:
        """The same image with a shell script in the place of a program."""

        def fill(tar: tarfile.TarFile) -> None:
            _add(tar, path.lstrip("/"), f"#!/bin/sh\n{text}\n".encode(), 0o755)

        layer = _pack("script", [path.encode(), text.encode()], fill)
        return dataclasses.replace(self, layers=(*self.layers, layer))

    @property
    def config(self) -> bytes:
        """The image's description of itself; its digest is the image's id."""
        data = {
            "architecture": "arm" if mirror.architecture() == "armv7" else mirror.architecture(),
            "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": self.settings,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "COPY"} for _layer in self.layers],
        }
        return json.dumps(data, sort_keys=True).encode()

    @property
    def id(self) -> str:
        """What the engine calls the image."""
        return _digest(self.config)

    @property
    def manifest(self) -> bytes:
        """What a registry has of the image."""
        layers = [{"mediaType": LAYER, "size": layer.size, "digest": layer.digest} for layer in self.layers]
        config = {"mediaType": CONFIG, "size": len(self.config), "digest": self.id}
        data = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        return json.dumps(data, sort_keys=True).encode()

    @property
    def digest(self) -> str:
        """What a pull is pinned to."""
        return _digest(self.manifest)


def image(program: str, age: str = "new") -> Image:
    """The image of a program's ``new`` or ``old`` release; its layers are packed on first use.

    Raises KeyError for a program of which upstream's image is not known here; Grafana has :func:`grafana`.
    """
    shape = SHAPES[program]
    version = mirror.versions()[program][age]
    settings = {
        "User": shape.user,
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *shape.environment],
        "ExposedPorts": {f"{shape.port}/tcp": {}},
        "Entrypoint": _entrypoint(shape),
        "Cmd": list(shape.command) or None,
        "WorkingDir": shape.data or "/",
        "Volumes": {shape.data: {}} if shape.data else None,
        "Labels": {
            "maintainer": "The Prometheus Authors <prometheus-developers@googlegroups.com>",
            "org.opencontainers.image.source": f"https://github.com/{shape.repository.replace('-', '_')}",
        },
    }
    if shape.health:
        second = 1_000_000_000
        settings["Healthcheck"] = {"Test": ["CMD-SHELL", shape.health], "Interval": 30 * second, "Timeout": 3 * second}
    layers = (_base(), _program_layer(program, shape, version))
    tag = mirror.SERVICES[program]["tag"].replace("<version>", version)
    return Image(shape.upstream, shape.repository, tag, settings, layers)


def grafana(version: str) -> Image:
    """The image of a Grafana of the mirror."""
    release = mirror.path() / "grafana" / f"grafana-{version}.linux-{mirror.architecture()}.tar.gz"
    settings = {
        "User": GRAFANA["user"],
        "Env": ["PATH=/usr/share/grafana/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        + [f"GF_PATHS_{name}={path}" for name, path in GRAFANA["paths"].items()],
        "ExposedPorts": {"3000/tcp": {}},
        "Entrypoint": ["/run.sh"],
        "WorkingDir": GRAFANA["paths"]["HOME"],
        "Labels": {"maintainer": "Grafana Labs <hello@grafana.com>"},
    }
    checksum = release.with_name(release.name + ".sha256").read_bytes()
    layer = _pack(f"grafana-{version}", [repr(GRAFANA).encode(), checksum], lambda tar: _fill_grafana(tar, release))
    return Image("docker.io", "grafana/grafana", version, settings, (_base(), layer))


def _fill_grafana(tar: tarfile.TarFile, release: Path) -> None:
    paths = GRAFANA["paths"]
    with tarfile.open(release) as source:
        for member in source:
            inside = member.name.partition("/")[2]
            if member.isfile():
                data = source.extractfile(member).read()
                _add(tar, f"{paths['HOME']}/{inside}".lstrip("/"), data, 0o755 if member.mode & 0o100 else 0o644)
    for path in (paths["DATA"], paths["LOGS"], paths["PLUGINS"]):
        _add_folder(tar, path.lstrip("/"), owner=int(GRAFANA["user"]))
    _add(tar, "run.sh", GRAFANA["script"].encode(), 0o755)


def _entrypoint(shape: Shape) -> list[str]:
    return list(shape.entrypoint or (f"/bin/{shape.files[0]}",))


@contextlib.contextmanager
def archive(wanted: Iterable[Image]) -> Iterator[Path]:
    """An archive of images as `docker save` writes them, for the length of a `with` block.

    The images bear the names that upstream's have at its registry.
    """
    with tempfile.TemporaryDirectory(prefix="images.", dir=cache_dir()) as folder:
        path = Path(folder) / "images.tar"
        save(path, wanted)
        yield path


def save(path: Path, wanted: Iterable[Image]) -> None:
    """Write such an archive."""
    wanted = list(wanted)
    with tarfile.open(path, "w") as tar:
        listed = []
        for each in wanted:
            config = f"{each.id.partition(':')[2]}.json"
            _add(tar, config, each.config)
            layers = [f"{layer.diff_id.partition(':')[2]}/layer.tar" for layer in each.layers]
            listed.append({"Config": config, "RepoTags": [upstream_name(each)], "Layers": layers})
        for layer in {layer for each in wanted for layer in each.layers}:
            tar.add(layer.path, f"{layer.diff_id.partition(':')[2]}/layer.tar")
        _add(tar, "manifest.json", json.dumps(listed).encode())


def upstream_name(wanted: Image) -> str:
    """The image's name at upstream's registry."""
    return f"{wanted.upstream}/{wanted.repository}:{wanted.tag}"


def _base() -> Layer:
    """A C library and a shell, as in upstream's own base image."""
    extra = mirror.ensure() / "extra" / "base"
    applets = run([str(extra / "busybox"), "--list"]).stdout.split()

    def fill(tar: tarfile.TarFile) -> None:
        for folder in ("bin", "etc", "home", "lib", "proc", "root", "sys", "tmp", "usr", "usr/bin", "usr/share", "var"):
            _add_folder(tar, folder, mode=0o1777 if folder == "tmp" else 0o755)
        _add_link(tar, "lib64", "lib")
        for path in sorted(extra.iterdir()):
            _add(tar, f"{'bin' if path.name == 'busybox' else 'lib'}/{path.name}", path.read_bytes(), 0o755)
        for applet in applets:
            if applet != "busybox":
                _add_link(tar, f"bin/{applet}", "busybox")
        passwd = (
            f"{name}:x:{number}:{number}:{name}:{home}:{shell}\n" for name, (number, home, shell) in USERS.items()
        )
        _add(tar, "etc/passwd", "".join(passwd).encode())
        _add(tar, "etc/group", "".join(f"{name}:x:{number}:\n" for name, (number, *_rest) in USERS.items()).encode())
        _add(tar, "etc/nsswitch.conf", b"hosts: files dns\n")

    return _pack("base", [path.read_bytes() for path in sorted(extra.iterdir())], fill)


def _program_layer(program: str, shape: Shape, version: str) -> Layer:
    folder = mirror.path() / program / f"v{version}"
    release = folder / mirror.PROGRAMS[program].name(program, version)

    def fill(tar: tarfile.TarFile) -> None:
        programs = Path(_entrypoint(shape)[0]).parent.as_posix().lstrip("/")
        for name, data in _programs(release, shape.files):
            _add(tar, f"{programs}/{name}", data, 0o755)
        if shape.data:
            _add_folder(tar, shape.data.lstrip("/"), owner=NOBODY, mode=0o775)
        if shape.config:
            path, text = shape.config
            owner = NOBODY if shape.data else 0
            _add_folder(tar, str(Path(path).parent).lstrip("/"), owner=owner)
            _add(tar, path.lstrip("/"), text.encode(), owner=owner)
        if program == "alertmanager":
            for template in sorted((mirror.path() / "extra" / "alertmanager").iterdir()):
                _add(tar, f"usr/share/prometheus/alertmanager/{template.name}", template.read_bytes())

    return _pack(
        f"{program}-{version}", [repr(shape).encode(), (folder / mirror.PROGRAMS[program].checksums).read_bytes()], fill
    )


def _programs(release: Path, names: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    if not release.name.endswith(".tar.gz"):
        yield names[0], release.read_bytes()
        return
    with tarfile.open(release) as source:
        for name in names:
            yield name, source.extractfile(f"{release.name.removesuffix('.tar.gz')}/{name}").read()


def _pack(name: str, sources: list[bytes], fill) -> Layer:
    """Pack a layer, or find it packed from the same sources; the file stays in the cache."""
    key = hashlib.sha256(f"{FORMAT} {mirror.FORMAT} {name}".encode())
    for source in sources:
        key.update(source)
    path = cache_dir() / "layers" / f"{name}-{key.hexdigest()[:16]}.tar.gz"
    record = path.with_suffix(".json")
    with locked(f"layer-{name}"):
        if not record.exists():
            path.parent.mkdir(exist_ok=True)
            plain = io.BytesIO()
            with tarfile.open(fileobj=plain, mode="w") as tar:
                fill(tar)
            data = plain.getvalue()
            path.write_bytes(packed := gzip.compress(data, 1, mtime=0))
            record.write_text(json.dumps([_digest(packed), _digest(data)]), encoding="ascii")
    return Layer(path, *json.loads(record.read_text(encoding="ascii")))


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644, owner: int = 0) -> None:
    tar.addfile(_info(name, mode, owner, size=len(data)), io.BytesIO(data))


def _add_folder(tar: tarfile.TarFile, name: str, mode: int = 0o755, owner: int = 0) -> None:
    tar.addfile(_info(name, mode, owner, type=tarfile.DIRTYPE))


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    tar.addfile(_info(name, 0o777, 0, type=tarfile.SYMTYPE, linkname=target))


def _info(name: str, mode: int, owner: int, **more) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.uid, info.gid, info.mtime = mode, owner, owner, 1_700_000_000
    for key, value in more.items():
        setattr(info, key, value)
    return info


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
