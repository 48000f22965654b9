"""The registry over HTTPS with the clients people use, each as it comes: docker, podman, buildah, skopeo, boto3, and what OCI artifacts do.

Nobody logs in: all of them ask our credential helper. What Docker Engine does over plain HTTP is in test_registry.py.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.engines import DOCKER_URL, build_image, tar_of
from tests.integration.installation import Installation

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = b"{}"
VULNERABILITY = {
    "id": "TEST-0000-0001",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "Made up for a test",
    "affected": [
        {
            "package": {"ecosystem": "Debian:12", "name": "zlib1g"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1:1.2.13-1"}]}],
        }
    ],
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[..., int]) -> Iterator[Installation]:
    """With HTTPS; docker's settings name the helper, and the other tools are told what to trust by a directory."""
    house = Installation(tmp_path_factory.mktemp("house"), free_port())
    known = house.home / "vulnerabilities"
    known.mkdir()
    (known / "one.json").write_text(json.dumps(VULNERABILITY))
    house.up("--tls", "--vulnerability-database", str(known))
    house.longshore("ecr-login", "--install")
    (house.home / "certs").mkdir()
    shutil.copy(house.ca, house.home / "certs" / "ca.crt")
    yield house
    house.down()


@pytest.fixture
def repository(house: Installation, unique_name: Callable[[str], str]) -> str:
    """A new repository's URI."""
    uri: str = house.client("ecr").create_repository(repositoryName=unique_name("team/app"))["repository"]["repositoryUri"]
    return uri


@pytest.fixture
def image(unique_name: Callable[[str], str]) -> Iterator[str]:
    """In Docker Engine, with a layer of its own."""
    tag = f"longshore-test/{unique_name('client')}:1"
    build_image(tag, tar_of({"Dockerfile": b'FROM scratch\nCOPY a /a\nCMD ["/a"]\n', "a": os.urandom(8_000_000)}), DOCKER_URL)
    yield tag
    subprocess.run(["docker", "image", "rm", "--force", tag], check=False, capture_output=True)


# ── content ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(content: bytes, media_type: str, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content), **more}


@dataclass
class Layout:
    """An OCI image layout on disk."""

    path: Path
    blobs: Path = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = self.path / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)
        (self.path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, content: bytes) -> bytes:
        (self.blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)
        return content

    def add_index(self, tag: str, *architectures: str) -> str:
        """An index with an image for each; its digest."""
        manifests = []
        for architecture in architectures:
            image = self._image({"for": architecture.encode(), "more": os.urandom(50_000)}, architecture)
            manifests.append(descriptor(image, MANIFEST, platform={"architecture": architecture, "os": "linux"}))
        index = self.add(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode())
        self._name(tag, index, INDEX)
        return digest(index)

    def add_image(self, tag: str, files: dict[str, bytes]) -> None:
        self._name(tag, self._image(files, "amd64"), MANIFEST)

    def _image(self, files: dict[str, bytes], architecture: str) -> bytes:
        layer = tar_of(files)
        packed = self.add(gzip.compress(layer, mtime=0))
        config = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}, "config": {}}
        about = self.add(json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(about, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(packed, "application/vnd.oci.image.layer.v1.tar+gzip")],
        }
        return self.add(json.dumps(manifest).encode())

    def _name(self, tag: str, content: bytes, media_type: str) -> None:
        named = descriptor(content, media_type, annotations={"org.opencontainers.image.ref.name": tag})
        (self.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))


class Registry:
    """The distribution API by hand, as the tools for artifacts use it."""

    def __init__(self, house: Installation, repository: str) -> None:
        helper = json.loads(house.run("docker-credential-longshore", "get", given=house.registry))
        self._login = b64encode(f"{helper['Username']}:{helper['Secret']}".encode()).decode()
        self._trust = ssl.create_default_context(cafile=house.ca)
        self._host = f"https://{house.registry}"
        self._base = f"{self._host}/v2/{repository.partition('/')[2]}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[dict[str, str], bytes]:
        with self.open(method, path, body, **headers) as response:
            return {name.lower(): value for name, value in response.headers.items()}, response.read()

    def open(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        url = path if path.startswith("https://") else f"{self._host}{path}" if path.startswith("/v2/") else f"{self._base}/{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Authorization": f"Basic {self._login}"}
        request = urllib.request.Request(url, body, named, method=method)
        return urllib.request.urlopen(request, context=self._trust)

    def blob(self, content: bytes) -> bytes:
        location = self.ask("POST", "blobs/uploads/", b"")[0]["location"]
        joint = "&" if "?" in location else "?"
        self.ask("PUT", f"{location}{joint}digest={digest(content)}", content, Content_Type="application/octet-stream")
        return content

    def artifact(self, kind: str, content: bytes, subject: dict[str, object] | None = None, tag: str = "") -> dict[str, object]:
        """Pushed; its descriptor."""
        self.blob(EMPTY)
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": descriptor(EMPTY, "application/vnd.oci.empty.v1+json"),
            "layers": [descriptor(self.blob(content), "text/plain")],
            "annotations": {"made.by": "a test"},
        }
        if subject is not None:
            manifest["subject"] = subject
        body = json.dumps(manifest).encode()
        said, _ = self.ask("PUT", f"manifests/{tag or digest(body)}", body, Content_Type=MANIFEST)
        assert said.get("oci-subject") == (subject or {}).get("digest")
        return descriptor(body, MANIFEST)


