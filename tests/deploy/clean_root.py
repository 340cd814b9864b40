"""The images built and run without a container engine: debootstrap the base, buildah the build, runc the running.

    Images.build   the real Dockerfile, unchanged, over its base image from the registry or else one made by debootstrap
    Container      what the image and a service of compose.yaml say, as an OCI runtime reads it

Containers have process, mount and network namespaces of their own: no port of this machine is used. What an engine would
add and is not here: cgroup limits, seccomp, Compose's networks (a name in /etc/hosts stands for them).
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.deploy.composed import ROOT

TOOLS = ("buildah", "debootstrap", "runc")
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
MIRROR = "http://deb.debian.org/debian"
NAMESPACES = ("pid", "ipc", "uts", "mount")
USUAL_MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "nodev", "size=64m"]},  # noqa: S108
]


def missing() -> str | None:
    """Why this cannot be done here, if it cannot."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [each for each in TOOLS if not shutil.which(each)]
    return f"needs {', '.join(absent)} (apt-get install {' '.join(TOOLS)})" if absent else None


def run(*command: object, **options) -> str:
    """A command that has to succeed; what it says is in the failure."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    return done.stdout


def pip_settings() -> tuple[str, list[Path]]:
    """This machine's package index for the build: a pip.conf, and the files it names, which the build must see."""
    found: dict[str, str] = {}
    for line in run("python3", "-m", "pip", "config", "list").splitlines():
        name, value = line.split("=", 1)
        section, _, option = name.rpartition(".")
        if section == ":env:" or option not in found:
            found[option] = value.strip("'")
    kept = {
        option: found[option] for option in ("index-url", "extra-index-url", "find-links", "cert") if option in found
    }
    for option, value in kept.items():  # an index in this machine's files would lead to more of its files
        kept[option] = " ".join(
            each for each in value.split() if "index" not in option or urlsplit(each).scheme != "file"
        )
    files = [Path(each) for option in ("find-links", "cert") for each in kept.get(option, "").split()]
    return "[global]\n" + "".join(f"{k} = {v}\n" for k, v in kept.items() if v), [f for f in files if f.exists()]


@dataclass
class Images:
    """A separate store below a folder; `close` unmounts it and removes it unless it is to be kept."""

    folder: Path
    keep: bool = False
    environment: Mapping[str, str] = field(init=False)
    python: str = field(init=False, default="")  # the build argument for a base image that was made here

    def __post_init__(self) -> None:
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        own = {"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(temporary), "STORAGE_DRIVER": "overlay"}
        self.environment = {**os.environ, **own}
        if subprocess.run([*self._command(), "info"], env=self.environment, capture_output=True).returncode:
            self.environment = {
                **self.environment,
                "STORAGE_DRIVER": "vfs",
            }  # copies instead of layers: slow, works anywhere

    def _command(self) -> list[str]:
        return ["buildah", "--root", str(self.folder / "store"), "--runroot", str(self.folder / "runroot")]

    def do(self, *command: object) -> str:
        """A buildah command."""
        return run(*self._command(), *command, env=self.environment).strip()

    def base(self) -> str:
        """Brings the Dockerfile's base image; how, in words."""
        whole = next(line.split("=", 1)[1].strip() for line in _lines("ARG PYTHON="))
        tag, _, digest = whole.partition("@")
        pull = [*self._command(), "pull", f"docker.io/library/python@{digest}"]
        if subprocess.run(pull, env=self.environment, capture_output=True).returncode == 0:
            return "from the registry"
        self.python, name = tag, f"docker.io/library/python:{tag}"
        if name in self.do("images", "--format", "{{.Name}}:{{.Tag}}").split():
            return "kept"
        python, _, suite = re.fullmatch(r"(\d+\.\d+)-(slim)-(\w+)", tag).groups()
        root = self.folder / "base"
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, root, MIRROR)
        version = run("chroot", root, "python3", "--version")
        assert version.startswith(f"Python {python}."), version
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()  # Debian's, which the official image has not: pip installs into it there
        container = self.do("from", "scratch")
        self.do("add", "--quiet", container, root, "/")
        self.do("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self.do("commit", "--quiet", "--format", "docker", container, name)
        self.do("rm", container)
        shutil.rmtree(root)
        return "made by debootstrap"

    def build(self, target: str) -> str:
        """The Dockerfile to a stage; torch comes from pip's own index, which has to have the CPU build."""
        conf, files = pip_settings()
        (self.folder / "pip.conf").write_text(conf, encoding="utf-8")
        mounts = [word for file in files for word in ("--volume", f"{file}:{file}:ro")]
        options = ["--format", "docker", "--layers", "--pull-never", "--target", target, "--tag", f"augsvc-{target}"]
        options += ["--build-arg", f"TORCH_INDEX={os.environ.get('TORCH_INDEX', '')}"]
        options += ["--build-arg", f"PYTHON={self.python}"] if self.python else []
        options += ["--secret", f"id=pip,src={self.folder / 'pip.conf'}"]
        return self.do("bud", *options, *mounts, ROOT)

    def config(self, target: str) -> dict:
        """What the image says of a container: Entrypoint, Env, User, Healthcheck …"""
        return json.loads(self.do("inspect", "--type", "image", f"augsvc-{target}"))["Docker"]["config"]

    def root(self, target: str) -> Path:
        """A fresh root file system of it."""
        return Path(self.do("mount", self.do("from", "--pull-never", f"augsvc-{target}")))

    def close(self) -> None:
        """Unmounts everything."""
        self.do("rm", "--all")
        if not self.keep:
            shutil.rmtree(self.folder)


def _lines(beginning: str) -> list[str]:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith(beginning)]


