"""Records of what is asked: of every API request one, before its answer leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web

from longshore.audit.layout import new_key
from longshore.audit.log import AuditLog, open_audit_log
from longshore.audit.verify import verify
from longshore.aws.sigv4 import sign
from longshore.gateway.accounts import Accounts
from longshore.gateway.app import Gateway
from longshore.gateway.attempt import Limiter
from longshore.gateway.auditing.keeping import Auditing
from longshore.gateway.auditing.nobody import MOST_SOURCES, WINDOW_S, Strangers
from longshore.gateway.auditing.route import ROUTE, AuditRoute
from longshore.gateway.authorise import Access
from longshore.gateway.buckets import Rate
from longshore.gateway.identify import Identities
from longshore.gateway.limits import RateLimits
from longshore.gateway.request import ApiRequest, Reply
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds
from longshore.resources import KINDS, RESOURCE_SIDES
from longshore.services.call import Site
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore

ACCOUNT, OTHER, REGION = "123456789012", "222222222222", "us-east-1"
ROOT, ANN, STRANGER = ("AKIAROOTROOTROOTROOT", "r"), ("AKIAANNANNANNANNANNA", "a"), ("AKIASTRANGERSTRANGER", "s")
SECRET = b"s" * 32


@dataclass
class House:
    clock: SteppedClock
    gateway: Gateway
    auditing: Auditing
    log: AuditLog

    async def ask(
        self, service: str, operation: str, parameters: dict[str, Any], key: tuple[str, str] = ROOT, remote: str = "10.0.0.9", **more: str
    ) -> tuple[int, dict[str, Any]]:
        """JSON for those that speak it, forms for IAM and STS."""
        forms = {"iam": "2010-05-08", "sts": "2011-06-15"}
        targets = {
            "ecs": "AmazonEC2ContainerServiceV20141113",
            "secretsmanager": "secretsmanager",
            "ecr": "AmazonEC2ContainerRegistry_V20150921",
        }
        targets["cloudtrail"] = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101"
        if service in forms:
            body = urlencode({"Action": operation, "Version": forms[service], **parameters}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        else:
            body = json.dumps(parameters).encode()
            headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{targets[service]}.{operation}"}
        headers = {"Host": "127.0.0.1:4566", "User-Agent": "tests/1", **headers, **more}
        signed = sign(
            "POST",
            "/",
            "",
            headers.items(),
            body,
            access_key_id=key[0],
            secret_access_key=key[1],
            region=REGION,
            service=service,
            now=self.clock.now(),
        )
        headers |= signed
        request = ApiRequest("POST", "/", "", tuple(headers.items()), {k.lower(): v for k, v in headers.items()}, body, remote, False)
        reply: Reply = await self.gateway.answer(request)
        return reply.status, json.loads(reply.body) if reply.content_type.startswith("application/x-amz") else {"text": reply.body.decode()}

    def records(self) -> list[dict[str, Any]]:
        lines: list[bytes] = []
        for path in sorted(self.log.directory.glob("*.log")):
            lines += path.read_bytes().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for made in built(tmp_path):
        yield made


async def built(tmp_path: Path, *, best_effort: bool = False, limiter: Limiter | None = None) -> AsyncIterator[House]:
    clock, ids, store = SteppedClock(), RandomIds(), memory_store(KINDS)
    site = Site(ACCOUNT, REGION, ("us-east-1a",), "http://127.0.0.1:4566", 4566)
    await store.transact(lambda tx: ensure_root(tx, ACCOUNT, *ROOT, 0.0))
    await store.transact(lambda tx: ensure_root(tx, OTHER, *STRANGER, 0.0))
    user = iam.User(ACCOUNT, "ann", "AIDAANNANNANNANNANNAN", 0.0)
    await store.transact(lambda tx: tx.put(iam.USERS, user))
    await store.transact(lambda tx: tx.put(iam.ACCESS_KEYS, iam.AccessKey(ANN[0], ACCOUNT, user.arn, ANN[1], 0.0)))
    log = await open_audit_log(tmp_path / "audit", new_key(), clock, "tests")
    auditing = Auditing(log, clock, ids, site, best_effort=best_effort)
    identities, access = Identities(store, clock, site, SECRET), Access(store, clock, RESOURCE_SIDES)
    gateway = Gateway(
        store=store, blobs=MemoryBlobStore(), clock=clock, ids=ids, site=site, identities=identities, access=access,
        signing_secret=SECRET, audit=log, watcher=auditing.auditor, entries=auditing.entries, limiter=limiter,
    )  # fmt: skip
    access.limiter = limiter
    gateway.mount(
        "/_longshore/accounts", Accounts(store=store, identities=identities, access=access, clock=clock, ids=ids, site=site).handle
    )
    gateway.mount(ROUTE, AuditRoute(audit=log, identities=identities, access=access, clock=clock, site=site).handle)
    yield House(clock, gateway, auditing, log)
    await auditing.close()
    assert verify(log.directory, log.closer.public).problems == ()
    await store.close()


async def test_a_record_says_who_asked_for_what_from_where_and_what_came_of_it(house: House) -> None:
    await house.ask("ecs", "CreateCluster", {"clusterName": "web"})
    (record,) = house.records()
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/web"
    assert record.pop("requestID") and record.pop("eventID")
    assert record.pop("responseElements")["cluster"]["clusterArn"] == arn
    assert record == {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "Root",
            "principalId": ACCOUNT,
            "arn": f"arn:aws:iam::{ACCOUNT}:root",
            "accountId": ACCOUNT,
            "accessKeyId": ROOT[0],
        },
        "eventTime": "2023-11-14T22:13:20Z",
        "eventSource": "ecs.amazonaws.com",
        "eventName": "CreateCluster",
        "awsRegion": REGION,
        "sourceIPAddress": "10.0.0.9",
        "userAgent": "tests/1",
        "requestParameters": {"clusterName": "web"},
        "readOnly": False,
        "resources": [{"ARN": arn, "accountId": ACCOUNT, "type": "AWS::ECS::Cluster"}],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }


async def test_a_read_has_no_answer_in_its_record_and_the_id_the_client_was_told(house: House) -> None:
    await house.ask("ecs", "DescribeClusters", {"clusters": ["web"]})
    (record,) = house.records()
    assert (record["readOnly"], record["responseElements"], record["eventName"]) == (True, None, "DescribeClusters")


async def test_a_refusal_says_why_and_what_it_was_about(house: House) -> None:
    status, answer = await house.ask("ecs", "DeleteCluster", {"cluster": "web"}, ANN)
    (record,) = house.records()
    assert status == 400 and answer["__type"] == record["errorCode"] == "AccessDeniedException"
    assert record["errorMessage"] == answer["message"]
    assert record["userIdentity"]["type"] == "IAMUser" and record["userIdentity"]["userName"] == "ann"
    assert record["resources"][0]["ARN"].endswith(":cluster/web")


async def test_what_cannot_be_read_and_what_is_not_served_is_recorded_without_parameters(house: House) -> None:
    await house.ask("ecs", "CreateCluster", {"clusterName": 7})
    await house.ask("ecs", "NoSuchThing", {"x": "y"})
    wrong, unknown = house.records()
    assert (wrong["eventName"], wrong["errorCode"], wrong["requestParameters"]) == ("CreateCluster", "SerializationException", None)
    assert (unknown["eventName"], unknown["errorCode"]) == ("NoSuchThing", "UnknownOperationException")


async def test_no_secret_is_in_any_record(house: House) -> None:
    made = await house.ask("iam", "CreateAccessKey", {"UserName": "ann"})
    secret = made[1]["text"].partition("<SecretAccessKey>")[2].partition("<")[0]
    session = (await house.ask("sts", "GetSessionToken", {}))[1]["text"]
    token = session.partition("<SessionToken>")[2].partition("<")[0]
    await house.ask("secretsmanager", "CreateSecret", {"Name": "db", "SecretString": "hunter2"})
    told = json.dumps(house.records())
    assert len(secret) == 40 and len(token) > 100
    assert secret not in told and token not in told and "hunter2" not in told
    assert house.records()[0]["responseElements"]["accessKey"]["userName"] == "ann"
    assert house.records()[1]["responseElements"]["credentials"]["accessKeyId"].startswith("ASIA")


async def test_sessions_say_whose_they_are(house: House) -> None:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"}, "Action": "sts:*"}]}
    await house.ask("iam", "CreateRole", {"RoleName": "deploy", "AssumeRolePolicyDocument": json.dumps(trust)})
    parameters = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/deploy", "RoleSessionName": "ci", "SourceIdentity": "ann"}
    answer = (await house.ask("sts", "AssumeRole", parameters, ANN))[1]["text"]
    key, secret, token = (answer.partition(f"<{name}>")[2].partition("<")[0] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    await house.ask("ecs", "ListClusters", {}, (key, secret), **{"X-Amz-Security-Token": token})
    assumed, used = house.records()[-2:]
    assert assumed["eventName"] == "AssumeRole" and assumed["requestParameters"]["roleSessionName"] == "ci"
    who = used["userIdentity"]
    assert (who["type"], who["arn"]) == ("AssumedRole", f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci")
    context = who["sessionContext"]
    assert (context["sessionIssuer"]["userName"], context["sourceIdentity"]) == ("deploy", "ann")
    assert context["attributes"] == {"creationDate": "2023-11-14T22:13:20Z", "mfaAuthenticated": "false"}


async def test_a_call_that_reaches_into_another_account_is_in_the_records_of_both(house: House) -> None:
    await house.ask("ecr", "CreateRepository", {"repositoryName": "app"})
    await house.ask("ecr", "ListImages", {"repositoryName": "app", "registryId": ACCOUNT}, STRANGER)
    own, its = house.records()[-2:]
    assert (own["recipientAccountId"], its["recipientAccountId"]) == (OTHER, ACCOUNT)
    assert own["sharedEventID"] == its["sharedEventID"] and own["eventID"] != its["eventID"]
    assert own["userIdentity"]["type"] == "Root"
    assert its["userIdentity"] == {"type": "AWSAccount", "principalId": OTHER, "accountId": OTHER}


async def test_attempts_of_nobody_are_recorded_once_a_minute_with_their_number(house: House) -> None:
    for _ in range(30):
        await house.ask("ecs", "ListClusters", {}, ("AKIAGUESSGUESSGUESSG", "x"))
    await house.ask("ecs", "ListClusters", {}, (ROOT[0], "wrong"))
    assert [(each["errorCode"], each["userIdentity"]) for each in house.records()] == [
        ("UnrecognizedClientException", {"type": "Unknown", "accessKeyId": "AKIAGUESSGUESSGUESSG"}),
        ("InvalidSignatureException", {"type": "Unknown", "accessKeyId": ROOT[0]}),
    ]
    await house.clock.step(WINDOW_S)
    house.auditing.auditor.tick()
    assert [each["additionalEventData"]["furtherAttempts"] for each in house.records()[2:]] == [29]


def test_however_many_sources_there_are_records_of_nobody_stay_few() -> None:
    strangers = Strangers()
    first = sum(strangers.is_first(f"10.{number >> 8}.{number & 255}.1", "code", 0.0) for number in range(20_000))
    assert first == MOST_SOURCES
    assert strangers.over(30.0) == []
    (rest,) = strangers.over(WINDOW_S)
    assert (rest.source, rest.further) == ("", 20_000 - MOST_SOURCES)
    assert strangers.over(WINDOW_S) == []


async def test_who_asks_too_much_is_recorded_once_a_minute_for_each_operation_with_the_number(tmp_path: Path) -> None:
    async for house in built(tmp_path, limiter=RateLimits(lambda api, operation: (operation, Rate(1, 1)), lambda: 0.0)):
        for operation, parameters in (("ListClusters", {}), ("CreateCluster", {"clusterName": "web"})):
            assert [(await house.ask("ecs", operation, parameters, ROOT))[0] for _ in range(30)] == [200, *[400] * 29]
        await house.ask("ecs", "ListClusters", {}, ANN)
        allowed, first, made, second, refused = house.records()
        assert (allowed["eventName"], first["eventName"], first["errorCode"]) == ("ListClusters", "ListClusters", "ThrottlingException")
        assert (made["eventName"], second["eventName"], second["errorCode"]) == ("CreateCluster", "CreateCluster", "ThrottlingException")
        assert (refused["userIdentity"]["userName"], refused["errorCode"]) == ("ann", "AccessDeniedException")
        await house.clock.step(WINDOW_S)
        house.auditing.auditor.tick()
        reads, changes = house.records()[5:]
        for counted, one in ((reads, first), (changes, second)):
            assert counted["additionalEventData"] == {
                "furtherAttempts": 28,
                "since": "2023-11-14T22:13:20Z",
                "until": "2023-11-14T22:13:20Z",
            }
            for name in ("userIdentity", "eventSource", "eventName", "errorCode", "readOnly", "recipientAccountId", "sourceIPAddress"):
                assert counted[name] == one[name]


async def test_what_cannot_be_recorded_is_not_answered(house: House) -> None:
    house.log.directory.rename(house.log.directory.with_name("gone"))
    await house.clock.step(3600)
    status, answer = await house.ask("ecs", "ListClusters", {})
    assert (status, answer["__type"]) == (503, "ServiceUnavailableException")
    assert "cannot be written" in answer["message"]
    house.log.directory.with_name("gone").rename(house.log.directory)
    assert (await house.ask("ecs", "ListClusters", {}))[0] == 200


async def test_where_it_is_to_do_what_it_can_requests_are_answered_unrecorded(tmp_path: Path) -> None:
    async for house in built(tmp_path, best_effort=True):
        house.log.directory.rename(house.log.directory.with_name("gone"))
        await house.clock.step(3600)
        assert (await house.ask("ecs", "ListClusters", {}))[0] == 200
        house.log.directory.with_name("gone").rename(house.log.directory)


# ── LookupEvents ──


async def looked_up(house: House, key: tuple[str, str] = ROOT, **asked: Any) -> list[dict[str, Any]]:
    """Every page, without the lookups themselves."""
    events, token = [], None
    while True:
        more = {"NextToken": token} if token else {}
        status, answer = await house.ask("cloudtrail", "LookupEvents", asked | more, key)
        assert status == 200, answer
        events += answer["Events"]
        token = answer.get("NextToken")
        if token is None:
            return [event for event in events if event["EventName"] != "LookupEvents"]


async def some_events(house: House) -> None:
    for number in range(7):
        await house.ask("ecs", "CreateCluster", {"clusterName": f"c{number}"})
        await house.clock.step(600)
        await house.log.tick()
    await house.ask("ecs", "DeleteCluster", {"cluster": "c1"}, ANN)
    await house.ask("ecs", "CreateCluster", {"clusterName": "theirs"}, STRANGER)


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("EventName", "CreateCluster", [f"c{number}" for number in reversed(range(7))]),
        ("Username", "ann", ["c1"]),
        ("Username", "root", [f"c{number}" for number in reversed(range(7))]),
        ("AccessKeyId", ANN[0], ["c1"]),
        ("ResourceName", "c1", ["c1", "c1"]),
        ("ResourceName", f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/c2", ["c2"]),
        ("ResourceType", "AWS::ECS::Task", []),
        ("ReadOnly", "true", []),
        ("EventSource", "iam.amazonaws.com", []),
    ],
)  # fmt: skip
async def test_events_are_found_by_each_attribute_newest_first_and_of_the_own_account_alone(
    house: House, key: str, value: str, names: list[str]
) -> None:
    await some_events(house)
    found = await looked_up(house, LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}])
    assert [event["Resources"][0]["ResourceName"].rpartition("/")[2] for event in found] == names
    assert {json.loads(event["CloudTrailEvent"])["recipientAccountId"] for event in found} <= {ACCOUNT}


@pytest.mark.parametrize("size", [1, 2, 3, 50])
async def test_pages_of_any_size_tell_the_same(house: House, size: int) -> None:
    await some_events(house)
    whole = await looked_up(house)
    paged = await looked_up(house, MaxResults=size)
    assert [event["EventId"] for event in paged] == [event["EventId"] for event in whole]
    assert len(whole) == len({event["EventId"] for event in whole}) == 8


async def test_an_event_is_found_by_its_id_and_within_its_time(house: House) -> None:
    await some_events(house)
    third = (await looked_up(house))[4]
    by_id = await looked_up(house, LookupAttributes=[{"AttributeKey": "EventId", "AttributeValue": third["EventId"]}])
    assert [event["EventId"] for event in by_id] == [third["EventId"]]
    within = await looked_up(house, StartTime=third["EventTime"], EndTime=third["EventTime"])
    assert [event["EventId"] for event in within] == [third["EventId"]]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"MaxResults": 51}, "InvalidMaxResultsException"),
        ({"MaxResults": 0}, "InvalidMaxResultsException"),
        ({"StartTime": 20, "EndTime": 10}, "InvalidTimeRangeException"),
        ({"NextToken": "nonsense"}, "InvalidNextTokenException"),
        ({"LookupAttributes": [{"AttributeKey": "Nonsense", "AttributeValue": "x"}]}, "InvalidLookupAttributesException"),
        ({"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "perhaps"}]}, "InvalidLookupAttributesException"),
        ({"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "x"}] * 2}, "InvalidLookupAttributesException"),
    ],
)  # fmt: skip
async def test_what_cannot_be_looked_up_is_refused_in_cloudtrails_words(house: House, asked: dict[str, Any], code: str) -> None:
    status, answer = await house.ask("cloudtrail", "LookupEvents", asked)
    assert (status, answer["__type"]) == (400, code)
    said = answer.get("message") or answer["Message"]
    assert "xception" not in said and "Occurs" not in said, "what is wrong, and not what the error is for"


async def test_a_token_of_one_question_does_not_go_on_with_another(house: House) -> None:
    await some_events(house)
    token = (await house.ask("cloudtrail", "LookupEvents", {"MaxResults": 1}))[1]["NextToken"]
    for key, asked in ((ROOT, {"EndTime": 2e9}), (STRANGER, {})):
        status, answer = await house.ask("cloudtrail", "LookupEvents", {"NextToken": token, **asked}, key)
        assert (status, answer["__type"]) == (400, "InvalidNextTokenException")


async def test_who_reads_on_is_sent_nothing_more_once_it_may_not(house: House) -> None:
    store = house.gateway._store
    server = web.ServerRunner(web.Server(house.gateway.handle))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    statement = {"Effect": "Allow", "Action": "longshore:LookupAuditRecords", "Resource": "*"}
    policy = iam.InlinePolicy(f"arn:aws:iam::{ACCOUNT}:user/ann", "p", json.dumps({"Version": "2012-10-17", "Statement": statement}))
    await store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))
    await house.ask("ecs", "CreateCluster", {"clusterName": "one"})
    host, query = f"127.0.0.1:{server.addresses[0][1]}", "follow=yes"
    headers = sign(
        *("GET", ROUTE, query, [("Host", host)], b""),
        access_key_id=ANN[0],
        secret_access_key=ANN[1],
        region=REGION,
        service="longshore",
        now=house.clock.now(),
    )
    async with aiohttp.ClientSession() as http, http.get(f"http://{host}{ROUTE}?{query}", headers={**headers, "Host": host}) as answer:
        assert answer.status == 200
        seen = b""
        while b'"one"' not in seen:
            seen += await answer.content.readline()
        await store.transact(lambda tx: tx.delete(iam.INLINE_POLICIES, iam.INLINE_POLICIES.key(policy)))
        await house.ask("ecs", "CreateCluster", {"clusterName": "two"})
        rest = await asyncio.wait_for(answer.content.read(), 4)
    assert b'"two"' not in rest
    await server.cleanup()
