"""The AWS calls an agent makes: ECS for itself and its tasks, ECR for the credentials of images. JSON 1.1 signed with SigV4.

A client of its own and no SDK: an agent makes six calls and is to stay small. Nothing is retried here; callers know what is
worth trying again, and how often.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
import yarl

from longshore.agent.messages import RoleCredentials
from longshore.aws.flight import ContainerFlight
from longshore.aws.sigv4 import sign
from longshore.config import Credentials
from longshore.kit.clock import Clock
from longshore.runtime.base import RegistryAuth

T = TypeVar("T")

ECS = "AmazonEC2ContainerServiceV20141113"
ECR = "AmazonEC2ContainerRegistry_V20150921"
SECRETS_MANAGER = "secretsmanager"
SSM = "AmazonSSM"
AGENT_VERSION = "1.105.1"
USER_AGENT = f"Amazon ECS Agent - v{AGENT_VERSION} (longshore) (linux; LINUX)"
#: how long the platform has to answer
ANSWER_S = 30.0


class CallRefused(Exception):
    """The platform said no; `code` is the error's name."""

    def __init__(self, operation: str, code: str, message: str, status: int) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Worth trying again: the fault is the platform's, or it is busy."""
        return self.status >= 500 or self.code in ("ThrottlingException", "ServerException", "LimitExceededException")


class PlatformUnreachable(Exception):
    """No answer: nothing listens, or the connection broke."""