# ── docker ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.engine("docker")
def test_docker_pushes_and_pulls_over_https_without_being_told_what_to_trust(house: Installation, repository: str, image: str) -> None:
    house.run("docker", "tag", image, f"{repository}:1")
    pushed = house.run("docker", "push", f"{repository}:1")
    house.run("docker", "image", "rm", "--force", image, f"{repository}:1")
    assert "Downloaded newer image" in house.run("docker", "pull", f"{repository}:1")
    house.run("docker", "tag", f"{repository}:1", image)
    house.run("docker", "image", "rm", f"{repository}:1")
    stored = house.client("ecr").describe_images(repositoryName=repository.partition("/")[2])["imageDetails"]
    assert [(each["imageTags"], each["imageDigest"] in pushed) for each in stored] == [(["1"], True)]


class Cut:
    """Stands between a client and the registry, and breaks the first connection off that has brought `after` bytes."""

    def __init__(self, port: int, after: int) -> None:
        self._port = port
        self._after: int | None = after
        self.brought = 0
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        jobs = [asyncio.create_task(self._carry(reader, there_writer, None)), asyncio.create_task(self._carry(there_reader, writer, self))]
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        for job in jobs:
            job.cancel()
        for each in (writer, there_writer):
            each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: Cut | None) -> None:
        carried = 0
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
            carried += len(content)
            if counted is not None:
                self.brought += len(content)
                if self._after is not None and carried > self._after:
                    self._after = None
                    self.cuts += 1
                    return


@pytest.mark.engine("docker")
async def test_a_pull_that_broke_off_goes_on_where_it_was(
    house: Installation, repository: str, image: str, free_port: Callable[..., int]
) -> None:
    def at(port: int) -> str:
        return f"127.0.0.1:{port}/{repository.partition('/')[2]}:1"

    await house.running("docker", "tag", image, at(house.port))
    await house.running("docker", "push", at(house.port))
    await house.running("docker", "image", "rm", "--force", image, at(house.port))
    cut, port = Cut(house.port, 6_000_000), free_port()
    login = json.loads(await house.running("docker-credential-longshore", "get", given=house.registry))
    async with await asyncio.start_server(cut.serve, "127.0.0.1", port):
        settings = str(house.home / "through")
        given = login["Secret"]
        await house.running("docker", "--config", settings, "login", "-u", "AWS", "--password-stdin", f"127.0.0.1:{port}", given=given)
        await house.running("docker", "--config", settings, "pull", at(port))
    await house.running("docker", "image", "rm", at(port))
    assert cut.cuts == 1
    assert 8_000_000 < cut.brought < 11_000_000


# ── podman, buildah, skopeo ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def storage() -> Iterator[Callable[[str], list[str]]]:
    """`storage("one")`: options that keep podman and buildah to a directory of their own. Its path must be short."""
    with tempfile.TemporaryDirectory(prefix="ls-") as directory:
        yield lambda name: ["--root", f"{directory}/{name}", "--runroot", f"{directory}/{name}-run", "--storage-driver", "vfs"]


