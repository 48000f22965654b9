"""The real parts that tests, examples and benchmarks run against: whether they are here, and the images they need.

No image is ever pulled: a small one is built FROM scratch around the statically linked busybox of the system. It has a
shell, a web server and clients, so that it can play every role a test needs. As a program: `python -m tests.engines`
builds it and prints its name.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import shutil
import socket
import subprocess
import tarfile
import urllib.parse
from pathlib import Path

DOCKER_URL = "unix:///var/run/docker.sock"
BASE_IMAGE = "longshore-test/busybox:1"
BUSYBOX = Path("/bin/busybox")

_LINKS = (
    "sh", "ash", "cat", "cp", "date", "echo", "env", "expr", "false", "grep", "head", "hostname", "httpd", "id", "ip", "kill", "ls",
    "mkdir", "mv", "nc", "nproc", "nslookup", "printf", "ps", "rm", "sed", "seq", "sleep", "stat", "tail", "test", "touch", "tr",
    "true", "uname", "wc", "wget", "whoami", "yes",
)  # fmt: skip
_DOCKERFILE = """\
FROM scratch
COPY rootfs/ /
ENV PATH=/bin
CMD ["/bin/sh"]
"""
_RECIPE_LABEL = "longshore.test.recipe"


class EngineMissing(Exception):
    """A real part that is not on this machine, with the reason in words."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def docker_request(
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    docker_url: str = DOCKER_URL,
    timeout_s: float = 60.0,
) -> tuple[int, bytes]:
    """One request to Docker Engine; raises EngineMissing when nothing answers at `docker_url` (unix:// or tcp://)."""
    url = urllib.parse.urlsplit(docker_url)
    connection: http.client.HTTPConnection
    if url.scheme == "unix":
        connection = _UnixConnection(url.path, timeout_s)
    else:
        connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port or 2375, timeout=timeout_s)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    except OSError as error:
        raise EngineMissing(f"Docker Engine does not answer at {docker_url}: {error}") from error
    finally:
        connection.close()


def require(name: str, docker_url: str = DOCKER_URL) -> None:
    """Raises EngineMissing unless the engine `name` is usable; any name but docker is that of a program."""
    if name == "docker":
        status, _ = docker_request("GET", "/_ping", docker_url=docker_url, timeout_s=5.0)
        if status != 200:
            raise EngineMissing(f"Docker Engine answers {status} at {docker_url}")
    elif shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin") is None and shutil.which(name) is None and not _in_venv(name):
        raise EngineMissing(f"the program {name} is not installed")


def _in_venv(name: str) -> bool:
    return (Path(__file__).resolve().parents[1] / ".venv" / "bin" / name).exists()


def tar_of(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    """A tar archive with `files` (all executable, time zero: the same input gives the same bytes) and symbolic `links`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.SYMTYPE
            entry.linkname = target
            archive.addfile(entry)
    return out.getvalue()


def static_busybox() -> bytes:
    """The system's busybox; raises EngineMissing when it is absent or would need libraries beside it."""
    if not BUSYBOX.exists():
        raise EngineMissing("/bin/busybox is not there: install busybox-static")
    if subprocess.run(["ldd", str(BUSYBOX)], capture_output=True, check=False).returncode == 0:
        raise EngineMissing("/bin/busybox needs shared libraries: install busybox-static")
    return BUSYBOX.read_bytes()


def build_image(tag: str, context: bytes, docker_url: str = DOCKER_URL, labels: dict[str, str] | None = None) -> None:
    """Builds `tag` from a tar build context that holds its Dockerfile; raises RuntimeError in the engine's words."""
    query = urllib.parse.urlencode({"t": tag, "rm": "1", "forcerm": "1", "labels": json.dumps(labels or {})})
    status, answer = docker_request("POST", f"/build?{query}", context, {"Content-Type": "application/x-tar"}, docker_url)
    lines = [json.loads(line) for line in answer.splitlines() if line.strip().startswith(b"{")]
    errors = [line["error"] for line in lines if "error" in line]
    if status != 200 or errors:
        raise RuntimeError(f"docker build {tag}: {errors or answer.decode(errors='replace')}")


def base_image(docker_url: str = DOCKER_URL) -> str:
    """The name of the test image, built when this engine does not have it yet in its present form."""
    busybox = static_busybox()
    rootfs = {"rootfs/bin/busybox": busybox, "rootfs/etc/passwd": b"root:x:0:0:root:/:/bin/sh\n", "rootfs/tmp/.keep": b""}
    links = {f"rootfs/bin/{link}": "busybox" for link in _LINKS}
    context = tar_of({"Dockerfile": _DOCKERFILE.encode(), **rootfs}, links)
    recipe = hashlib.sha256(context).hexdigest()
    status, answer = docker_request("GET", f"/images/{BASE_IMAGE}/json", docker_url=docker_url)
    if status == 200 and ((json.loads(answer).get("Config") or {}).get("Labels") or {}).get(_RECIPE_LABEL) == recipe:
        return BASE_IMAGE
    build_image(BASE_IMAGE, context, docker_url, {_RECIPE_LABEL: recipe})
    return BASE_IMAGE


if __name__ == "__main__":
    print(base_image())