class Attribute(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    value: str | None = None


class Resource(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What the instance has to give; the ports are those it does not give."""

    name: str
    type: str
    integer_value: int | None = None
    string_set_value: tuple[str, ...] | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    cluster: str
    client_token: str
    instance_identity_document: str
    instance_identity_document_signature: str
    attributes: tuple[Attribute, ...]
    total_resources: tuple[Resource, ...]
    container_instance_arn: str | None = None


class Registered(msgspec.Struct, frozen=True, rename="camel"):
    container_instance_arn: str
    attributes: tuple[Attribute, ...] = ()


class _RegisterAnswer(msgspec.Struct, frozen=True, rename="camel"):
    container_instance: Registered


class PollEndpoint(msgspec.Struct, frozen=True, rename="camel"):
    """Bases of the two sockets, as http or https addresses."""

    endpoint: str
    telemetry_endpoint: str


class ContainerChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    container_name: str
    status: str
    runtime_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    image_digest: str | None = None
    network_bindings: msgspec.Raw | None = None


class AttachmentChange(msgspec.Struct, frozen=True, rename="camel"):
    attachment_arn: str
    status: str


class TaskChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """SubmitTaskStateChange; times are seconds since the epoch."""

    cluster: str
    task: str
    status: str
    #: sent even when there is none
    reason: str
    containers: tuple[ContainerChange, ...] | None = None
    attachments: tuple[AttachmentChange, ...] | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """LongshoreSubmitTaskRecord."""

    cluster: str
    task: str
    containers: tuple[ContainerFlight, ...]


class ProtectedTask(msgspec.Struct, frozen=True, rename="camel"):
    task_arn: str = ""
    protection_enabled: bool = False
    #: seconds since the epoch
    expiration_date: float | None = None


class ProtectionFailure(msgspec.Struct, frozen=True):
    arn: str = ""
    reason: str | None = None
    detail: str | None = None


class Protection(msgspec.Struct, frozen=True, rename="camel"):
    """Of one task: it, or why not."""

    protected_tasks: tuple[ProtectedTask, ...] = ()
    failures: tuple[ProtectionFailure, ...] = ()


class _Tag(msgspec.Struct, frozen=True):
    key: str = ""
    value: str = ""


class _Tags(msgspec.Struct, frozen=True):
    tags: tuple[_Tag, ...] = ()


class _Error(msgspec.Struct, frozen=True):
    type: str = msgspec.field(default="", name="__type")
    message: str = ""


class _Token(msgspec.Struct, frozen=True, rename="camel"):
    authorization_token: str
    expires_at: float = 0.0
    proxy_endpoint: str = ""


class _TokenAnswer(msgspec.Struct, frozen=True, rename="camel"):
    authorization_data: tuple[_Token, ...] = ()


class _SecretAnswer(msgspec.Struct, frozen=True):
    text: str | None = msgspec.field(default=None, name="SecretString")


class _Parameter(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    value: str = ""
    arn: str = msgspec.field(default="", name="ARN")
    #: ":version" or ":label" it was asked for with
    selector: str = ""


class _ParametersAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    parameters: tuple[_Parameter, ...] = ()


class RegistryToken(msgspec.Struct, frozen=True):
    auth: RegistryAuth
    #: seconds since the epoch
    expires_at: float


class LoadBalancerNames(msgspec.Struct, frozen=True):
    mark: str
    #: name -> addresses at which containers here reach it
    names: dict[str, tuple[str, ...]]


class Api:
    """`endpoint` is the platform's address; every call may raise CallRefused and PlatformUnreachable."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, region: str, credentials: Credentials, clock: Clock) -> None:
        self._session = session
        self._endpoint = endpoint.rstrip("/")
        self.region = region
        self._credentials = credentials
        self._clock = clock

    def __repr__(self) -> str:
        return f"Api({self._endpoint})"

    def use(self, credentials: Credentials) -> None:
        """Sign with these from now on."""
        self._credentials = credentials

    async def register_container_instance(self, registration: Registration) -> Registered:
        answer = await self._call("ecs", ECS, "RegisterContainerInstance", msgspec.json.encode(registration))
        return _decoded("RegisterContainerInstance", answer, _RegisterAnswer).container_instance

    async def discover_poll_endpoint(self, cluster: str, container_instance_arn: str) -> PollEndpoint:
        body = msgspec.json.encode({"cluster": cluster, "containerInstance": container_instance_arn})
        return _decoded("DiscoverPollEndpoint", await self._call("ecs", ECS, "DiscoverPollEndpoint", body), PollEndpoint)

    async def submit_task_state_change(self, change: TaskChange) -> None:
        await self._call("ecs", ECS, "SubmitTaskStateChange", msgspec.json.encode(change))

    async def submit_task_record(self, record: TaskRecord) -> None:
        await self._call("ecs", ECS, "LongshoreSubmitTaskRecord", msgspec.json.encode(record))

    async def create_cluster(self, name: str) -> None:
        await self._call("ecs", ECS, "CreateCluster", msgspec.json.encode({"clusterName": name}))

    async def list_tags(self, arn: str) -> dict[str, str]:
        answer = await self._call("ecs", ECS, "ListTagsForResource", msgspec.json.encode({"resourceArn": arn}))
        return {tag.key: tag.value for tag in _decoded("ListTagsForResource", answer, _Tags).tags}

    async def task_protection(self, cluster: str, task_arn: str) -> Protection:
        body = msgspec.json.encode({"cluster": cluster, "tasks": [task_arn]})
        return _decoded("GetTaskProtection", await self._call("ecs", ECS, "GetTaskProtection", body), Protection)

    async def protect_task(self, cluster: str, task_arn: str, *, enabled: bool, minutes: int | None) -> Protection:
        wanted: dict[str, object] = {"cluster": cluster, "tasks": [task_arn], "protectionEnabled": enabled}
        if minutes is not None:
            wanted["expiresInMinutes"] = minutes
        answer = await self._call("ecs", ECS, "UpdateTaskProtection", msgspec.json.encode(wanted))
        return _decoded("UpdateTaskProtection", answer, Protection)

    def acting_as(self, role: RoleCredentials) -> Api:
        """The same platform, asked with the rights of a role."""
        given = Credentials(role.access_key_id, role.secret_access_key, role.session_token)
        return Api(self._session, self._endpoint, self.region, given, self._clock)

    async def registry_token(self, registry_id: str, region: str, acting_as: RoleCredentials | None = None) -> RegistryToken:
        if acting_as is not None:
            return await self.acting_as(acting_as).registry_token(registry_id, region)
        body = msgspec.json.encode({"registryIds": [registry_id]} if registry_id else {})
        answer = _decoded("GetAuthorizationToken", await self._call("ecr", ECR, "GetAuthorizationToken", body, region), _TokenAnswer)
        if not answer.authorization_data:
            raise CallRefused("GetAuthorizationToken", "ServerException", "missing authorization data", 500)
        token = answer.authorization_data[0]
        username, _, password = base64.b64decode(token.authorization_token).decode().partition(":")
        return RegistryToken(RegistryAuth(username, password, token.proxy_endpoint), token.expires_at)

    async def secret_value(self, role: RoleCredentials, secret_id: str, *, stage: str, version: str, region: str) -> str:
        """Raises CallRefused for a value that is no text, too: a variable can hold nothing else."""
        asked = {"SecretId": secret_id} | ({"VersionStage": stage} if stage else {}) | ({"VersionId": version} if version else {})
        answer = await self.acting_as(role)._call("secretsmanager", SECRETS_MANAGER, "GetSecretValue", msgspec.json.encode(asked), region)
        text = _decoded("GetSecretValue", answer, _SecretAnswer).text
        if text is None:
            raise CallRefused("GetSecretValue", "InvalidParameterException", "the secret is binary", 400)
        return text

    async def parameters(self, role: RoleCredentials, names: Sequence[str], *, region: str) -> dict[str, str]:
        asked = msgspec.json.encode({"Names": names, "WithDecryption": True})
        answer = await self.acting_as(role)._call("ssm", SSM, "GetParameters", asked, region)
        found = {}
        for parameter in _decoded("GetParameters", answer, _ParametersAnswer).parameters:
            # it is told by its own name, whatever it was asked for by
            asked_by = (name for name in names if name in (parameter.name + parameter.selector, parameter.arn + parameter.selector))
            found.update(dict.fromkeys(asked_by, parameter.value))
        return found

    async def load_balancer_names(self, address: str, after: str) -> LoadBalancerNames:
        """For the agent at `address`; waits a while for what is not `after` any more."""
        query = f"address={quote(address, safe='')}&after={quote(after, safe='')}"
        url = f"{self._endpoint}/_longshore/names?{query}"
        signed = self.signed("GET", url, {}, b"", "longshore")
        timeout = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=5.0)
        try:
            async with self._session.get(yarl.URL(url, encoded=True), headers=signed, timeout=timeout) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PlatformUnreachable(f"names: {self._endpoint}: {error or type(error).__name__}") from error
        if response.status != 200:
            raise _refusal("names", response.status, content)
        return _decoded("names", content, LoadBalancerNames)

    async def _call(self, service: str, target: str, operation: str, body: bytes, region: str = "") -> bytes:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{target}.{operation}"}
        url = f"{self._endpoint}/"
        signed = self.signed("POST", url, headers, body, service, region)
        timeout = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=5.0)
        try:
            async with self._session.post(yarl.URL(url, encoded=True), data=body, headers=signed, timeout=timeout) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PlatformUnreachable(f"{operation}: {self._endpoint}: {error or type(error).__name__}") from error
        if response.status != 200:
            raise _refusal(operation, response.status, content)
        return content

    def signed(self, method: str, url: str, headers: dict[str, str], body: bytes, service: str = "ecs", region: str = "") -> dict[str, str]:
        """`headers` and what has to be sent beside them; `url` is encoded as it will be sent."""
        parts = urlsplit(url)
        own = sign(
            method,
            parts.path or "/",
            parts.query,
            [("host", parts.netloc), *headers.items()],
            body,
            access_key_id=self._credentials.access_key_id,
            secret_access_key=self._credentials.secret_access_key,
            region=region or self.region,
            service=service,
            now=self._clock.now(),
            session_token=self._credentials.session_token or None,
        )
        return {"User-Agent": USER_AGENT, **headers, **own}


def _decoded(operation: str, content: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=shape)
    except msgspec.MsgspecError as error:
        raise CallRefused(operation, "ServerException", f"an answer that makes no sense: {error}", 500) from error


def _refusal(operation: str, status: int, content: bytes) -> CallRefused:
    try:
        error = msgspec.json.decode(content, type=_Error)
    except msgspec.MsgspecError:
        error = _Error("", content[:200].decode(errors="replace"))
    code = error.type.rpartition("#")[2] or ("ServerException" if status >= 500 else "ClientException")
    return CallRefused(operation, code, error.message, status)