@pytest.mark.engine("podman")
@pytest.mark.engine("buildah")
@pytest.mark.skipif(os.geteuid() != 0, reason="podman and buildah are given storage of their own as root")
def test_what_buildah_builds_and_pushes_podman_pulls_and_pushes_on(
    house: Installation, repository: str, storage: Callable[[str], list[str]], tmp_path: Path
) -> None:
    trust = ("--cert-dir", str(house.home / "certs"))
    (tmp_path / "file").write_bytes(os.urandom(100_000))
    container = house.run("buildah", *storage("one"), "from", "scratch").strip()
    house.run("buildah", *storage("one"), "copy", container, str(tmp_path / "file"), "/file")
    house.run("buildah", *storage("one"), "commit", "--quiet", container, f"{repository}:built")
    house.run("buildah", *storage("one"), "push", *trust, f"{repository}:built")
    identity = house.run("podman", *storage("other"), "pull", "--quiet", *trust, f"{repository}:built").strip()
    house.run("podman", *storage("other"), "tag", identity, f"{repository}:again")
    house.run("podman", *storage("other"), "push", *trust, f"{repository}:again")
    stored = house.client("ecr").describe_images(repositoryName=repository.partition("/")[2])["imageDetails"]
    assert {tag for each in stored for tag in each["imageTags"]} == {"built", "again"}
    refused = house.run("podman", *storage("other"), "pull", *trust, f"{repository}:absent", fails=True)
    assert "manifest unknown" in refused


@pytest.mark.engine("skopeo")
def test_skopeo_carries_an_index_with_all_its_images_both_ways(house: Installation, repository: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    index = layout.add_index("many", "amd64", "arm64", "riscv64")
    certs = str(house.home / "certs")
    skopeo = ("skopeo", "--insecure-policy", "copy", "--quiet", "--all")
    house.run(*skopeo, "--dest-cert-dir", certs, f"oci:{layout.path}:many", f"docker://{repository}:many")
    house.run(*skopeo, "--src-cert-dir", certs, f"docker://{repository}:many", f"oci:{tmp_path / 'back'}:many")
    named = json.loads((tmp_path / "back" / "index.json").read_text())["manifests"]
    assert [each["digest"] for each in named] == [index]
    there, back = ({file.name for file in (path / "blobs" / "sha256").iterdir()} for path in (layout.path, tmp_path / "back"))
    assert there == back
    one = ("skopeo", "--override-arch", "arm64", "inspect", "--cert-dir", certs, f"docker://{repository}:many")
    assert json.loads(house.run(*one))["Architecture"] == "arm64"
    images = house.client("ecr").describe_images(repositoryName=repository.partition("/")[2])["imageDetails"]
    assert sorted(len(each.get("imageTags", [])) for each in images) == [0, 0, 0, 1]
    # What skopeo deletes is the index; its images are then nobody's.
    house.run("skopeo", "delete", "--cert-dir", certs, f"docker://{repository}:many")
    assert len(house.client("ecr").describe_images(repositoryName=repository.partition("/")[2])["imageDetails"]) == 3


@pytest.mark.engine("skopeo")
def test_a_client_that_does_not_trust_us_says_so(house: Installation, repository: str) -> None:
    refused = house.run("skopeo", "inspect", f"docker://{repository}:1", fails=True)
    assert "x509: certificate signed by unknown authority" in refused


# ── artifacts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_artifacts_are_found_by_what_they_are_about(house: Installation, repository: str) -> None:
    registry = Registry(house, repository)
    subject = registry.artifact("application/vnd.example.thing", b"the thing itself", tag="v1")
    signature = registry.artifact("application/vnd.example.signature", b"a signature", subject)
    inventory = registry.artifact("application/vnd.example.inventory", b"an inventory", subject)
    about_signature = registry.artifact("application/vnd.example.signature", b"a countersignature", signature)
    _, found = registry.ask("GET", f"referrers/{subject['digest']}")
    told = {each["digest"]: (each["artifactType"], each["annotations"]) for each in json.loads(found)["manifests"]}
    mark = {"made.by": "a test"}
    assert told == {
        signature["digest"]: ("application/vnd.example.signature", mark),
        inventory["digest"]: ("application/vnd.example.inventory", mark),
    }
    said, found = registry.ask("GET", f"referrers/{subject['digest']}?artifactType=application/vnd.example.inventory")
    assert said["oci-filters-applied"] == "artifactType"
    assert [each["digest"] for each in json.loads(found)["manifests"]] == [inventory["digest"]]
    _, found = registry.ask("GET", f"referrers/{signature['digest']}")
    assert [each["digest"] for each in json.loads(found)["manifests"]] == [about_signature["digest"]]
    _, nothing = registry.ask("GET", f"referrers/{digest(b'unheard of')}")
    assert json.loads(nothing)["manifests"] == []
    _, manifest = registry.ask("GET", "manifests/v1", Accept=MANIFEST)
    layer = json.loads(manifest)["layers"][0]
    assert registry.ask("GET", f"blobs/{layer['digest']}")[1] == b"the thing itself"


def test_a_reader_that_stops_now_and_then_gets_a_large_blob_whole(house: Installation, repository: str) -> None:
    registry, content = Registry(house, repository), os.urandom(24_000_000)
    registry.blob(content)
    with registry.open("GET", f"blobs/{digest(content)}") as response:
        received = hashlib.sha256()
        # Slower than the server: each pause lets its buffers fill to the brim.
        while piece := response.read(300_000):
            received.update(piece)
            time.sleep(0.015)
    assert f"sha256:{received.hexdigest()}" == digest(content)


# ── boto3 ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_waiters_of_the_aws_sdk_come_to_an_end(house: Installation, repository: str, tmp_path: Path) -> None:
    name, ecr = repository.partition("/")[2], house.client("ecr")
    registry = Registry(house, repository)
    for number in range(3):
        registry.artifact("application/vnd.example.thing", b"%d" % number, tag=f"v{number}")
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}
    policy = json.dumps(
        {"rules": [{"rulePriority": 1, "description": "the last one stays", "selection": selection, "action": {"type": "expire"}}]}
    )
    ecr.start_lifecycle_policy_preview(repositoryName=name, lifecyclePolicyText=policy)
    soon = {"Delay": 1, "MaxAttempts": 20}
    ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName=name, WaiterConfig=soon)
    preview = ecr.get_lifecycle_policy_preview(repositoryName=name)
    assert (preview["summary"]["expiringImageTotalCount"], [each["imageTags"] for each in preview["previewResults"]]) == (
        2,
        [["v0"], ["v1"]],
    )


