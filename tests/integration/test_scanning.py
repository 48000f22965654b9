"""Scanning from end to end: an image built and pushed by Docker Engine, the waiter of the AWS SDK, and a server killed in between."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import random
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest

from longshore.config import Scanning
from tests.chaos.server_process import KEY, REGION, SECRET, ServerProcess
from tests.engines import build_image, docker_request, tar_of
from tests.integration.test_registry import run
from tests.scanner.contents import OS_RELEASE, dpkg_status, entries, layer_of, member, metadata
from tests.scanner.records import database

OCI = "application/vnd.oci.image"


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    scanning = Scanning(vulnerability_database=database(tmp_path / "osv.jsonl"))
    server = ServerProcess(tmp_path / "server", free_port(), scanning=scanning)
    await server.start()
    yield server
    await server.stop()


async def push(server: ServerProcess, http: aiohttp.ClientSession, name: str, *layers: bytes) -> str:
    """The digest."""
    config = b'{"architecture":"amd64","os":"linux"}'
    described = []
    for content, kind in ((config, "config.v1+json"), *((layer, "layer.v1.tar+gzip") for layer in layers)):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        headers, _ = await server.registry(http, "POST", f"{name}/blobs/uploads/", expect=202)
        await server.registry(http, "PUT", f"{headers['Location']}?digest={digest}", io.BytesIO(content), 201, "application/octet-stream")
        described.append({"mediaType": f"{OCI}.{kind}", "digest": digest, "size": len(content)})
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": described[0], "layers": described[1:]}
    content = json.dumps(manifest).encode()
    await server.registry(http, "PUT", f"{name}/manifests/1", content, 201, f"{OCI}.manifest.v1+json")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def described(server: ServerProcess, http: aiohttp.ClientSession, name: str) -> dict[str, Any]:
    return await server.call(http, "ecr", "DescribeImageScanFindings", {"repositoryName": name, "imageId": {"imageTag": "1"}})


async def ended(server: ServerProcess, http: aiohttp.ClientSession, name: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            found = await described(server, http, name)
            if found["imageScanStatus"]["status"] != "IN_PROGRESS":
                return found
            await asyncio.sleep(0.02)


async def create(server: ServerProcess, http: aiohttp.ClientSession, name: str) -> None:
    await server.call(http, "ecr", "CreateRepository", {"repositoryName": name, "imageScanningConfiguration": {"scanOnPush": True}})


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


@pytest.mark.engine("docker")
async def test_an_image_built_and_pushed_by_docker_is_scanned_and_the_waiter_sees_it(
    server: ServerProcess, base_image: str, docker_url: str, tmp_path: Path
) -> None:
    dockerfile = f"""\
FROM {base_image}
COPY first/ /
RUN rm -r /opt/buoy-1.2.dist-info
COPY second/ /
"""
    files = {
        "Dockerfile": dockerfile.encode(),
        "first/etc/os-release": OS_RELEASE,
        "first/var/lib/dpkg/status": dpkg_status(("libharbour", "1.0-1"), source="harbourlib"),
        "first/opt/buoy-1.2.dist-info/METADATA": metadata("buoy", "1.2"),
        "second/var/lib/dpkg/status": dpkg_status(("libharbour", "1.6-1"), source="harbourlib"),
        "second/app/node_modules/anchor-chain/package.json": b'{"name": "anchor-chain", "version": "4.0.0"}',
    }
    image = f"127.0.0.1:{server.port}/web:1"
    await asyncio.to_thread(build_image, image, tar_of(files), docker_url)
    try:
        async with aiohttp.ClientSession() as http:
            await create(server, http, "web")
            tokens = await server.call(http, "ecr", "GetAuthorizationToken", {})
            config = tmp_path / "docker"
            config.mkdir()
            auth = {"auths": {f"127.0.0.1:{server.port}": {"auth": tokens["authorizationData"][0]["authorizationToken"]}}}
            (config / "config.json").write_text(json.dumps(auth))
            await run("docker", "--config", str(config), "push", image)
    finally:
        await asyncio.to_thread(docker_request, "DELETE", f"/images/{image}?force=1", docker_url=docker_url)
    client = boto3.client("ecr", endpoint_url=server.url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET)
    waiter, named = client.get_waiter("image_scan_complete"), {"repositoryName": "web", "imageId": {"imageTag": "1"}}
    await asyncio.to_thread(waiter.wait, **named, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    found = await asyncio.to_thread(client.describe_image_scan_findings, **named)
    findings = [(each["name"], each["severity"]) for each in found["imageScanFindings"]["findings"]]
    assert findings == [("CVE-2099-0001", "CRITICAL"), ("GHSA-dddd-eeee-ffff", "CRITICAL")], "updated and removed packages are not there"
    pages = client.get_paginator("describe_image_scan_findings").paginate(**named, PaginationConfig={"PageSize": 1})
    whole = await asyncio.to_thread(pages.build_full_result)
    assert [each["name"] for each in whole["imageScanFindings"]["findings"]] == [name for name, _ in findings]


async def test_a_scan_that_a_killed_server_had_begun_is_done_by_the_next(server: ServerProcess) -> None:
    # Large enough to be under way when the server is killed.
    noise = random.Random(1).randbytes(1 << 20)
    large = entries(*((member(f"noise/{number}"), noise) for number in range(48)))
    status = layer_of({"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": dpkg_status(("libharbour", "1.0-1"), source="harbourlib")})
    async with aiohttp.ClientSession() as http:
        await create(server, http, "web")
        await push(server, http, "web", status, large)
        await server.kill()
    await server.start()
    async with aiohttp.ClientSession() as http:
        found = await ended(server, http, "web")
    assert found["imageScanStatus"]["status"] == "COMPLETE"
    assert found["imageScanFindings"]["findingSeverityCounts"] == {"CRITICAL": 1, "MEDIUM": 1}


async def test_hostile_layers_cost_the_server_neither_its_life_nor_its_memory(server: ServerProcess) -> None:
    assert server.process is not None
    zeros = layer_of({"zeros": bytes(192 << 20)})
    bombs = layer_of({f"var/lib/dpkg/status.d/{number}": bytes(1 << 20) for number in range(250)})
    hostile = {
        "bomb": (zeros, "COMPLETE"),
        "full": (bombs, "FAILED"),
        "torn": (zeros[: len(zeros) // 2], "FAILED"),
        "none": (b"no archive at all" * 100, "FAILED"),
    }
    status = layer_of({"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": dpkg_status(("libharbour", "3.0-1"), source="harbourlib")})
    async with aiohttp.ClientSession() as http:
        for name, (layer, _) in hostile.items():
            await create(server, http, name)
            await push(server, http, name, status, layer)
        for name, (_, expected) in hostile.items():
            found = await ended(server, http, name)
            assert found["imageScanStatus"]["status"] == expected, (name, found)
    assert resident_mib(server.process.pid) < 150


async def longshore(server: ServerProcess, *arguments: str) -> tuple[int, str, str]:
    """(exit code, output, errors) of the command, as somebody who has the root user's keys."""
    environment = {"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION}
    environment["HOME"] = str(server.data_dir.parent)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("longshore")),
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(), errors.decode()


