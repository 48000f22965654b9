"""An installation with something of every kind in it, asked over its real gateway.

`furnish` builds what is there through the API itself, once; `Installation.restored` puts the rows into a new store, so that
every operation of a sweep finds the same house.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from botocore.model import OperationModel
from botocore.parsers import ResponseParser, ResponseParserFactory
from botocore.serialize import create_serializer
from botocore.utils import parse_timestamp
from msgspec.structs import replace

from longshore.aws.operation import OWN_PREFIX
from longshore.aws.sigv4 import sign
from longshore.control.deployments.outlook import outlook
from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.catalogue import SERVED, served
from longshore.gateway.identify import Identities
from longshore.gateway.lane import Lanes
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds
from longshore.kit.resource import Kind
from longshore.resources import RESOURCE_SIDES
from longshore.scanner.report import Finding, Package, Report
from longshore.services.acm import model as acm
from longshore.services.call import Site
from longshore.services.ec2 import model as ec2
from longshore.services.ec2.defaults import ensure_default_network
from longshore.services.ecr import kinds as ecr
from longshore.services.ecr.images import record_blob
from longshore.services.ecr.lifecycle.model import LIFECYCLE_PREVIEWS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.operations.scanning import EVERY_S
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, IMAGE_SCANS, ImageScan, ImageScanReport
from longshore.services.ecr.scanning.reports import pack
from longshore.services.ecs import kinds as ecs_kinds
from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout import model as rollout
from longshore.services.elb import model as elb
from longshore.services.elbv2 import model as elbv2
from longshore.services.iam import kinds as iam_kinds
from longshore.services.iam import model as iam
from longshore.services.iam.identities import ensure_root
from longshore.services.iam.recording import Recorder
from longshore.services.keys import model as keys_model
from longshore.services.secretsmanager import model as secretsmanager
from longshore.services.ssm import model as ssm
from longshore.services.sts import model as sts
from longshore.services.sts.web_identity.issuers import Issuers
from longshore.store.base import Store, Tx
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from longshore.store.memory_events import MemoryEventLog
from tests.services.sts.idp import ISSUER, Provider, SigningKey
from tests.sweeps.certificates import certify
from tests.sweeps.classic import classify
from tests.sweeps.own_operations import own_operation_model, service_model
from tests.sweeps.people import sign_in
from tests.sweeps.privileges import record
from tests.sweeps.vouching import vouch

#: of the identity provider
SIGNING_KEY = SigningKey()
REGION, ELSEWHERE = "us-east-1", "eu-west-1"
OWNER, STRANGER = "123456789012", "210987654321"
ZONES = ("us-east-1a", "us-east-1b")
SIGNING_SECRET = b"s" * 32
KINDS: tuple[Kind[Any], ...] = (
    *ecs_kinds.KINDS,
    *ecr.KINDS,
    *elbv2.KINDS,
    *elb.KINDS,
    *acm.KINDS,
    *ec2.KINDS,
    *iam_kinds.KINDS,
    *secretsmanager.KINDS,
    *ssm.KINDS,
    *sts.KINDS,
    *keys_model.KINDS,
)
#: every operation of every served API
OPERATIONS = [(api, operation) for api in SERVED for operation in served(api).operations]

Rows = dict[Kind[Any], list[Any]]


@dataclass(frozen=True)
class Keys:
    access_key_id: str
    secret: str
    #: of a session
    token: str | None = None


ROOT = Keys("AKIAROOTROOTROOTROOT", "root's own secret")
STRANGERS_ROOT = Keys("AKIASTRANGERSTRANGER", "the stranger's secret")
USER = Keys("AKIAUSERUSERUSERUSER", "the user's secret")
USER_ARN = f"arn:aws:iam::{OWNER}:user/ann"


@cache
def operation_model(api: str, operation: str) -> OperationModel:
    if operation.startswith(OWN_PREFIX):
        return own_operation_model(api, served(api).shapes[operation])
    return service_model(api).operation_model(operation)


@cache
def _serialiser(protocol: str) -> Any:
    """One that sends what users' own code might send, too."""
    return create_serializer(protocol, include_validation=False)