@pytest.mark.engine("skopeo")
def test_the_waiter_for_a_scan_comes_to_an_end(house: Installation, repository: str, tmp_path: Path) -> None:
    name, ecr = repository.partition("/")[2], house.client("ecr")
    layout = Layout(tmp_path / "layout")
    status = b"Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.2.11-1\n\n"
    layout.add_image("one", {"etc/os-release": b'ID=debian\nVERSION_ID="12"\n', "var/lib/dpkg/status": status})
    certs = str(house.home / "certs")
    house.run("skopeo", "--insecure-policy", "copy", "--dest-cert-dir", certs, f"oci:{layout.path}:one", f"docker://{repository}:one")
    ecr.start_image_scan(repositoryName=name, imageId={"imageTag": "one"})
    soon = {"Delay": 1, "MaxAttempts": 20}
    ecr.get_waiter("image_scan_complete").wait(repositoryName=name, imageId={"imageTag": "one"}, WaiterConfig=soon)
    found = ecr.describe_image_scan_findings(repositoryName=name, imageId={"imageTag": "one"})["imageScanFindings"]["findings"]
    assert [finding["name"] for finding in found] == ["TEST-0000-0001"]


# ── Amazon's own credential helper ──────────────────────────────────────────────────────────────────────────────────

AMAZON = "000000000000.dkr.ecr.us-east-1.amazonaws.com"
_SCRIPT = """\
mount --bind {home}/hosts /etc/hosts || exit 9
echo {registry} | docker-credential-ecr-login get > {home}/answer || exit 1
skopeo inspect --cert-dir {home}/certs docker://{registry}/hello:1 2>&1
"""


@pytest.mark.engine("docker-credential-ecr-login")
@pytest.mark.engine("skopeo")
@pytest.mark.skipif(os.geteuid() != 0, reason="listens on port 443 and has a file of hosts of its own")
def test_amazons_credential_helper_logs_in_where_amazons_names_lead_here(tmp_path: Path) -> None:
    """It knows registries by Amazon's names only and asks Amazon's API by name on port 443; names may lead anywhere."""
    host = f"127.88.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}"
    house = Installation(tmp_path, 443, host)
    house.up("--tls", "--tls-name", "api.ecr.us-east-1.amazonaws.com", "--tls-name", "*.dkr.ecr.us-east-1.amazonaws.com")
    try:
        (tmp_path / "certs").mkdir()
        shutil.copy(house.ca, tmp_path / "certs" / "ca.crt")
        (tmp_path / "hosts").write_text(f"{host} api.ecr.us-east-1.amazonaws.com {AMAZON}\n")
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {AMAZON: "ecr-login"}}))
        house.client("ecr").create_repository(repositoryName="hello")
        told = {name: value for name, value in house.variables().items() if name not in ("AWS_ENDPOINT_URL", "AWS_PROFILE")}
        said = house.run("unshare", "--mount", "sh", "-c", _SCRIPT.format(home=tmp_path, registry=AMAZON), fails=True, **told)
        answer = json.loads((tmp_path / "answer").read_text())
        assert (answer["ServerURL"], answer["Username"]) == (AMAZON, "AWS")
        assert "manifest unknown" in said, said
    finally:
        house.down()
