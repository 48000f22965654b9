"""What SigV4 verification accepts and refuses: botocore's signatures in both forms, and nothing that was touched afterwards."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.canonical import canonical_path, canonical_query, signing_key
from longshore.aws.errors import AwsError
from longshore.aws.sigv4 import (
    Secret,
    SignedRequest,
    sign,
    verify,
)

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()
HOST = "127.0.0.1:4566"
BODY = b'{"clusterName":"edge"}'
HEADERS = [
    ("Host", HOST),
    ("Content-Type", "application/x-amz-json-1.1"),
    ("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.CreateCluster"),
]


def lookup(access_key_id: str) -> Secret | None:
    return Secret(SECRET) if access_key_id == KEY else None


def signed(
    method: str = "POST",
    path: str = "/",
    query: str = "",
    body: bytes = BODY,
    *,
    headers: list[tuple[str, str]] = HEADERS,
    now: float = NOW,
    token: str | None = None,
    region: str = "eu-west-1",
    service: str = "ecs",
) -> SignedRequest:
    added = sign(
        method,
        path,
        query,
        headers,
        body,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region=region,
        service=service,
        now=now,
        session_token=token,
    )
    return SignedRequest(method, path, query, [*headers, *added.items()], body)


def with_header(request: SignedRequest, name: str, value: str) -> SignedRequest:
    kept = [(n, v) for n, v in request.headers if n.lower() != name.lower()]
    return request._replace(headers=[*kept, (name, value)])


def refusal(request: SignedRequest, now: float = NOW, **options: Any) -> AwsError:
    with pytest.raises(AwsError) as refused:
        verify(request, options.pop("lookup", lookup), now, **options)
    return refused.value


class BotocoreSigner(botocore.auth.SigV4Auth):
    """botocore's signer at a fixed time."""

    def add_auth(self, request: AWSRequest) -> None:
        request.context["timestamp"] = datetime.fromtimestamp(NOW, UTC).strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        self._inject_signature_to_request(request, self.signature(self.string_to_sign(request, self.canonical_request(request)), request))


class BotocorePresigner(botocore.auth.SigV4QueryAuth):
    """botocore's presigner at a fixed time."""

    add_auth = BotocoreSigner.add_auth


class BotocoreS3Presigner(botocore.auth.S3SigV4QueryAuth):
    add_auth = BotocoreSigner.add_auth


def by_botocore(signer: Any, method: str, url: str, headers: dict[str, str], body: bytes) -> SignedRequest:
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    signer.add_auth(request)
    parts = urlsplit(request.url)
    sent = [(name, value) for name, value in request.headers.items()]
    if not any(name.lower() == "host" for name, _ in sent):
        sent.append(("Host", parts.netloc))
    return SignedRequest(method, parts.path, parts.query, sent, body)


def presigned(expires_s: int = 60, url: str = f"http://{HOST}/?Action=GetCallerIdentity&Version=2011-06-15") -> SignedRequest:
    return by_botocore(BotocorePresigner(Credentials(KEY, SECRET), "sts", "us-east-1", expires_s), "GET", url, {}, b"")


# ── what is accepted ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signed_request_tells_key_region_and_service() -> None:
    identity = verify(signed(), lookup, NOW)
    assert (identity.access_key_id, identity.region, identity.service) == (KEY, "eu-west-1", "ecs")
    assert identity.signed_headers == ("content-type", "host", "x-amz-date", "x-amz-target")


def test_a_websocket_handshake_signed_with_host_and_date_verifies() -> None:
    query = "agentHash=1&clusterArn=default&dockerVersion=DockerVersion%3A+20.10.24%2Bdfsg1&sendCredentials=true&seqNum=1"
    request = signed("GET", "/ws", query, b"", headers=[("Host", HOST)])
    unsigned = [("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"), ("User-Agent", "Go-http-client/1.1")]
    identity = verify(request._replace(headers=[*request.headers, *unsigned]), lookup, NOW)
    assert identity.signed_headers == ("host", "x-amz-date")
    assert "dockerVersion=DockerVersion%3A%2020.10.24%2Bdfsg1" in canonical_query(query)


def test_a_date_header_serves_in_place_of_x_amz_date() -> None:
    request = AWSRequest(method="POST", url=f"http://{HOST}/", headers={"Date": "now"}, data=b"")
    BotocoreSigner(Credentials(KEY, SECRET), "ecs", "us-east-1").add_auth(request)
    headers = [*request.headers.items(), ("Host", HOST)]
    assert not any(name == "X-Amz-Date" for name, _ in headers)
    assert verify(SignedRequest("POST", "/", "", headers, b""), lookup, NOW).service == "ecs"


