"""Docker Engine as a Runtime, through aiodocker.

aiodocker keeps the connection and speaks most of the API. What it has no call for (events of some labels, one sample of
statistics, a registry's digest) goes over the same session. Every failure leaves here as a RuntimeFailure in the engine's
own words; the API is https://docs.docker.com/reference/api/engine/.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import aiodocker
import aiohttp
import msgspec

from longshore.runtime import crossing
from longshore.runtime import docker_answers as answers
from longshore.runtime.base import (
    Anatomy,
    Chunk,
    ContainerState,
    EngineFacts,
    Execution,
    InUse,
    LocalImage,
    NameTaken,
    NoSuchContainer,
    NoSuchImage,
    NotAllowed,
    RegistryAuth,
    RuntimeEvent,
    RuntimeFailure,
    RuntimeUnavailable,
    Usage,
)
from longshore.runtime.cgroups import ControlGroups
from longshore.runtime.streams import DockerExecution, read_logs

T = TypeVar("T")

#: what is worth hearing; health checks alone make two more of each time they run
_EVENTS = ("start", "die", "oom", "health_status", "destroy")
#: how long the engine has to answer what it can answer at once
_ANSWER_S = 60.0


class DockerRuntime:
    def __init__(self, url: str) -> None:
        """`url`: unix:///path or tcp://host:port."""
        self._url = url
        self._opened: aiodocker.Docker | None = None
        #: None until the engine was asked how it drives them; False where they cannot be used
        self._groups: ControlGroups | Literal[False] | None = None

    def __repr__(self) -> str:
        return f"DockerRuntime({self._url})"

    @property
    def _docker(self) -> aiodocker.Docker:
        """Opened on first use, since its session belongs to the running loop."""
        if self._opened is None:
            # No limit on connections: a stop holds one for as long as the container takes to end.
            connector: aiohttp.BaseConnector
            if self._url.startswith("unix://"):
                connector = aiohttp.UnixConnector(self._url.removeprefix("unix://"), limit=0)
                self._opened = aiodocker.Docker(url=self._url, connector=connector)
                self._opened.docker_host = "unix://localhost"
            else:
                self._opened = aiodocker.Docker(url=self._url, connector=aiohttp.TCPConnector(limit=0))
        return self._opened

    async def close(self) -> None:
        if self._opened is not None:
            docker, self._opened = self._opened, None
            connector = docker.connector
            await docker.close()
            if connector is not None:
                await connector.close()

    async def version(self) -> str:
        return str((await _answer(self._docker.version()))["Version"])

    async def facts(self) -> EngineFacts:
        info, version = await self._ask("GET", "info"), await _answer(self._docker.version())
        plugins = info.get("Plugins") or {}
        options = [str(option).partition(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or ()]
        return EngineFacts(
            api_minor=int(str(version["ApiVersion"]).partition(".")[2] or 0),
            log_drivers=frozenset(plugins.get("Log") or ()),
            volume_drivers=frozenset(plugins.get("Volume") or ()),
            security=frozenset(options),
            limits_groups=await self._control_groups(info) is not None,
        )

    # ── images ──

    async def pull(self, image: str, auth: RegistryAuth | None) -> None:
        given = {"username": auth.username, "password": auth.password} if auth else None
        try:
            await _answer(self._docker.images.pull(image, auth=given), None)
        except NoSuchContainer as error:
            raise NoSuchImage(str(error)) from error
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            raise answers.registry_failure(str(error)) from error

    async def image(self, image: str) -> LocalImage | None:
        try:
            found = await _answer(self._docker.images.inspect(quote(image, safe="/:@")))
        except NoSuchContainer:
            return None
        return LocalImage(found["Id"], tuple(found.get("RepoDigests") or ()), int(found.get("Size") or 0))

    async def registry_digest(self, image: str, auth: RegistryAuth | None) -> str:
        headers = {"X-Registry-Auth": _auth_header(auth)} if auth else {}
        try:
            answer = await self._ask("GET", f"distribution/{quote(image, safe='/:@')}/json", headers=headers)
        except NoSuchContainer as error:
            raise NoSuchImage(str(error)) from error
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as error:
            raise answers.registry_failure(str(error)) from error
        return str(answer["Descriptor"]["digest"])

    async def remove_image(self, image: str) -> None:
        try:
            await _answer(self._docker.images.delete(quote(image, safe="/:@")))
        except NoSuchContainer:
            return

    async def load_image(self, image: str, archive: bytes) -> None:
        repository, _, tag = image.rpartition(":")
        params = {"fromSrc": "-", "repo": repository, "tag": tag}
        await self._ask("POST", "images/create", params, {"Content-Type": "application/x-tar"}, archive)

    # ── containers ──

    async def create(self, name: str, config: Mapping[str, Any]) -> str:
        try:
            container = await _answer(self._docker.containers.create(dict(config), name=name))
        except NoSuchContainer as error:
            # 404 of this call is about the image, or about another container that this one refers to
            raise (NoSuchImage(str(error)) if "image" in str(error).lower() else RuntimeFailure(str(error))) from error
        except InUse as error:
            raise NameTaken(str(error)) from error
        return str(container.id)

    async def start(self, container_id: str) -> None:
        await _answer(self._docker.containers.container(container_id).start())

    async def stop(self, container_id: str, timeout_s: int) -> None:
        await _answer(self._docker.containers.container(container_id).stop(t=timeout_s), timeout_s + _ANSWER_S)

    async def remove(self, container_id: str) -> None:
        try:
            await _answer(self._docker.containers.container(container_id).delete(force=True, v=True))
        except NoSuchContainer:
            return
        except InUse as error:
            if "already in progress" not in str(error):
                raise

    async def inspect(self, container_id: str) -> ContainerState:
        return answers.container_state(await _answer(self._docker.containers.container(container_id).show()))

    async def containers(self, labels: dict[str, str]) -> list[ContainerState]:
        filters = msgspec.json.encode({"label": _label_filter(labels)}).decode()
        found = await self._ask("GET", "containers/json", {"all": "1", "filters": filters})
        states = await asyncio.gather(*(self._inspect_if_there(entry["Id"]) for entry in found))
        return [state for state in states if state is not None]

    async def _inspect_if_there(self, container_id: str) -> ContainerState | None:
        try:
            return await self.inspect(container_id)
        except NoSuchContainer:
            return None

    async def usage(self, container_id: str) -> Usage:
        return answers.usage(await self.statistics(container_id))

    async def statistics(self, container_id: str) -> dict[str, Any]:
        stats: dict[str, Any] | None = await self._ask("GET", f"containers/{container_id}/stats", {"stream": "0", "one-shot": "1"})
        # a container that ends meanwhile makes the answer empty, or the time the zero time
        if not stats or answers.seconds(stats.get("read")) is None:
            raise NoSuchContainer(f"container {container_id} does not run")
        return stats

    async def anatomy(self, container_id: str) -> Anatomy:
        return answers.anatomy(await self._ask("GET", f"containers/{container_id}/json"))

    async def at_address(self, address: str) -> ContainerState | None:
        for entry in await self._ask("GET", "containers/json"):
            networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
            if any((network or {}).get("IPAddress") == address for network in networks.values()):
                found = await self._inspect_if_there(entry["Id"])
                return found if found is not None and found.is_running else None
        return None

    # ── commands and logs ──

    async def execute(self, container_id: str, command: Sequence[str], *, tty: bool) -> Execution:
        wanted = {"Cmd": list(command), "Tty": tty, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
        if tty:
            wanted["Env"] = ["TERM=xterm"]
        made = await self._ask("POST", f"containers/{container_id}/exec", body=msgspec.json.encode(wanted))

        async def ask(method: str, path: str, params: dict[str, str] | None, body: bytes | None) -> Any:
            return await self._ask(method, path, params, body=body)

        version = str(self._docker.api_version)
        return await DockerExecution.begin(self._url, version, str(made["Id"]), container_id, ask, tty=tty)

    async def logs(
        self, container_id: str, *, follow: bool = False, tail: int | None = None, timestamps: bool = False
    ) -> AsyncIterator[Chunk]:
        found = await self._ask("GET", f"containers/{container_id}/json")
        params = {"stdout": "1", "stderr": "1", "tail": "all" if tail is None else str(tail)}
        params |= {name: "1" for name, wanted in (("follow", follow), ("timestamps", timestamps)) if wanted}
        timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=None if follow else _ANSWER_S)
        try:
            async with self._request("GET", f"containers/{container_id}/logs", params, timeout=timeout) as response:
                async for chunk in read_logs(response, tty=bool((found.get("Config") or {}).get("Tty"))):
                    yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeUnavailable(f"Docker Engine does not answer: {error or type(error).__name__}") from error

    # ── volumes ──

    async def create_volume(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> None:
        config = {"Name": name, "Driver": driver or "local", "DriverOpts": options, "Labels": labels}
        await self._ask("POST", "volumes/create", body=msgspec.json.encode(config))

    async def has_volume(self, name: str) -> bool:
        try:
            await self._ask("GET", f"volumes/{quote(name, safe='')}")
        except NoSuchContainer:
            return False
        return True

    async def remove_volume(self, name: str) -> None:
        try:
            await self._ask("DELETE", f"volumes/{quote(name, safe='')}")
        except NoSuchContainer:
            return

    # ── networks ──

    async def create_network(self, name: str, subnet: str, labels: dict[str, str], gateway: str = "") -> None:
        if name in await self.subnets():
            return
        gateway = gateway or str(ip_network(subnet)[1])
        wanted = {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": "bridge",
            "IPAM": {"Config": [{"Subnet": subnet, "Gateway": gateway}]},
            "Labels": labels,
        }
        try:
            await self._ask("POST", "networks/create", body=msgspec.json.encode(wanted))
        except InUse:
            return

    async def remove_network(self, name: str) -> None:
        try:
            await self._ask("DELETE", f"networks/{quote(name, safe='')}")
        except NoSuchContainer:
            return
        except NotAllowed as error:  # Docker Engine's word for a network with containers in it
            raise InUse(str(error)) from error

    async def let_cross(self, pool: str, *, allowed: bool) -> bool:
        """The engine of another machine has its rules there."""
        if not self._url.startswith("unix://"):
            return False
        if not allowed:
            await asyncio.to_thread(crossing.forbid, pool)
            return False
        return await asyncio.to_thread(crossing.allow, pool)

    async def subnets(self) -> dict[str, tuple[str, ...]]:
        found = await self._ask("GET", "networks")
        return {str(network["Name"]): answers.subnets_of(network) for network in found}

    # ── control groups ──

    async def create_group(self, name: str, cpus: float, memory_mib: int) -> str:
        groups = await self._control_groups()
        try:
            return await asyncio.to_thread(groups.make, name, cpus, memory_mib) if groups is not None else ""
        except OSError as error:
            raise RuntimeFailure(f"the control group of the task cannot be made: {error}") from error

    async def remove_group(self, name: str) -> None:
        groups = await self._control_groups()
        if groups is not None:
            await asyncio.to_thread(groups.remove, name)

    async def _control_groups(self, info: dict[str, Any] | None = None) -> ControlGroups | None:
        """Only of the engine of this machine, and only where it is cgroupfs and not systemd that makes them."""
        if self._groups is None:
            info = info or await self._ask("GET", "info")
            groups = ControlGroups()
            local = self._url.startswith("unix://") and info.get("CgroupDriver") == "cgroupfs"
            self._groups = groups if local and await asyncio.to_thread(groups.usable) else False
        return self._groups or None

    # ── events ──

    async def events(self, labels: dict[str, str]) -> AsyncIterator[RuntimeEvent]:
        filters = {"type": ["container"], "event": list(_EVENTS), "label": _label_filter(labels)}
        params = {"filters": msgspec.json.encode(filters).decode()}
        try:
            async with self._request("GET", "events", params, timeout=aiohttp.ClientTimeout(sock_connect=10)) as response:
                yield RuntimeEvent("", "connected", {}, 0.0)
                async for line in response.content:
                    if line.strip():
                        yield answers.event(msgspec.json.decode(line))
        except msgspec.DecodeError as error:
            raise RuntimeUnavailable(f"the event stream is no JSON: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeUnavailable(f"the event stream broke: {error}") from error
        raise RuntimeUnavailable("the event stream ended")

    async def _ask(
        self, method: str, path: str, params: dict[str, str] | None = None, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Any:
        """What aiodocker has no (typed) call for; the decoded answer, None when there is none."""
        try:
            async with self._request(method, path, params, headers, body, aiohttp.ClientTimeout(total=_ANSWER_S)) as response:
                content = await response.read()
                return msgspec.json.decode(content) if content else None
        except msgspec.DecodeError as error:
            raise RuntimeFailure(f"Docker Engine answers {path} with what is no JSON: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RuntimeUnavailable(f"Docker Engine does not answer: {error or type(error).__name__}") from error

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        docker = self._docker
        if docker.api_version == "auto":
            docker.api_version = f"v{(await _answer(docker.version()))['ApiVersion']}"
        url = f"{docker.docker_host}/{docker.api_version}/{path}"
        sent = {"Content-Type": "application/json", **(headers or {})}
        async with docker.session.request(method, url, params=params, headers=sent, data=body, timeout=timeout) as response:
            if response.status >= 400:
                raise answers.failure(response.status, answers.message(await response.read()))
            yield response


async def _answer(call: Awaitable[T], timeout_s: float | None = _ANSWER_S) -> T:
    """What aiodocker answers, with its failures turned into ours."""
    try:
        async with asyncio.timeout(timeout_s):
            return await call
    except aiodocker.DockerError as error:
        raise answers.failure(error.status, str(error.message)) from error
    except TimeoutError as error:
        raise RuntimeUnavailable(f"Docker Engine did not answer within {timeout_s:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise RuntimeUnavailable(f"Docker Engine does not answer: {error or type(error).__name__}") from error


def _auth_header(auth: RegistryAuth) -> str:
    content = {"username": auth.username, "password": auth.password, "serveraddress": auth.server}
    return base64.urlsafe_b64encode(msgspec.json.encode(content)).decode()


def _label_filter(labels: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in labels.items()]