@dataclass
class Container:
    """One service of compose.yaml in a root made of its image. `beside`: shares that one's network, which knows it by `hosts`."""

    name: str
    folder: Path
    image: Mapping
    root: Path
    service: Mapping
    sources: Mapping[str, Path]  # volumes, secrets, configs and bind mounts: compose.yaml's source → here
    beside: "Container | None" = None
    hosts: Sequence[str] = ()
    process: subprocess.Popen | None = None

    def start(self, *more: str, environment: Mapping[str, str] | None = None) -> "Container":
        """Its entrypoint and command, and words after them."""
        bundle = self.folder / self.name
        bundle.mkdir()
        (bundle / "hosts").write_text("".join(f"127.0.0.1 {each}\n" for each in ("localhost", *self.hosts)))
        (bundle / "config.json").write_text(json.dumps(self._specification(bundle, more, environment or {}), indent=1))
        with (bundle / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self._command(), "run", "--bundle", str(bundle), self.name], stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def _command(self) -> list[str]:
        return ["runc", "--root", str(self.folder / "state")]

    def _specification(self, bundle: Path, more: Sequence[str], environment: Mapping[str, str]) -> dict:
        service, image = self.service, self.image
        user, group = map(int, service["user"].split(":"))
        variables = dict(pair.split("=", 1) for pair in image["Env"]) | service["environment"] | environment
        network = {"type": "network"} | ({"path": f"/proc/{self.beside.pid()}/ns/net"} if self.beside else {})
        assert service["cap_drop"] == ["ALL"]
        return {
            "ociVersion": "1.0.2",
            "root": {"path": str(self.root), "readonly": service["read_only"]},
            "hostname": self.name,
            "process": {
                "user": {"uid": user, "gid": group},
                "args": [*image["Entrypoint"], *service["command"], *more],
                "env": [f"{name}={value}" for name, value in variables.items()],
                "cwd": image["WorkingDir"],
                "capabilities": {},
                "noNewPrivileges": "no-new-privileges:true" in service["security_opt"],
            },
            "mounts": [*USUAL_MOUNTS, *self._mounts(), bound(bundle / "hosts", "/etc/hosts", "ro")],
            "linux": {"namespaces": [*({"type": each} for each in NAMESPACES), network]},
        }

    def _mounts(self) -> list[dict]:
        service = self.service
        found = []
        for each in service["tmpfs"]:
            path, _, options = each.partition(":")
            usual = ["nosuid", "nodev", "noexec", "tmpcopyup"]
            found.append(
                {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": usual + options.split(",")}
            )
        for each in service["volumes"]:
            here = self.sources[each["source"]]
            if (
                each["type"] == "volume" and not here.exists()
            ):  # as an engine: a new volume is like the folder in the image
                shutil.copytree(self.root / each["target"][1:], here)
                there = (self.root / each["target"][1:]).stat()
                os.chown(here, there.st_uid, there.st_gid)
            found.append(bound(here, each["target"], "ro" if each.get("read_only") else "rw"))
        for each in service.get("configs", []):
            found.append(bound(self.sources[each["source"]], each["target"], "ro"))
        for each in service["secrets"]:
            found.append(bound(self.sources[each["source"]], f"/run/secrets/{each['target']}", "ro"))
        return found

    def pid(self) -> int:
        """Of its first process, on this machine."""
        return int(json.loads(run(*self._command(), "state", self.name))["pid"])

    def execute(self, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess:
        """A command inside it, as its user."""
        variables = [word for name, value in (environment or {}).items() for word in ("--env", f"{name}={value}")]
        return subprocess.run(
            [*self._command(), "exec", *variables, self.name, *command], capture_output=True, text=True
        )

    def healthy(self) -> bool:
        """Runs the image's HEALTHCHECK once."""
        kind, *command = self.image["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.execute(*command).returncode == 0

    def signal(self, name: str) -> None:
        """As an engine does to stop it."""
        run(*self._command(), "kill", self.name, name)

    def log(self) -> str:
        """What it said."""
        return (self.folder / self.name / "log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Ends it if it still runs."""
        if self.process and self.process.poll() is None:
            subprocess.run([*self._command(), "kill", self.name, "KILL"], capture_output=True)
            self.process.wait()
        subprocess.run([*self._command(), "delete", "--force", self.name], capture_output=True)


def bound(source: Path, target: str, mode: str) -> dict:
    """A bind mount."""
    return {"destination": target, "type": "bind", "source": str(source), "options": ["bind", mode, "nosuid", "nodev"]}