async def test_a_bill_of_materials_at_the_command_line(server: ServerProcess) -> None:
    status = layer_of({"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": dpkg_status(("libharbour", "1.0-1"), source="harbourlib")})
    async with aiohttp.ClientSession() as http:
        for name, layer in (("app/web", status), ("scratch", layer_of({"app": b"static"}))):
            await server.call(http, "ecr", "CreateRepository", {"repositoryName": name})
            await push(server, http, name, layer)
    code, _, errors = await longshore(server, "ecr", "sbom", "app/web:1")
    assert (code, "app/web:1 has not been scanned" in errors, "--scan" in errors) == (1, True, True), errors
    code, said, errors = await longshore(server, "ecr", "sbom", "app/web:1", "--scan")
    assert code == 0, errors
    assert [each["name"] for each in json.loads(said)["components"]] == ["debian", "libharbour"]
    code, said, _ = await longshore(server, "ecr", "sbom", "app/web:1", "--scan", "--format", "spdx")
    assert (code, json.loads(said)["spdxVersion"]) == (0, "SPDX-2.3"), "what was scanned today is not scanned again"
    code, _, errors = await longshore(server, "ecr", "sbom", "scratch:1", "--scan")
    assert (code, "ended UNSUPPORTED_IMAGE" in errors) == (1, True), errors
    code, _, errors = await longshore(server, "ecr", "sbom", "app/web:9")
    assert (code, "ImageNotFoundException" in errors) == (1, True), errors
    assert (await longshore(server, "ecr", "sbom", "app/web:1", "--format", "pdf"))[0] == 2
    assert (await longshore(server, "ecr", "sbom", ":1"))[0] == 2


async def test_without_a_vulnerability_database_scans_fail_and_say_what_to_supply(tmp_path: Path, free_port: Callable[..., int]) -> None:
    server = ServerProcess(tmp_path / "server", free_port(), scanning=Scanning(scanner="built-in"))
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            await create(server, http, "web")
            await push(server, http, "web", layer_of({"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": dpkg_status(("a", "1"))}))
            found = await ended(server, http, "web")
            assert found["imageScanStatus"]["status"] == "FAILED"
            assert "--vulnerability-database" in found["imageScanStatus"]["description"]
            asked = {"repositoryName": "web", "imageId": {"imageTag": "1"}}
            sbom = await server.call(http, "ecr", "LongshoreGetImageSbom", asked)
            assert [each["name"] for each in sbom["document"]["components"]] == ["debian", "a"]
    finally:
        await server.stop()


@pytest.mark.skipif(shutil.which("trivy") is not None, reason="trivy is installed")
async def test_a_scanner_that_is_not_installed_keeps_the_server_from_starting(tmp_path: Path, free_port: Callable[..., int]) -> None:
    server = ServerProcess(tmp_path / "server", free_port(), scanning=Scanning(scanner="trivy"))
    said = await server.try_to_start()
    assert (said.event, said.facts["cause"]) == ("failed", "the scanner trivy is not installed")
    await server.ended()
