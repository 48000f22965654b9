"""The published SigV4 test suite: every request in it verifies, and signing it anew gives the published signature."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.aws.sigv4 import Secret, SignedRequest, sign, verify

SUITE: dict[str, Any] = json.loads((Path(__file__).parent / "sigv4_vectors.json").read_text())
NOW = datetime.strptime(SUITE["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
VECTORS = [pytest.param(vector, id=vector["name"]) for vector in SUITE["vectors"]]


def token_of(vector: dict[str, Any]) -> str | None:
    return dict(vector["headers"]).get("X-Amz-Security-Token")


def signed_request(vector: dict[str, Any], signature: str) -> SignedRequest:
    path, _, query = vector["url"].partition("?")
    scope = f"{SUITE['timestamp'][:8]}/{SUITE['region']}/{SUITE['service']}/aws4_request"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={SUITE['access_key_id']}/{scope}, SignedHeaders={vector['signed_headers']}, Signature={signature}"
    )
    headers = [(name, value) for name, value in vector["headers"]]
    return SignedRequest(vector["method"], path, query, [*headers, ("Authorization", authorization)], vector["body"].encode())


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_request_verifies(vector: dict[str, Any]) -> None:
    secret = Secret(SUITE["secret_access_key"], token_of(vector))
    identity = verify(signed_request(vector, vector["signature"]), {SUITE["access_key_id"]: secret}.get, NOW)
    assert identity.access_key_id == SUITE["access_key_id"]
    assert (identity.region, identity.service, identity.presigned) == (SUITE["region"], SUITE["service"], False)


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_request_with_another_signature_is_refused(vector: dict[str, Any]) -> None:
    wrong = ("0" if vector["signature"][0] != "0" else "1") + vector["signature"][1:]
    secret = Secret(SUITE["secret_access_key"], token_of(vector))
    with pytest.raises(AwsError) as refused:
        verify(signed_request(vector, wrong), {SUITE["access_key_id"]: secret}.get, NOW)
    assert refused.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("vector", VECTORS)
def test_signing_a_published_request_gives_the_published_signature(vector: dict[str, Any]) -> None:
    path, _, query = vector["url"].partition("?")
    signed = set(vector["signed_headers"].split(";"))
    kept = [(name, value) for name, value in vector["headers"] if name not in ("X-Amz-Date", "X-Amz-Security-Token")]
    added = sign(
        vector["method"],
        path,
        query,
        kept,
        vector["body"].encode(),
        access_key_id=SUITE["access_key_id"],
        secret_access_key=SUITE["secret_access_key"],
        region=SUITE["region"],
        service=SUITE["service"],
        now=NOW,
        session_token=token_of(vector) if "x-amz-security-token" in signed else None,
    )
    assert added["X-Amz-Date"] == SUITE["timestamp"]
    assert added["Authorization"].endswith(f"SignedHeaders={vector['signed_headers']}, Signature={vector['signature']}")
