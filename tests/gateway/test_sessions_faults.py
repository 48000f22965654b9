"""What happens to sessions, tokens and presigned requests when clocks move, when requests come again, and when keys and users go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest

from longshore.aws.canonical import Claim, canonical_query, canonical_request, signature_of, string_to_sign
from longshore.aws.sigv4 import EMPTY_SHA256, PRESIGNED_MOST_S, SKEW_S
from longshore.gateway.request import ApiRequest
from longshore.registry.errors import Denied, Unauthorized
from tests.gateway.place import EVERYTHING, ROLE, Place, document, furnished, keys_of, login, trust
from tests.sweeps.installation import OWNER, REGION, Answer, Keys, read

HOST = "127.0.0.1:4566"


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with furnished() as place:
        await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(EVERYTHING))
        yield place


def presigned(keys: Keys, at: float, expires_s: int, host: str = HOST, **parameters: str) -> str:
    """The query of a presigned form."""
    timestamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    service = "iam" if parameters["Version"] == "2010-05-08" else "sts"
    scope = f"{timestamp[:8]}/{REGION}/{service}/aws4_request"
    given = {
        **parameters,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{keys.access_key_id}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
        **({"X-Amz-Security-Token": keys.token} if keys.token else {}),
    }
    query = urlencode(given, quote_via=quote)
    claim = Claim(keys.access_key_id, timestamp[:8], REGION, service, scope, ("host",))
    canonical = canonical_request("GET", "/", canonical_query(query), {"host": host}, claim, EMPTY_SHA256)
    return f"{query}&X-Amz-Signature={signature_of(string_to_sign(canonical, timestamp, claim), claim, keys.secret)}"


async def follow(place: Place, query: str, host: str = HOST, method: str = "GET", body: bytes = b"") -> Answer:
    request = ApiRequest(method, "/", query, (("Host", host),), {"host": host}, body, "127.0.0.1", False)
    reply = await place.there.gateway.answer(request)
    api, operation = ("iam", "CreateGroup") if "CreateGroup" in query else ("sts", "GetCallerIdentity")
    return read(api, operation, reply.status, dict(reply.headers), reply.body)


READ = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("off_by", "words"),
    [
        (0, None),
        (-SKEW_S, None),
        (SKEW_S, None),
        (-SKEW_S - 1, "Signature expired: "),
        (SKEW_S + 1, "Signature not yet current: "),
    ],
)
async def test_a_client_may_be_a_quarter_of_an_hour_off_and_hears_which_way(place: Place, off_by: int, words: str | None) -> None:
    clock = place.there.clock
    now = clock.now()
    clock._now = now + off_by
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(READ).encode()
    signed = place.there.signed("sts", body, headers, place.ann, REGION)
    clock._now = now
    answer = await place.there.send("sts", "GetCallerIdentity", body, headers | signed, None)
    if words is None:
        assert answer.status == 200
        return
    assert (answer.code, answer.status) == ("SignatureDoesNotMatch", 403)
    assert answer.message.startswith(words) and "15 min." in answer.message


async def test_a_clock_that_goes_forward_ends_sessions_and_one_that_goes_back_brings_them_again(place: Place) -> None:
    session, clock = await place.assume(), place.there.clock
    now = clock.now()
    clock._now = now + 3600
    assert (await place.ask("sts", "GetCallerIdentity", session)).code == "ExpiredToken"
    late = await place.assume()
    clock._now = now
    assert (await place.ask("sts", "GetCallerIdentity", session)).status == 200
    assert (await place.ask("sts", "GetCallerIdentity", late)).status == 200, "one that began in what is the future now"
    clock._now = now + 7199
    assert (await place.ask("sts", "GetCallerIdentity", late)).status == 200
    clock._now = now + 7200
    assert (await place.ask("sts", "GetCallerIdentity", late)).code == "ExpiredToken", "its end is a time, not a while"


# ── presigned requests ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_presigned_read_can_be_made_again_until_it_expires(place: Place) -> None:
    clock = place.there.clock
    query = presigned(place.ann, clock.now(), 60, **READ)
    for _ in range(3):
        assert (await follow(place, query)).status == 200
    await clock.step(60)
    assert (await follow(place, query)).status == 200
    await clock.step(1)
    refused = await follow(place, query)
    assert refused.code == "SignatureDoesNotMatch" and refused.message.startswith("Signature expired: ")


async def test_no_presigned_request_is_good_for_more_than_a_week_or_before_its_time(place: Place) -> None:
    clock = place.there.clock
    week = presigned(place.ann, clock.now(), PRESIGNED_MOST_S, **READ)
    assert (await follow(place, week)).status == 200
    longer = await follow(place, presigned(place.ann, clock.now(), PRESIGNED_MOST_S + 1, **READ))
    assert longer.code == "IncompleteSignature" and "must be less than a week" in longer.message
    early = await follow(place, presigned(place.ann, clock.now() + SKEW_S + 1, 60, **READ))
    assert early.message.startswith("Signature not yet current: ")
    await clock.step(PRESIGNED_MOST_S + 1)
    assert (await follow(place, week)).message.startswith("Signature expired: ")


async def test_a_presigned_write_is_carried_out_each_time_like_any_other_request(place: Place) -> None:
    query = presigned(place.ann, place.there.clock.now(), 60, Action="CreateGroup", Version="2010-05-08", GroupName="staff")
    assert (await follow(place, query)).status == 200
    assert (await follow(place, query)).code == "EntityAlreadyExists", "it was asked again, and answered as it would be"
    await place.there.clock.step(61)
    assert (await follow(place, query)).message.startswith("Signature expired: ")


async def test_a_presigned_request_opens_nothing_but_itself(place: Place) -> None:
    query = presigned(place.ann, place.there.clock.now(), 60, **READ)
    for changed in (
        query.replace("GetCallerIdentity", "GetSessionToken"),
        query.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        f"{query}&Extra=1",
    ):
        assert (await follow(place, changed)).code == "SignatureDoesNotMatch"
    assert (await follow(place, query, host="evil.example.com")).code == "SignatureDoesNotMatch"
    assert (await follow(place, query, method="POST")).code == "SignatureDoesNotMatch"
    assert (await follow(place, query, body=b"Action=GetSessionToken&Version=2011-06-15")).code == "SignatureDoesNotMatch"


async def test_a_presigned_request_ends_with_its_session_its_key_and_what_ends_them(place: Place) -> None:
    session, clock = await place.assume(DurationSeconds=900), place.there.clock
    of_session, of_key = (presigned(keys, clock.now(), PRESIGNED_MOST_S, **READ) for keys in (session, place.ann))
    other = presigned(await place.assume(), clock.now(), 3000, **READ)
    assert (await follow(place, of_session)).status == (await follow(place, of_key)).status == (await follow(place, other)).status == 200
    await clock.step(900)
    assert (await follow(place, of_session)).code == "ExpiredToken"
    assert (await follow(place, other)).status == 200
    await place.done("sts", "LongshoreRevokeSessions", UserName="ann")
    assert (await follow(place, other)).code == "ExpiredToken"
    assert (await follow(place, of_key)).status == 200
    key = {"UserName": "ann", "AccessKeyId": place.ann.access_key_id}
    for status, code in (("Inactive", "InvalidClientTokenId"), ("Active", "")):
        await place.done("iam", "UpdateAccessKey", **key, Status=status)
        assert (await follow(place, of_key)).code == code
    await place.done("iam", "DeleteAccessKey", **key)
    assert (await follow(place, of_key)).code == "InvalidClientTokenId"


# ── keys, users and roles that go ────────────────────────────────────────────────────────────────────────────────────


async def gone_key(place: Place) -> None:
    await place.done("iam", "DeleteAccessKey", UserName="ann", AccessKeyId=place.ann.access_key_id)


async def test_with_a_key_goes_what_is_the_users_own_and_not_the_roles_taken_on(place: Place) -> None:
    own = keys_of(await place.done("sts", "GetSessionToken", place.ann))
    in_role, through = await place.assume(), await place.assume(own)
    headers = {name: (await login(place, keys))[0] for name, keys in (("key", place.ann), ("own", own))}
    await gone_key(place)
    door = place.door()
    for header in headers.values():
        with pytest.raises(Unauthorized):
            door.identify(header, "http", HOST)
    for keys in (place.ann, own):
        assert (await place.ask("sts", "GetCallerIdentity", keys)).code == "InvalidClientTokenId"
        asked = {"RoleArn": ROLE, "RoleSessionName": "work"}
        assert (await place.ask("sts", "AssumeRole", keys, **asked)).code == "InvalidClientTokenId", "nothing new begins"
    for keys in (in_role, through):
        assert (await place.ask("sts", "GetCallerIdentity", keys)).status == 200, "as at AWS: it is the role's, and is ended apart"
    await place.done("sts", "LongshoreRevokeSessions", AccessKeyId=place.ann.access_key_id)
    for keys in (in_role, through):
        assert (await place.ask("sts", "GetCallerIdentity", keys)).code == "ExpiredToken", "a key that is gone can still be named"


async def test_a_user_made_again_under_the_name_has_none_of_the_old_ones_sessions(place: Place) -> None:
    own, header = keys_of(await place.done("sts", "GetSessionToken", place.ann)), (await login(place, place.ann))[0]
    in_role = await place.assume()
    await gone_key(place)
    await place.done("iam", "DeleteUserPolicy", UserName="ann", PolicyName="p")
    await place.done("iam", "DeleteUser", UserName="ann")
    await place.done("iam", "CreateUser", UserName="ann")
    await place.done("iam", "PutUserPolicy", UserName="ann", PolicyName="p", PolicyDocument=document(EVERYTHING))
    assert (await place.ask("sts", "GetCallerIdentity", own)).code == "InvalidClientTokenId"
    with pytest.raises(Unauthorized):
        place.door().identify(header, "http", HOST)
    await place.done("sts", "LongshoreRevokeSessions", UserName="ann")
    assert (await place.ask("sts", "GetCallerIdentity", in_role)).status == 200, "the new ann began none"


async def test_a_role_made_again_has_none_of_the_old_ones_sessions_and_what_was_ended_stays_so(place: Place) -> None:
    old = await place.assume()
    await place.done("sts", "LongshoreRevokeSessions", RoleName="deploy")
    await place.done("iam", "DeleteRolePolicy", RoleName="deploy", PolicyName="own")
    await place.done("iam", "DeleteRole", RoleName="deploy")
    assert (await place.ask("sts", "GetCallerIdentity", old)).code == "InvalidClientTokenId"
    await place.done("iam", "CreateRole", RoleName="deploy", AssumeRolePolicyDocument=trust({"AWS": OWNER}))
    assert (await place.ask("sts", "GetCallerIdentity", old)).code == "InvalidClientTokenId"
    assert (await place.ask("sts", "GetCallerIdentity", await place.assume())).status == 200


async def test_dockers_password_ends_when_its_clock_says_so(place: Place) -> None:
    header, ends = await login(place, place.ann)
    door, clock = place.door(), place.there.clock
    clock._now = ends - 1
    door.identify(header, "http", HOST)
    clock._now = ends
    with pytest.raises(Denied):
        door.identify(header, "http", HOST)
    clock._now = ends - 1
    door.identify(header, "http", HOST)


async def test_a_request_may_be_sent_again_within_the_quarter_of_an_hour(place: Place) -> None:
    """As at AWS: who must not be heard twice speaks TLS, and uses client tokens."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(READ).encode()
    signed = headers | place.there.signed("sts", body, headers, place.ann, REGION)
    for _ in range(2):
        assert (await place.there.send("sts", "GetCallerIdentity", body, signed, None)).status == 200
    await place.there.clock.step(SKEW_S + 1)
    assert (await place.there.send("sts", "GetCallerIdentity", body, signed, None)).code == "SignatureDoesNotMatch"