def test_an_unsigned_payload_is_taken_only_where_it_is_allowed() -> None:
    request = signed(headers=[*HEADERS, ("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD")])
    assert verify(request, lookup, NOW, unsigned_payload=True).service == "ecs"
    assert "x-amz-content-sha256" in refusal(request).message


def test_a_body_hash_worked_out_elsewhere_is_believed() -> None:
    request = signed()
    assert verify(request._replace(body=b"", body_sha256=sha256(BODY).hexdigest()), lookup, NOW)
    assert refusal(request._replace(body=BODY, body_sha256=sha256(b"other").hexdigest())).code == "SignatureDoesNotMatch"


def test_the_order_of_the_authorization_parts_does_not_matter() -> None:
    request = signed()
    parts = dict(request.headers)["Authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(", ")
    assert verify(with_header(request, "Authorization", f"AWS4-HMAC-SHA256 {parts[2]}, {parts[1]},{parts[0]}"), lookup, NOW)


def test_a_presigned_request_verifies_until_it_expires() -> None:
    request = presigned(60)
    identity = verify(request, lookup, NOW + 59)
    assert (identity.presigned, identity.service, identity.signed_headers) == (True, "sts", ("host",))
    refused = refusal(request, NOW + 61)
    assert refused.wire("ec2") == ("RequestExpired", 400)
    assert refused.message == "Signature expired: 20260301T120000Z is now earlier than 20260301T120001Z (20260301T120101Z - 60 sec.)"


def test_a_presigned_request_lives_a_week_at_most() -> None:
    assert verify(presigned(604800), lookup, NOW + 604800)
    assert refusal(presigned(604801)).message.startswith("X-Amz-Expires must be less than a week (in seconds)")
    negative = presigned()
    assert refusal(negative._replace(query=negative.query.replace("X-Amz-Expires=60", "X-Amz-Expires=-1"))).message == (
        "X-Amz-Expires should be a number"
    )


def test_a_presigned_request_of_s3_leaves_its_payload_unsigned() -> None:
    signer = BotocoreS3Presigner(Credentials(KEY, SECRET), "s3", "us-east-1", expires=60)
    request = by_botocore(signer, "GET", f"http://{HOST}/bucket/a%20b//c", {}, b"")
    assert verify(request, lookup, NOW, unsigned_payload=True).service == "s3"
    assert refusal(request).code == "SignatureDoesNotMatch"


def test_a_session_token_must_be_the_credentials_own() -> None:
    def temporary(access_key_id: str) -> Secret | None:
        return Secret(SECRET, "token", NOW + 10)

    request = signed(token="token")
    assert verify(request, temporary, NOW)
    assert refusal(request).code == "InvalidClientTokenId", "a token with a permanent key"
    assert refusal(signed(), lookup=temporary).code == "InvalidClientTokenId", "no token with a temporary key"
    assert refusal(signed(token="other"), lookup=temporary).code == "InvalidClientTokenId"
    assert refusal(request, NOW + 10, lookup=temporary).wire("json")[0] == "ExpiredTokenException"


# ── what is refused, and in which words ──────────────────────────────────────────────────────────────────────────────


def test_a_request_without_a_signature_is_refused_as_such() -> None:
    request = SignedRequest("POST", "/", "", HEADERS, BODY)
    assert refusal(request).wire("json") == ("MissingAuthenticationTokenException", 400)


def test_an_unknown_key_is_refused() -> None:
    refused = refusal(signed(), lookup=lambda access_key_id: None)
    assert refused.wire("json") == ("UnrecognizedClientException", 400)
    assert refused.message == "The security token included in the request is invalid."


def test_a_wrong_secret_is_answered_with_what_should_have_been_signed() -> None:
    refused = refusal(signed(), lookup=lambda access_key_id: Secret("another"))
    assert refused.message.startswith("The request signature we calculated does not match the signature you provided.")
    assert "The Canonical String for this request should have been\n'POST\n/\n\ncontent-type:" in refused.message
    assert (
        "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20260301T120000Z\n20260301/eu-west-1/ecs/aws4_request\n" in refused.message
    )
    assert "another" not in refused.message


def test_a_clock_fifteen_minutes_off_is_refused_with_the_two_times() -> None:
    assert verify(signed(), lookup, NOW + 900) and verify(signed(), lookup, NOW - 900)
    assert refusal(signed(), NOW + 901).message == (
        "Signature expired: 20260301T120000Z is now earlier than 20260301T120001Z (20260301T121501Z - 15 min.)"
    )
    assert refusal(signed(), NOW - 901).message == (
        "Signature not yet current: 20260301T120000Z is still later than 20260301T115959Z (20260301T114459Z + 15 min.)"
    )


MISSING_PARTS = [
    ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=0", ["Credential"]),
    ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host", ["Signature"]),
    ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=0", ["SignedHeaders"]),
    ("AWS4-HMAC-SHA256 nothing", ["Credential", "Signature", "SignedHeaders"]),
]


@pytest.mark.parametrize(("header", "missing"), MISSING_PARTS)
def test_an_incomplete_authorization_header_names_what_is_missing(header: str, missing: list[str]) -> None:
    refused = refusal(with_header(signed(), "Authorization", header))
    assert refused.wire("json") == ("IncompleteSignatureException", 400)
    expected = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
    assert refused.message.startswith(expected)


def test_a_signature_without_a_date_is_incomplete() -> None:
    request = signed()
    refused = refusal(request._replace(headers=[(n, v) for n, v in request.headers if n != "X-Amz-Date"]))
    assert refused.message.startswith("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")


ODD_CREDENTIALS = [
    ("AKIA/20260301/eu-west-1/aws4_request", "Credential must have exactly 5 slash-delimited elements"),
    (
        f"{KEY}/20260301/eu-west-1/ecs/aws5_request",
        "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.",
    ),
    (f"{KEY}/20260301/EU_WEST:1/ecs/aws4_request", "Credential should be scoped to a valid region, not 'EU_WEST:1'."),
    (f"{KEY}/20260228/eu-west-1/ecs/aws4_request", "'20260228' != '20260301', from '20260301T120000Z'."),
]


@pytest.mark.parametrize(("credential", "words"), ODD_CREDENTIALS)
def test_a_malformed_credential_is_refused_in_words(credential: str, words: str) -> None:
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date;x-amz-target, Signature={'0' * 64}"
    assert words in refusal(with_header(signed(), "Authorization", authorization)).message


@pytest.mark.parametrize("algorithm", ["AWS4-HMAC-SHA1", "Bearer", "Basic"])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    old = dict(signed().headers)["Authorization"]
    refused = refusal(with_header(signed(), "Authorization", old.replace("AWS4-HMAC-SHA256", algorithm)))
    assert refused.message == f"Unsupported AWS 'algorithm': '{algorithm}'."


@pytest.mark.parametrize("date", ["2026-03-01T12:00:00Z", "20261301T120000Z", "", "20260301T120000Z "[:-2]])
def test_a_malformed_date_is_refused(date: str) -> None:
    assert refusal(with_header(signed(), "X-Amz-Date", date)).message.startswith(f"Date must be in ISO-8601 'basic format'. Got '{date}'.")


def test_an_unsigned_host_is_refused() -> None:
    request = signed()
    authorization = dict(request.headers)["Authorization"].replace("host;", "")
    assert (
        refusal(with_header(request, "Authorization", authorization)).message == "'Host' must be a 'SignedHeader' in the AWS Authorization."
    )


def test_an_unsigned_amz_header_is_refused() -> None:
    request = signed(headers=[("Host", HOST)])
    slipped_in = with_header(request, "X-Amz-Target", "AmazonEC2ContainerServiceV20141113.DeleteCluster")
    assert refusal(slipped_in).message == "There were headers present in the request which were not signed: x-amz-target"


@pytest.mark.parametrize("name", ["Host", "X-Amz-Date", "X-Amz-Target", "Authorization"])
def test_a_repeated_single_header_is_refused(name: str) -> None:
    request = signed()
    again = (name.lower(), dict(request.headers)[name])
    assert refusal(request._replace(headers=[*request.headers, again])).message == f"The header '{name.lower()}' must not be repeated."


def test_two_signatures_in_one_request_are_refused() -> None:
    both = presigned()
    assert "Only one auth mechanism allowed" in refusal(signed()._replace(query=both.query)).message


def test_a_repeated_presigning_parameter_is_refused() -> None:
    request = presigned()
    assert "must not repeat 'X-Amz-Date'" in refusal(request._replace(query=request.query + "&X-Amz-Date=20260301T120000Z")).message


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_a_missing_presigning_parameter_is_named(name: str) -> None:
    request = presigned()
    query = "&".join(pair for pair in request.query.split("&") if not pair.startswith(f"X-Amz-{name}="))
    assert refusal(request._replace(query=query)).message.startswith(f"AWS query-string parameters must include 'X-Amz-{name}'.")


def test_a_request_of_our_own_needs_its_host() -> None:
    with pytest.raises(ValueError, match="Host"):
        signed(headers=[])


def test_a_replaced_secret_does_not_meet_the_old_key() -> None:
    assert signing_key("one", "20260301", "eu-west-1", "ecs") != signing_key("two", "20260301", "eu-west-1", "ecs")
    assert "SECRET" not in repr(Secret("SECRET"))


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = st.text("abcXYZ019-_.~%&=+ /é:", min_size=1, max_size=6)
QUERIES = st.lists(st.tuples(NAMES, st.text("aZ0-_.~%&=+ /é", max_size=6)), max_size=4)
PATHS = st.lists(st.text("aZ0-_.~$ é%+", max_size=5), max_size=4).map(lambda parts: quote("/" + "/".join(parts), safe="/-_.~$"))
VALUES = st.text("ab ;,=\"'Z", max_size=8)
METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE"])


def encoded(query: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query)


@given(METHODS, PATHS, QUERIES, VALUES, st.binary(max_size=20))
def test_what_botocore_signs_verifies_and_is_what_we_sign(
    method: str, path: str, query: list[tuple[str, str]], value: str, body: bytes
) -> None:
    url = f"http://{HOST}{path}?{encoded(query)}"
    signer = BotocoreSigner(Credentials(KEY, SECRET), "ecs", "us-east-1")
    request = by_botocore(signer, method, url, {"X-Custom": value}, body)
    assert verify(request, lookup, NOW).access_key_id == KEY
    ours = signed(method, path, encoded(query), body, headers=[("Host", HOST), ("X-Custom", value)], region="us-east-1")
    assert dict(ours.headers)["Authorization"] == dict(request.headers)["Authorization"]


@given(METHODS, PATHS, QUERIES)
def test_what_botocore_presigns_verifies(method: str, path: str, query: list[tuple[str, str]]) -> None:
    unrepeated = list({name: value for name, value in query if value}.items())  # botocore keeps one of each, and drops empty ones
    signer = BotocorePresigner(Credentials(KEY, SECRET, "token/+="), "ecs", "us-east-1", 300)
    request = by_botocore(signer, method, f"http://{HOST}{path}?{encoded(unrepeated)}", {}, b"")
    assert verify(request, lambda access_key_id: Secret(SECRET, "token/+="), NOW).presigned


@given(QUERIES)
def test_a_canonical_query_is_its_own_canonical_form(query: list[tuple[str, str]]) -> None:
    once = canonical_query(encoded(query))
    assert canonical_query(once) == once
    assert canonical_query(encoded(list(reversed(query)))) == once


@given(PATHS)
def test_a_canonical_path_has_no_dot_segments_left(path: str) -> None:
    parts = canonical_path(path, "ecs").split("/")
    assert not {".", ".."} & set(parts)
    assert "" not in parts[1:-1]


TOUCHED = st.sampled_from(["method", "path", "query", "host", "content-type", "x-amz-target", "x-amz-date", "body"])


@given(TOUCHED, st.text("abcdefghij0123456789", min_size=1, max_size=8))
def test_a_request_touched_after_signing_is_refused(touched: str, text: str) -> None:
    request = signed("POST", "/v1/things", "a=1&b=2")
    changed = {
        "method": request._replace(method="PUT"),
        "path": request._replace(path=f"/v1/things/{text}"),
        "query": request._replace(query=f"{request.query}&{text}"),
        "body": request._replace(body=BODY + text.encode()),
        "x-amz-date": with_header(request, "x-amz-date", "20260301T120001Z"),
    }.get(touched) or with_header(request, touched, text)
    assert refusal(changed).code == "SignatureDoesNotMatch"


@given(st.integers(0, 10_000), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_presigned_query_touched_anywhere_is_refused(position: int, character: str) -> None:
    request = presigned()
    position %= len(request.query)
    query = request.query[:position] + character + request.query[position + 1 :]
    if canonical_query(query) != canonical_query(request.query):
        refusal(request._replace(query=query))


@given(st.text(max_size=80), st.text(max_size=40))
def test_no_garbage_makes_verification_stumble(authorization: str, query: str) -> None:
    request = signed("GET", "/", query, b"")
    assert isinstance(refusal(with_header(request, "Authorization", authorization)), AwsError)
    assert isinstance(refusal(SignedRequest("GET", authorization, f"X-Amz-Date={query}", HEADERS)), AwsError)
