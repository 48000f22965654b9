"""What this machine has and allows: looked at before a start, and by `longshore doctor`."""

from __future__ import annotations

import errno
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass

import msgspec

OLDEST_HAPROXY = (2, 6)
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin"


class Unusable(Exception):
    """Something is missing or refuses: `str()` is the cause, `fix` what to do."""

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Size:
    cpus: int
    memory_mib: int


def size() -> Size:
    """Processors and memory of this host."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Size(cpus=os.cpu_count() or 1, memory_mib=memory // (1 << 20))


def find_program(name: str) -> str | None:
    """The full path of a program; also where daemons live, which is not on every user's PATH."""
    return shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)


def find_haproxy(name: str) -> str:
    """The full path of HAProxy; raises Unusable."""
    path = find_program(name)
    if path is None:
        raise Unusable(
            f"HAProxy ({name}) is not installed; load balancers need it",
            "run `make setup`, or install it: apt-get install haproxy (macOS: brew install haproxy)",
        )
    return path


def haproxy_version(path: str) -> str:
    """`2.6.12`; raises Unusable when the program does not run or is too old."""
    try:
        said = subprocess.run([path, "-v"], capture_output=True, text=True, timeout=10, check=False).stdout
    except OSError as error:
        raise Unusable(f"{path} cannot be run: {error.strerror}", "reinstall HAProxy") from error
    found = re.search(r"version (\d+)\.(\d+)([.\d]*)", said)
    if found is None:
        raise Unusable(f"{path} does not say which version it is", "reinstall HAProxy")
    if (int(found[1]), int(found[2])) < OLDEST_HAPROXY:
        raise Unusable(f"HAProxy {found[1]}.{found[2]}{found[3]} is too old", "install HAProxy 2.6 or newer")
    return f"{found[1]}.{found[2]}{found[3]}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class EngineVersion(msgspec.Struct, frozen=True, rename="pascal"):
    version: str
    api_version: str


def docker_version(docker_url: str) -> EngineVersion:
    """What the container engine at `docker_url` (unix:// or tcp://) says of itself; raises Unusable when it does not answer."""
    url = urllib.parse.urlsplit(docker_url)
    connection: http.client.HTTPConnection
    if url.scheme == "unix":
        connection = _UnixConnection(url.path)
    elif url.scheme in ("tcp", "http"):
        connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port or 2375, timeout=5)
    else:
        raise Unusable(f"a container engine cannot be reached at {docker_url}", "use unix:///path or tcp://host:port")
    try:
        connection.request("GET", "/version")
        return msgspec.json.decode(connection.getresponse().read(), type=EngineVersion)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise _engine_unusable(docker_url, error) from error
    finally:
        connection.close()


def _engine_unusable(docker_url: str, error: Exception) -> Unusable:
    if isinstance(error, PermissionError):
        return Unusable(
            f"you may not use Docker Engine at {docker_url}",
            "add yourself to its group (sudo usermod -aG docker $USER) and log in again, or run as root",
        )
    if isinstance(error, FileNotFoundError) and find_program("dockerd") is None:
        return Unusable("Docker Engine is not installed; containers need it", "run `make setup`, or install it: apt-get install docker.io")
    return Unusable(
        f"Docker Engine does not answer at {docker_url} ({error})",
        "start it: systemctl start docker, or `make setup` where there is no systemd",
    )


def port_taken(host: str, port: int) -> str | None:
    """Why the gateway could not listen there; None when it could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return "in use by another program" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
    return None


def may_bind_low_ports() -> bool:
    """Whether this user may listen on ports below 1024 (80 stands for them)."""
    return port_taken("127.0.0.1", 80) in (None, "in use by another program")


def may_name() -> bool:
    """Whether this user may give the machine further addresses, and names for them in /etc/hosts."""
    return sys.platform == "linux" and os.geteuid() == 0 and os.access("/etc/hosts", os.W_OK)


def free_disk_mib(path: str) -> int:
    return shutil.disk_usage(path).free // (1 << 20)