#: the same times are read over and over
_parse_timestamp = lru_cache(maxsize=10_000)(parse_timestamp)


@cache
def _parser(protocol: str) -> ResponseParser:
    parsers = ResponseParserFactory()
    parsers.set_parser_defaults(timestamp_parser=_parse_timestamp)
    return parsers.create_parser(protocol)


def protocol_of(api: str) -> str:
    return served(api).model.protocol


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    #: as botocore reads it
    parsed: Mapping[str, Any]

    @property
    def code(self) -> str:
        return str(self.parsed.get("Error", {}).get("Code", ""))

    @property
    def message(self) -> str:
        return str(self.parsed.get("Error", {}).get("Message", ""))

    @property
    def denied(self) -> bool:
        return self.code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


def written(api: str, operation: str, parameters: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
    """(body, headers) as botocore sends them."""
    protocol = protocol_of(api)
    sent = _serialiser(protocol).serialize_to_request(dict(parameters), operation_model(api, operation))
    body = sent["body"]
    if isinstance(body, dict):
        body = urlencode(body).encode()
    headers = {name: str(value) for name, value in sent["headers"].items()}
    if protocol != "json":
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    return body, headers


def read(api: str, operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    protocol = protocol_of(api)
    answer = {"status_code": status, "headers": {name.lower(): value for name, value in headers.items()}, "body": body}
    return Answer(status, body, _parser(protocol).parse(answer, operation_model(api, operation).output_shape))


class Installation:
    def __init__(self, store: Store, blobs: MemoryBlobStore, clock: SteppedClock) -> None:
        self.store = store
        self.blobs = blobs
        self.clock = clock
        site = Site(OWNER, REGION, ZONES, "http://127.0.0.1:4566", 4566)
        #: whose tokens are known where somebody registers it
        self.provider = Provider(ISSUER, SIGNING_KEY)
        self.gateway = Gateway(
            store=store,
            blobs=blobs,
            clock=clock,
            ids=RandomIds(),
            site=site,
            identities=Identities(store, clock, site, SIGNING_SECRET),
            access=Access(store, clock, RESOURCE_SIDES, Recorder(store, clock)),
            signing_secret=SIGNING_SECRET,
            events=MemoryEventLog(),
            issuers=Issuers(self.provider, clock),
            scheduler=partial(outlook, warm_up_s=site.warm_up_s),
        )
        self._http: aiohttp.ClientSession | None = None
        self._url = ""

    @classmethod
    @asynccontextmanager
    async def restored(cls, rows: Rows, blobs: MemoryBlobStore) -> AsyncIterator[Installation]:
        store = memory_store(KINDS, rows)
        # what a test writes to the blob store is its own affair
        yield cls(store, deepcopy(blobs), SteppedClock())
        await store.close()

    def rows(self) -> Rows:
        return {kind: self.store.list(kind) for kind in KINDS}

    @asynccontextmanager
    async def over_http(self) -> AsyncIterator[None]:
        """Inside, requests go over a socket, through the fast lane as in the server."""
        general = web.Server(self.gateway.handle, access_log=None, auto_decompress=False)
        lanes = Lanes(self.gateway.answer, general)
        listener = await asyncio.get_running_loop().create_server(lanes, "127.0.0.1", 0)
        self._url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
        async with aiohttp.ClientSession(auto_decompress=False) as self._http:
            yield
        self._http = None
        listener.close()
        await lanes.drain(5)
        await general.shutdown(5)

    async def ask(self, api: str, operation: str, parameters: Mapping[str, Any], keys: Keys | None = ROOT, region: str = REGION) -> Answer:
        body, headers = written(api, operation, parameters)
        return await self.send(api, operation, body, headers, keys, region)

    async def send(
        self, api: str, operation: str, body: bytes, headers: Mapping[str, str], keys: Keys | None = ROOT, region: str = REGION
    ) -> Answer:
        """`keys` None: unsigned."""
        sent = {"Host": self._host, **headers}
        if keys is not None:
            sent |= self.signed(api, body, headers, keys, region)
        if self._http is not None:
            async with self._http.post(self._url, data=body, headers=sent, skip_auto_headers=["Content-Type"]) as answer:
                return read(api, operation, answer.status, answer.headers, await answer.read())
        lowered = {name.lower(): value for name, value in sent.items()}
        reply = await self.gateway.answer(ApiRequest("POST", "/", "", tuple(sent.items()), lowered, body, "127.0.0.1", False))
        return read(api, operation, reply.status, dict(reply.headers), reply.body)

    @property
    def _host(self) -> str:
        return self._url.removeprefix("http://").rstrip("/") or "127.0.0.1:4566"

    @property
    def port(self) -> int:
        return int(self._host.rpartition(":")[2])

    def signed(self, api: str, body: bytes, headers: Mapping[str, str], keys: Keys, region: str, skew_s: float = 0.0) -> dict[str, str]:
        """The headers that sign such a request."""
        return sign(
            "POST",
            "/",
            "",
            {"Host": self._host, **headers}.items(),
            body,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret,
            region=region,
            service=served(api).model.signing_name,
            now=self.clock.now() + skew_s,
            session_token=keys.token,
        )

    async def done(self, api: str, operation: str, keys: Keys = ROOT, **parameters: Any) -> Mapping[str, Any]:
        answer = await self.ask(api, operation, parameters, keys)
        assert answer.status == 200, f"{api} {operation}: {answer.code}: {answer.message}"
        return answer.parsed

    async def allow(self, *statements: Mapping[str, Any]) -> None:
        """These statements, and no others, are the user's policy."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        policy = iam.InlinePolicy(USER_ARN, "sweep", document)
        if statements:
            await self.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))
        else:
            await self.store.transact(lambda tx: tx.delete(iam.INLINE_POLICIES, iam.INLINE_POLICIES.key(policy)))


# ── what is there ───────────────────────────────────────────────────────────────────────────────────────────────────

CONFIG, LAYER = b'{"architecture":"amd64","os":"linux"}', b"layer" * 100
#: a layer whose bytes have come, and that is not completed
UPLOADED = b"uploaded" * 100


def image_manifest(comment: str) -> str:
    def descriptor(content: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": digest_of(content), "size": len(content)}

    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(CONFIG, "config.v1+json"),
            "layers": [descriptor(LAYER, "layer.v1.tar+gzip")],
            "annotations": {"comment": comment},
        }
    )


def identity_document(instance_id: str) -> str:
    return json.dumps(
        {"instanceId": instance_id, "privateIp": "127.0.1.1", "availabilityZone": ZONES[0], "instanceType": "longshore.local"}
    )


INSTANCE_ID = "i-00000000000000001"
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 8192},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
#: of a repository, and of a registry; they concern nobody here
REPOSITORY_POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "ecr:BatchGetImage"}],
    }
)
REGISTRY_POLICY = REPOSITORY_POLICY.replace('"Action"', f'"Resource": "arn:aws:ecr:{REGION}:{OWNER}:repository/*", "Action"')
SECRET_NAME = "ecr-pullthroughcache/hub"
PARAMETER_NAME = "/sweep/parameter"
SECRET_STRING = json.dumps({"username": "mirror", "accessToken": "secret"})
LIFECYCLE_POLICY = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
                "action": {"type": "expire"},
            }
        ]
    }
)
POLICY_DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]})
TRUST_OF_TASKS = json.dumps(
    {"Statement": {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}}
)
TRUST_DOCUMENT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": OWNER},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": {"StringNotEquals": {"sts:ExternalId": "nobody's"}},
            }
        ],
    }
)


@dataclass(frozen=True, eq=False)
class House:
    """What is in the owner's account: the rows, and the names requests know them by."""

    rows: Rows
    blobs: MemoryBlobStore
    names: Mapping[str, str]


async def furnish() -> House:
    clock = SteppedClock()
    store, blobs = memory_store(KINDS), MemoryBlobStore(clock=clock)

    def found(tx: Tx) -> None:
        ensure_root(tx, OWNER, ROOT.access_key_id, ROOT.secret, clock.now())
        ensure_root(tx, STRANGER, STRANGERS_ROOT.access_key_id, STRANGERS_ROOT.secret, clock.now())
        ensure_default_network(tx, OWNER, REGION, ZONES, clock.now())
        tx.put(iam.USERS, iam.User(OWNER, "ann", "AIDAANNANNANNANNANNAN", clock.now()))
        tx.put(iam.ACCESS_KEYS, iam.AccessKey(USER.access_key_id, OWNER, USER_ARN, USER.secret, clock.now()))

    await store.transact(found)
    there = Installation(store, blobs, clock)
    names: dict[str, str] = {}
    await _containers(there, names)
    await _images(there, names)
    await _network(there, names)
    await _balancing(there, names)
    await _people(there, names)
    await certify(there, names, SIGNING_SECRET)
    await classify(there, names, INSTANCE_ID)
    rows = there.rows()
    await store.close()
    return House(rows, blobs, names)


async def _containers(there: Installation, names: dict[str, str]) -> None:
    names["cluster"] = (await there.done("ecs", "CreateCluster", clusterName="main"))["cluster"]["clusterArn"]
    names["empty_cluster"] = (await there.done("ecs", "CreateCluster", clusterName="empty"))["cluster"]["clusterArn"]
    group = {"autoScalingGroupArn": "spare"}
    made = await there.done("ecs", "CreateCapacityProvider", name="spare", autoScalingGroupProvider=group)
    names["provider"] = made["capacityProvider"]["capacityProviderArn"]
    registered = await there.done(
        "ecs",
        "RegisterContainerInstance",
        cluster="main",
        instanceIdentityDocument=identity_document(INSTANCE_ID),
        instanceIdentityDocumentSignature="",
        totalResources=RESOURCES,
        attributes=[{"name": f"com.amazonaws.ecs.capability.{name}"} for name in ("task-iam-role", "docker-remote-api.1.17")],
    )
    names["instance"] = instance = registered["containerInstance"]["containerInstanceArn"]

    def connect(tx: Tx) -> None:
        row = tx.get(ecs.CONTAINER_INSTANCES, instance)
        assert row is not None
        tx.put(ecs.CONTAINER_INSTANCES, replace(row, agent_connected=True, agent_hash="longshore"))

    await there.store.transact(connect)
    owned = {"name": "colour", "value": "blue", "targetId": instance}
    await there.done("ecs", "PutAttributes", cluster="main", attributes=[owned])
    activation = await there.done("ecs", "LongshoreCreateActivation")
    names["activation"] = activation["activation"]["activationId"]
    container = {"name": "app", "image": "busybox", "memory": 64}
    await there.done("iam", "CreateRole", RoleName="worker", AssumeRolePolicyDocument=TRUST_OF_TASKS)
    for name in ("retired", "definition"):
        made = await there.done(
            "ecs",
            "RegisterTaskDefinition",
            family="web",
            taskRoleArn="worker",
            containerDefinitions=[container],
            tags=[{"key": "a", "value": "b"}],
        )
        names[name] = made["taskDefinition"]["taskDefinitionArn"]
    await there.done("ecs", "DeregisterTaskDefinition", taskDefinition=names["retired"])
    created = await there.done("ecs", "CreateService", cluster="main", serviceName="site", taskDefinition="web", desiredCount=1)
    names["service"] = created["service"]["serviceArn"]
    await _deployed(there, names)
    ran = await there.done("ecs", "RunTask", cluster="main", taskDefinition="web", enableExecuteCommand=True)
    assert not ran["failures"], ran["failures"]
    names["task"] = ran["tasks"][0]["taskArn"]
    await there.store.transact(lambda tx: _runs(tx, names["task"]))


def _runs(tx: Tx, arn: str) -> None:
    """So that there is a container to go into."""
    task = tx.get(ecs.TASKS, arn)
    assert task is not None
    containers = tuple(replace(container, last_status="RUNNING", runtime_id="c0ffee") for container in task.status.containers)
    tx.put(ecs.TASKS, replace(task, status=replace(task.status, last_status="RUNNING", started_at=1.5, containers=containers)))


async def _deployed(there: Installation, names: dict[str, str]) -> None:
    """A deployment that takes over from another and pauses; and a service that somebody else deploys."""
    await there.done("ecs", "UpdateService", cluster="main", service="site", forceNewDeployment=True)
    listed = (await there.done("ecs", "ListServiceDeployments", cluster="main", service="site", status=["PENDING"]))["serviceDeployments"]
    names["service_deployment"], names["service_revision"] = listed[0]["serviceDeploymentArn"], listed[0]["targetServiceRevisionArn"]

    def pause(tx: Tx) -> None:
        row = tx.get(rollout.SERVICE_DEPLOYMENTS, names["service_deployment"])
        assert row is not None
        held = rollout.Pause("0123456789abcdef", 0, "POST_SCALE_UP", 0, expires_at=there.clock.now() + 3600)
        tx.put(rollout.SERVICE_DEPLOYMENTS, replace(row, status="IN_PROGRESS", pauses=(held,)))

    await there.store.transact(pause)
    external = {"deploymentController": {"type": "EXTERNAL"}}
    await there.done("ecs", "CreateService", cluster="main", serviceName="foreign", desiredCount=1, **external)
    made = await there.done("ecs", "CreateTaskSet", cluster="main", service="foreign", taskDefinition="web")
    names["task_set"] = made["taskSet"]["taskSetArn"]


async def _images(there: Installation, names: dict[str, str]) -> None:
    made = await there.done("ecr", "CreateRepository", repositoryName="app/web")
    names["repository"] = made["repository"]["repositoryArn"]
    for content in (CONFIG, LAYER):
        await there.blobs.put(content, digest_of(content))
    await there.store.transact(_has_blobs)
    put = await there.done("ecr", "PutImage", repositoryName="app/web", imageTag="1", imageManifest=image_manifest("first"))
    names["digest"] = put["image"]["imageId"]["imageDigest"]
    names["layer_upload"] = upload = (await there.done("ecr", "InitiateLayerUpload", repositoryName="app/web"))["uploadId"]
    part = {"partFirstByte": 0, "partLastByte": len(UPLOADED) - 1, "layerPartBlob": UPLOADED}
    await there.done("ecr", "UploadLayerPart", repositoryName="app/web", uploadId=upload, **part)
    await there.done("ecr", "RegisterPullTimeUpdateExclusion", principalArn=USER_ARN)
    await there.done("ecr", "CreateRepositoryCreationTemplate", prefix="made", appliedFor=["REPLICATION"])
    await there.done("ssm", "PutParameter", Name=PARAMETER_NAME, Value=SECRET_STRING, Type="SecureString")
    await there.done("ssm", "LabelParameterVersion", Name=PARAMETER_NAME, Labels=["live"])
    made = await there.done("secretsmanager", "CreateSecret", Name=SECRET_NAME, SecretString=SECRET_STRING)
    names["secret"] = made["ARN"]
    places = [{"region": region, "registryId": OWNER} for region in (ELSEWHERE, "eu-central-1")]
    await there.done("ecr", "PutReplicationConfiguration", replicationConfiguration={"rules": [{"destinations": places}]})
    names["backfill"] = (await there.done("ecr", "StartReplicationBackfill", destination=places[0]))["replicationBackfillId"]
    upstream = {"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": "registry.example"}
    await there.done("ecr", "CreatePullThroughCacheRule", **upstream, credentialArn=names["secret"])
    await there.done("ecr", "LongshorePutRemoteRegistry", name="backup", url="https://registry.example")
    await there.done("ecr", "SetRepositoryPolicy", repositoryName="app/web", policyText=REPOSITORY_POLICY)
    await there.done("ecr", "PutRegistryPolicy", policyText=REGISTRY_POLICY)
    await there.done("ecr", "PutLifecyclePolicy", repositoryName="app/web", lifecyclePolicyText=LIFECYCLE_POLICY)
    await there.done("ecr", "StartLifecyclePolicyPreview", repositoryName="app/web")
    await there.store.transact(_has_preview)
    found = Finding(name="CVE-2099-0001", severity="HIGH", package="harbourlib", version="1.0")
    report = pack(Report(scanner="built-in", packages=(Package("harbourlib", "1.0", "dpkg"),), findings=(found,)))
    await there.blobs.put(report, digest_of(report))
    at = there.clock.now() - 2 * EVERY_S
    await there.store.transact(lambda tx: _has_been_scanned(tx, names["digest"], digest_of(report), at))


def _has_been_scanned(tx: Tx, digest: str, report: str, at: float) -> None:
    """So long ago that it may be scanned again."""
    repository = RepositoryId(REGION, OWNER, "app/web").key
    scan = ImageScan(repository=repository, digest=digest, status="COMPLETE", requested_at=at, completed_at=at, severity_counts={"HIGH": 1})
    tx.put(IMAGE_SCANS, scan)
    tx.put(IMAGE_SCAN_REPORTS, ImageScanReport(repository=repository, digest=digest, content=report))


def _has_preview(tx: Tx) -> None:
    for preview in tx.list(LIFECYCLE_PREVIEWS):
        tx.put(LIFECYCLE_PREVIEWS, replace(preview, status="COMPLETE", ended_at=preview.started_at))


def _has_blobs(tx: Tx) -> None:
    for content in (CONFIG, LAYER):
        record_blob(tx, RepositoryId(REGION, OWNER, "app/web"), digest_of(content), len(content), 0.0)


async def _network(there: Installation, names: dict[str, str]) -> None:
    names["default_vpc"] = next(vpc.id for vpc in there.store.list(ec2.VPCS))
    names["default_group"] = next(group.id for group in there.store.list(ec2.SECURITY_GROUPS))
    names["vpc"] = (await there.done("ec2", "CreateVpc", CidrBlock="10.1.0.0/16"))["Vpc"]["VpcId"]
    names["empty_vpc"] = (await there.done("ec2", "CreateVpc", CidrBlock="10.2.0.0/16"))["Vpc"]["VpcId"]
    made = await there.done("ec2", "CreateSubnet", VpcId=names["vpc"], CidrBlock="10.1.1.0/24", AvailabilityZone=ZONES[0])
    names["subnet"] = made["Subnet"]["SubnetId"]
    names["group"] = (await there.done("ec2", "CreateSecurityGroup", GroupName="web", Description="web", VpcId=names["vpc"]))["GroupId"]
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    opened = await there.done("ec2", "AuthorizeSecurityGroupIngress", GroupId=names["group"], IpPermissions=[permission])
    names["group_rule"] = opened["SecurityGroupRules"][0]["SecurityGroupRuleId"]


async def _balancing(there: Installation, names: dict[str, str]) -> None:
    subnets = sorted(subnet.id for subnet in there.store.list(ec2.SUBNETS) if subnet.is_default)
    names["subnet_a"], names["subnet_b"] = subnets
    for name in ("target_group", "idle_group"):
        made = await there.done(
            "elbv2", "CreateTargetGroup", Name=name.replace("_", "-"), Protocol="HTTP", Port=80, VpcId=names["default_vpc"], TargetType="ip"
        )
        names[name] = made["TargetGroups"][0]["TargetGroupArn"]
    made = await there.done("elbv2", "CreateLoadBalancer", Name="web", Subnets=subnets)
    names["load_balancer"] = made["LoadBalancers"][0]["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": names["target_group"]}]
    made = await there.done(
        "elbv2", "CreateListener", LoadBalancerArn=names["load_balancer"], Protocol="HTTP", Port=80, DefaultActions=forward
    )
    names["listener"] = made["Listeners"][0]["ListenerArn"]
    paths = [{"Field": "path-pattern", "Values": ["/api/*"]}]
    made = await there.done("elbv2", "CreateRule", ListenerArn=names["listener"], Priority=10, Conditions=paths, Actions=forward)
    names["rule"] = made["Rules"][0]["RuleArn"]
    await there.done("elbv2", "RegisterTargets", TargetGroupArn=names["target_group"], Targets=[{"Id": "172.31.0.10", "Port": 8080}])


async def _people(there: Installation, names: dict[str, str]) -> None:
    for user in ("bob", "carol"):
        await there.done("iam", "CreateUser", UserName=user)
    names["key"] = (await there.done("iam", "CreateAccessKey", UserName="bob"))["AccessKey"]["AccessKeyId"]
    for name in ("policy", "idle_policy"):
        made = await there.done("iam", "CreatePolicy", PolicyName=name, PolicyDocument=POLICY_DOCUMENT)
        names[name] = made["Policy"]["Arn"]
    await there.done("iam", "AttachUserPolicy", UserName="bob", PolicyArn=names["policy"])
    await there.done("iam", "PutUserPolicy", UserName="bob", PolicyName="inline", PolicyDocument=POLICY_DOCUMENT)
    await there.done("iam", "PutUserPermissionsBoundary", UserName="bob", PermissionsBoundary=names["policy"])
    team = [{"Key": "team", "Value": "edge"}]
    await there.done("iam", "TagUser", UserName="bob", Tags=team)
    await there.done("iam", "CreatePolicyVersion", PolicyArn=names["policy"], PolicyDocument=POLICY_DOCUMENT)
    await there.done("iam", "TagPolicy", PolicyArn=names["policy"], Tags=team)
    for group in ("staff", "empty"):
        await there.done("iam", "CreateGroup", GroupName=group)
    await there.done("iam", "AddUserToGroup", GroupName="staff", UserName="bob")
    await there.done("iam", "AttachGroupPolicy", GroupName="staff", PolicyArn=names["policy"])
    await there.done("iam", "PutGroupPolicy", GroupName="staff", PolicyName="inline", PolicyDocument=POLICY_DOCUMENT)
    await _roles(there, names)
    await sign_in(there, names)
    await record(there, names, ROOT)
    await vouch(there, names, OWNER)


async def _roles(there: Installation, names: dict[str, str]) -> None:
    tags = [{"Key": "team", "Value": "edge"}]
    for role in ("deploy", "idle"):
        made = await there.done("iam", "CreateRole", RoleName=role, AssumeRolePolicyDocument=TRUST_DOCUMENT, Tags=tags)
        names["role" if role == "deploy" else "idle_role"] = made["Role"]["Arn"]
    await there.done("iam", "AttachRolePolicy", RoleName="deploy", PolicyArn=names["policy"])
    await there.done("iam", "PutRolePolicy", RoleName="deploy", PolicyName="inline", PolicyDocument=POLICY_DOCUMENT)
    await there.done("iam", "PutRolePermissionsBoundary", RoleName="deploy", PermissionsBoundary=names["policy"])
    for profile in ("machines", "idle"):
        made = await there.done("iam", "CreateInstanceProfile", InstanceProfileName=profile, Tags=tags)
        names[f"{profile}_profile"] = made["InstanceProfile"]["Arn"]
    await there.done("iam", "AddRoleToInstanceProfile", InstanceProfileName="machines", RoleName="deploy")
    for service in ("replication.ecr.amazonaws.com", "autoscaling.amazonaws.com"):
        await there.done("iam", "CreateServiceLinkedRole", AWSServiceName=service)
    deleted = await there.done("iam", "DeleteServiceLinkedRole", RoleName="AWSServiceRoleForAutoScaling")
    names["role_deletion"] = deleted["DeletionTaskId"]
    refused = await there.ask("ec2", "DescribeVpcs", {}, USER)
    names["message"] = refused.message.rpartition("message: ")[2]
