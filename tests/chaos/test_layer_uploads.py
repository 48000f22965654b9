"""An image pushed and pulled with boto3 alone, by a client that is not put off when the server is killed in between."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from longshore.services.ecr.layers.model import LARGEST_PART, MIB
from tests.chaos.server_process import KEY, REGION, SECRET, ServerProcess
from tests.chaos.write_load import CONFIG, LAYER, MANIFEST, digest_of

NAME = "app/web"
CONTENT = random.Random(1).randbytes(26 * MIB)


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port())
    await made.start()
    yield made
    await made.stop()


def client_of(server: ServerProcess) -> Any:
    options = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    return boto3.client(
        "ecr", endpoint_url=server.url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET, config=options
    )


async def asked(call: Callable[..., Any], **members: Any) -> dict[str, Any]:
    """boto3 waits for its answers, so it waits on a thread."""
    return dict(await asyncio.to_thread(call, repositoryName=NAME, **members))


async def send(ecr: Any, upload_id: str, first: int, content: bytes) -> None:
    await asked(
        ecr.upload_layer_part, uploadId=upload_id, partFirstByte=first, partLastByte=first + len(content) - 1, layerPartBlob=content
    )


async def upload(ecr: Any, content: bytes) -> str:
    begun = await asked(ecr.initiate_layer_upload)
    for first in range(0, len(content), begun["partSize"]):
        await send(ecr, begun["uploadId"], first, content[first : first + begun["partSize"]])
    done = await asked(ecr.complete_layer_upload, uploadId=begun["uploadId"], layerDigests=[digest_of(content)])
    return str(done["layerDigest"])


@pytest.mark.parametrize("encryption", ["AES256", "KMS"])
async def test_parts_that_were_answered_outlive_the_server_and_others_can_be_sent_again(server: ServerProcess, encryption: str) -> None:
    ecr = client_of(server)
    await asked(ecr.create_repository, encryptionConfiguration={"encryptionType": encryption})
    upload_id = (await asked(ecr.initiate_layer_upload))["uploadId"]
    first, part = 0, CONTENT[: 6 * MIB]
    await send(ecr, upload_id, first, part)
    await server.kill()
    await server.start()
    await send(ecr, upload_id, first, part)  # as if its answer had been lost
    with pytest.raises(ClientError) as caught:
        await send(ecr, upload_id, 1, part)
    assert caught.value.response["Error"]["Code"] == "InvalidLayerPartException"
    assert caught.value.response["lastValidByteReceived"] == len(part) - 1

    rest = CONTENT[len(part) : 14 * MIB]
    digest = digest_of(part + rest)
    torn = asyncio.create_task(send(ecr, upload_id, len(part), rest))
    await asyncio.sleep(0.02)  # wherever it is by then
    await server.kill()
    await asyncio.gather(torn, return_exceptions=True)
    await server.start()
    await send(ecr, upload_id, len(part), rest)
    done = await asked(ecr.complete_layer_upload, uploadId=upload_id, layerDigests=[digest])
    await server.kill()
    await server.start()
    assert done["layerDigest"] == digest
    assert await asked(ecr.complete_layer_upload, uploadId=upload_id, layerDigests=[digest])
    found = await asked(ecr.batch_check_layer_availability, layerDigests=[digest])
    assert [(each["layerAvailability"], each["layerSize"]) for each in found["layers"]] == [("AVAILABLE", len(part + rest))]


async def test_an_image_is_pushed_and_pulled_with_boto3_alone(server: ServerProcess) -> None:
    ecr = client_of(server)
    await asked(ecr.create_repository)
    config = b'{"architecture":"amd64","os":"linux"}'
    descriptors = [
        {"mediaType": media_type, "digest": await upload(ecr, content), "size": len(content)}
        for content, media_type in ((config, CONFIG), (CONTENT, LAYER))
    ]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptors[0], "layers": descriptors[1:]})
    await asked(ecr.put_image, imageManifest=manifest, imageTag="1")

    got = (await asked(ecr.batch_get_image, imageIds=[{"imageTag": "1"}], acceptedMediaTypes=[MANIFEST]))["images"][0]
    assert got["imageManifest"] == manifest
    async with aiohttp.ClientSession() as http:
        for descriptor in descriptors:
            url = (await asked(ecr.get_download_url_for_layer, layerDigest=descriptor["digest"]))["downloadUrl"]
            async with http.get(url) as answer:
                assert answer.status == 200
                assert digest_of(await answer.read()) == descriptor["digest"]
        async with http.get(url, headers={"Range": f"bytes={MIB}-"}) as answer:
            assert (answer.status, await answer.read()) == (206, CONTENT[MIB:])


async def test_a_part_of_the_greatest_size_fits_and_a_greater_one_does_not(server: ServerProcess) -> None:
    ecr = client_of(server)
    await asked(ecr.create_repository)
    upload_id = (await asked(ecr.initiate_layer_upload))["uploadId"]
    await send(ecr, upload_id, 0, bytes(LARGEST_PART))
    with pytest.raises(ClientError) as caught:
        await send(ecr, upload_id, LARGEST_PART, bytes(LARGEST_PART + 1))
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"
