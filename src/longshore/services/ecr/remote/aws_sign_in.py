"""Signing in to a registry that is Amazon ECR, or another Longshore: with an access key instead of a password that ends.

The key signs a GetAuthorizationToken at the registry's API; the token that comes back is what goes to the registry itself.
"""

from __future__ import annotations

import re
from typing import Annotated

import aiohttp
import msgspec
from msgspec import Meta
from yarl import URL

from longshore.aws.sigv4 import sign
from longshore.services.ecr.remote.errors import RemoteDenied, RemoteInvalid

_AMAZON = re.compile(r"[0-9]{12}\.dkr[.-]ecr\.([a-z0-9-]+)\.(amazonaws\.com|on\.aws)")
_TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
_LARGEST_ANSWER = 64 * 1024
#: tokens are asked for anew after so long; they are good for twelve hours
_GOOD_FOR_S = 6 * 3600.0


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    authorization_token: Annotated[str, Meta(min_length=1, max_length=16384, pattern=r"^[A-Za-z0-9+/=_-]+$")]


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    authorization_data: Annotated[tuple[_Data, ...], Meta(min_length=1)]


def api_of(origin: URL) -> tuple[URL, str]:
    """Where a registry's API answers, and its region."""
    found = _AMAZON.fullmatch(origin.host or "")
    if found is None:
        return URL(f"{origin}/", encoded=True), "us-east-1"
    return URL(f"https://api.ecr.{found[1]}.amazonaws.com/", encoded=True), found[1]


async def authorization(
    session: aiohttp.ClientSession, origin: URL, access_key_id: str, secret_access_key: str, now: float
) -> tuple[str, float]:
    """(Authorization header, seconds it is good for). Raises RemoteDenied and RemoteInvalid."""
    url, region = api_of(origin)
    body = b"{}"
    headers = {"Host": url.host_port_subcomponent or "", "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": _TARGET}
    signed = sign(
        "POST",
        "/",
        "",
        headers.items(),
        body,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        region=region,
        service="ecr",
        now=now,
    )
    async with session.post(url, data=body, headers={**headers, **signed}, allow_redirects=False) as response:
        content = await response.content.read(_LARGEST_ANSWER)
        if response.status != 200:
            raise RemoteDenied(f"{url.host_port_subcomponent} gives no authorization token: it answered {response.status}")
    try:
        answer = msgspec.json.decode(content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RemoteInvalid(f"{url.host_port_subcomponent} answered what is no authorization token") from None
    return f"Basic {answer.authorization_data[0].authorization_token}", _GOOD_FOR_S
