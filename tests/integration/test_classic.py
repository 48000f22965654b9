"""Classic load balancers on the real HAProxy, asked by boto3 over a real gateway; and what `longshore elb-copy` makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiohttp import web
from msgspec.structs import replace
from typer.testing import CliRunner

from longshore.cli.app import app
from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.kit.ids import RandomIds
from longshore.resources import KINDS, RESOURCE_SIDES
from longshore.services.ecs.model import CONTAINER_INSTANCES, Capacity, ContainerInstance
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, TARGET_GROUPS, TARGETS
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Tx
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.balancer.lab import SITE, Client, Lab, quiet_port, until
from tests.services.acm.making import Made

pytestmark = pytest.mark.engine("haproxy")

INSTANCE = "i-0123456789abcdef0"
KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SIGNING = b"s" * 32


class Shop(Lab):
    """A laboratory with a gateway before its store, and one container instance: this machine."""

    url = ""

    async def open(self) -> None:
        self.store = memory_store(KINDS)

        def found(tx: Tx) -> None:
            ensure_root(tx, SITE.account_id, KEY, SECRET, 0.0)
            tx.put(
                CONTAINER_INSTANCES,
                ContainerInstance(
                    arn=f"arn:aws:ecs:us-east-1:{SITE.account_id}:container-instance/default/{INSTANCE[-8:]}",
                    cluster_arn=f"arn:aws:ecs:us-east-1:{SITE.account_id}:cluster/default",
                    ec2_instance_id=INSTANCE,
                    registered_at=0.0,
                    capacity=Capacity(1024, 1024),
                    address="127.0.0.1",
                    availability_zone="us-east-1a",
                ),
            )

        await self.store.transact(found)
        await super().open()
        gateway = Gateway(
            store=self.store,
            blobs=MemoryBlobStore(),
            clock=self.clock,
            ids=RandomIds(),
            site=SITE,
            identities=Identities(self.store, self.clock, SITE, SIGNING),
            access=Access(self.store, self.clock, RESOURCE_SIDES),
            signing_secret=SIGNING,
        )
        self.runner = web.ServerRunner(web.Server(gateway.handle, access_log=None, auto_decompress=False))
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"

    async def close(self, keep_running: bool = False) -> None:
        await self.runner.cleanup()
        await super().close(keep_running)

    async def do(self, operation: str, api: str = "elb", **parameters: Any) -> Any:
        """One operation by boto3."""
        client = boto3.client(api, "us-east-1", endpoint_url=self.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET)
        return await asyncio.to_thread(getattr(client, operation), **parameters)

    async def classic(self, *listeners: dict[str, Any], check: str, **attributes: Any) -> None:
        await self.do("create_load_balancer", LoadBalancerName="shop", Listeners=list(listeners), AvailabilityZones=["us-east-1a"])
        timing = {"Interval": 5, "Timeout": 2, "UnhealthyThreshold": 2, "HealthyThreshold": 2}
        await self.do("configure_health_check", LoadBalancerName="shop", HealthCheck={"Target": check, **timing})
        if attributes:
            await self.do("modify_load_balancer_attributes", LoadBalancerName="shop", LoadBalancerAttributes=attributes)

    async def register(self, *_: Any) -> None:
        await self.do("register_instances_with_load_balancer", LoadBalancerName="shop", Instances=[{"InstanceId": INSTANCE}])

    async def deregister(self, *_: Any) -> None:
        await self.do("deregister_instances_from_load_balancer", LoadBalancerName="shop", Instances=[{"InstanceId": INSTANCE}])

    async def health_is(self, state: str) -> None:
        asked = {"LoadBalancerName": "shop", "Instances": [{"InstanceId": INSTANCE}]}

        async def told() -> bool:
            return bool((await self.do("describe_instance_health", **asked))["InstanceStates"][0]["State"] == state)

        await until(told)

    async def quickly(self) -> None:
        """Checks every second, which the API does not allow."""

        def hurry(tx: Tx) -> None:
            for group in tx.list(TARGET_GROUPS):
                tx.put(TARGET_GROUPS, replace(group, health_check=replace(group.health_check, interval_s=1, timeout_s=1)))

        await self.store.transact(hurry)
        await self.settled()

    async def longshore(self, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
        for name, value in (("AWS_ENDPOINT_URL", self.url), ("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)):
            monkeypatch.setenv(name, value)
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        return result.exit_code, result.output + str(result.exception or "")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    lab = Shop(tmp_path / "haproxy", installation_secret=SIGNING)
    await lab.open()
    yield lab
    await lab.close()
    for upstream in lab.upstreams:
        upstream.release.set()
        await upstream.close()


def http(shop: Shop, port: int, **more: Any) -> dict[str, Any]:
    return {"Protocol": "HTTP", "LoadBalancerPort": shop.port, "InstanceProtocol": "HTTP", "InstancePort": port, **more}


async def test_an_instance_serves_while_it_is_in_service_and_nobody_does_when_none_is(shop: Shop) -> None:
    one = await shop.upstream("one")
    await shop.classic(http(shop, one.port), check=f"HTTP:{one.port}/health")
    await until(lambda: shop.store.list(LOAD_BALANCERS)[0].status.state == "active")
    assert (await shop.ask()).status == 503
    await shop.register()
    await shop.health_is("InService")
    answer = await shop.ask("/a")
    assert answer.seen["name"] == "one" and answer.status == 200
    headers = {name.lower(): value for name, value in answer.seen["headers"]}
    assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("http", str(shop.port))
    assert headers["x-forwarded-for"].startswith("127.")
    await shop.quickly()
    one.health_status = 404
    await shop.health_is("OutOfService")
    assert (await shop.ask()).status == 503, "a Classic load balancer does not send requests to instances that are out of service"
    one.health_status = 200
    await shop.health_is("InService")
    assert (await shop.ask()).status == 200


async def test_what_is_under_way_is_answered_while_an_instance_drains(shop: Shop) -> None:
    one = await shop.upstream("one")
    draining = {"ConnectionDraining": {"Enabled": True, "Timeout": 60}}
    await shop.classic(http(shop, one.port), check=f"TCP:{one.port}", **draining)
    await shop.register()
    await shop.health_is("InService")
    held = asyncio.create_task(shop.ask("/hold"))
    await until(lambda: "/hold" in one.asked)
    await shop.deregister()
    await until(lambda: any(target.deregistered_at is not None for target in shop.store.list(TARGETS)))
    await shop.health_is("InService")  # deregistration is in progress
    assert (await shop.ask()).status == 503
    one.release.set()
    assert (await held).status == 200
    await shop.health_is("OutOfService")
    assert shop.store.list(TARGETS) == []


async def test_clients_stay_with_their_instance_by_the_load_balancers_cookie(shop: Shop) -> None:
    one = await shop.upstream("one")
    await shop.classic(http(shop, one.port), check=f"TCP:{one.port}")
    await shop.do("create_lb_cookie_stickiness_policy", LoadBalancerName="shop", PolicyName="session")
    sticky = {"LoadBalancerName": "shop", "LoadBalancerPort": shop.port, "PolicyNames": ["session"]}
    await shop.do("set_load_balancer_policies_of_listener", **sticky)
    await shop.register()
    await shop.health_is("InService")
    cookies = (await shop.ask()).cookies()
    assert set(cookies) == {"AWSELB", "AWSELBCORS"} and "Expires" not in cookies["AWSELB"]
    await shop.do("create_lb_cookie_stickiness_policy", LoadBalancerName="shop", PolicyName="hour", CookieExpirationPeriod=3600)
    await shop.do("set_load_balancer_policies_of_listener", **(sticky | {"PolicyNames": ["hour"]}))

    async def expires() -> bool:
        return "Expires" in (await shop.ask()).cookies()["AWSELB"]

    await until(expires)


async def test_tcp_passes_with_the_proxy_protocol_where_the_policy_says_so(shop: Shop) -> None:
    heard: list[bytes] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(200))
        writer.write(b"heard\n")
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await shop.classic({"Protocol": "TCP", "LoadBalancerPort": shop.port, "InstancePort": port}, check=f"TCP:{port}")
    attributes = [{"AttributeName": "ProxyProtocol", "AttributeValue": "true"}]
    named = {"LoadBalancerName": "shop", "PolicyName": "proxied", "PolicyTypeName": "ProxyProtocolPolicyType"}
    await shop.do("create_load_balancer_policy", **named, PolicyAttributes=attributes)
    await shop.do("set_load_balancer_policies_for_backend_server", LoadBalancerName="shop", InstancePort=port, PolicyNames=["proxied"])
    await shop.register()
    await shop.health_is("InService")
    heard.clear()

    async def answered() -> bool:
        reader, writer = await asyncio.open_connection(shop.address(), shop.port)
        writer.write(b"hello")
        done = await reader.read(100)
        writer.close()
        return done == b"heard\n"

    await until(answered)
    await until(lambda: any(line.startswith(b"PROXY TCP4 127.") and line.endswith(b"hello") for line in heard))
    server.close()


async def test_tls_ends_at_a_secure_listener_with_the_policy_that_it_has(shop: Shop) -> None:
    one = await shop.upstream("one")
    made = Made("shop.example", shop.clock.now())
    uploaded = {"ServerCertificateName": "shop", "CertificateBody": made.pem.decode(), "PrivateKey": made.key.decode()}
    arn = (await shop.do("upload_server_certificate", "iam", **uploaded))["ServerCertificateMetadata"]["Arn"]
    secure = http(shop, one.port) | {"Protocol": "HTTPS", "SSLCertificateId": arn}
    await shop.classic(secure, check=f"TCP:{one.port}")
    pairs = (("Protocol-TLSv1.2", "true"), ("ECDHE-ECDSA-AES256-GCM-SHA384", "true"), ("Server-Defined-Cipher-Order", "true"))
    attributes = [{"AttributeName": name, "AttributeValue": value} for name, value in pairs]
    named = {"LoadBalancerName": "shop", "PolicyName": "strict", "PolicyTypeName": "SSLNegotiationPolicyType"}
    await shop.do("create_load_balancer_policy", **named, PolicyAttributes=attributes)
    await shop.do("set_load_balancer_policies_of_listener", LoadBalancerName="shop", LoadBalancerPort=shop.port, PolicyNames=["strict"])
    await shop.register()
    await shop.health_is("InService")

    def trusting(version: ssl.TLSVersion) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=made.pem.decode())
        context.maximum_version = version
        return context

    async def negotiated() -> bool:
        reader, writer = await asyncio.open_connection(
            shop.address(), shop.port, ssl=trusting(ssl.TLSVersion.TLSv1_3), server_hostname="shop.example"
        )
        cipher = writer.get_extra_info("cipher")
        answer = await Client(reader, writer).request("/")
        writer.close()
        return bool(cipher[0] == "ECDHE-ECDSA-AES256-GCM-SHA384" and answer.status == 200)

    await until(negotiated)


@pytest.mark.parametrize("check", ["SSL", "HTTPS", "TCP"])
async def test_instances_are_spoken_to_with_tls_where_the_listener_says_so(shop: Shop, tmp_path: Path, check: str) -> None:
    made = Made("instance.example", shop.clock.now())
    (tmp_path / "instance.pem").write_bytes(made.pem + made.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "instance.pem")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    other = quiet_port()
    passed = {"Protocol": "TCP", "LoadBalancerPort": other, "InstanceProtocol": "SSL", "InstancePort": port}
    await shop.classic(http(shop, port, InstanceProtocol="HTTPS"), passed, check=f"{check}:{port}{'/' if check == 'HTTPS' else ''}")
    await shop.register()
    await shop.health_is("InService")
    for at in (shop.port, other):
        assert (await shop.ask(port=at)).body == b"secret"
    await shop.quickly()
    server.close()
    await shop.health_is("OutOfService")


async def test_the_copy_serves_what_the_original_serves_and_a_copy_that_fails_leaves_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await shop.upstream("one")
    await shop.classic(http(shop, one.port), check=f"HTTP:{one.port}/health")
    await shop.register()
    await shop.health_is("InService")
    assert (await shop.longshore(monkeypatch, "elb-copy", "shop", "--dry-run"))[0] == 0
    assert (await shop.do("describe_load_balancers", "elbv2"))["LoadBalancers"] == []
    status, said = await shop.longshore(monkeypatch, "elb-copy", "shop", "--register-targets", "--subnet", "subnet-0")
    assert status != 0 and "there are no such subnets here" in said
    status, said = await shop.longshore(monkeypatch, "elb-copy", "shop", "--register-targets")
    assert status == 0, said
    (copy,) = (await shop.do("describe_load_balancers", "elbv2"))["LoadBalancers"]
    assert copy["LoadBalancerName"] == "shop" and copy["DNSName"] in said
    (group,) = (await shop.do("describe_target_groups", "elbv2"))["TargetGroups"]

    async def healthy() -> bool:
        told = await shop.do("describe_target_health", "elbv2", TargetGroupArn=group["TargetGroupArn"])
        return bool(told["TargetHealthDescriptions"][0]["TargetHealth"]["State"] == "healthy")

    await until(healthy)
    for slot in (1, 2):
        assert (await shop.ask("/same", slot=slot)).seen["path"] == "/same"


async def test_tcp_is_copied_to_a_network_load_balancer(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await shop.upstream("one")
    passed = {"Protocol": "TCP", "LoadBalancerPort": shop.port, "InstancePort": one.port}
    await shop.classic(passed, check=f"TCP:{one.port}", ConnectionSettings={"IdleTimeout": 90})
    await shop.register()
    status, said = await shop.longshore(monkeypatch, "elb-copy", "shop", "--register-targets", "--name", "shop-tcp", "-o", "json")
    assert status == 0, said
    (copy,) = (await shop.do("describe_load_balancers", "elbv2"))["LoadBalancers"]
    assert (copy["Type"], copy["LoadBalancerName"], copy["LoadBalancerArn"] in said) == ("network", "shop-tcp", True)
    (listener,) = (await shop.do("describe_listeners", "elbv2", LoadBalancerArn=copy["LoadBalancerArn"]))["Listeners"]
    told = (await shop.do("describe_listener_attributes", "elbv2", ListenerArn=listener["ListenerArn"]))["Attributes"]
    assert {"Key": "tcp.idle_timeout.seconds", "Value": "90"} in told

    async def serves() -> bool:
        return (await shop.ask("/same", slot=2)).seen["path"] == "/same"

    await until(serves)


async def test_what_was_created_before_a_refusal_is_deleted_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await shop.upstream("one")
    await shop.classic(http(shop, one.port), check=f"HTTP:{one.port}/health")
    await shop.register()

    def leave(tx: Tx) -> None:
        (row,) = tx.list(CONTAINER_INSTANCES)
        tx.put(CONTAINER_INSTANCES, replace(row, status="INACTIVE"))

    await shop.store.transact(leave)  # which the copy finds out last
    status, said = await shop.longshore(monkeypatch, "elb-copy", "shop", "--register-targets")
    assert status != 0 and "RegisterTargets: InvalidTarget" in said
    assert (await shop.do("describe_load_balancers", "elbv2"))["LoadBalancers"] == []
    assert (await shop.do("describe_target_groups", "elbv2"))["TargetGroups"] == []


async def test_a_certificate_that_is_renamed_is_shown_by_its_new_name(shop: Shop) -> None:
    made = Made("shop.example", shop.clock.now())
    uploaded = {"ServerCertificateName": "shop", "CertificateBody": made.pem.decode(), "PrivateKey": made.key.decode()}
    arn = (await shop.do("upload_server_certificate", "iam", **uploaded))["ServerCertificateMetadata"]["Arn"]
    await shop.classic(http(shop, 8080) | {"Protocol": "HTTPS", "SSLCertificateId": arn}, check="TCP:8080")
    await shop.do("update_server_certificate", "iam", ServerCertificateName="shop", NewServerCertificateName="store")
    (lb,) = (await shop.do("describe_load_balancers"))["LoadBalancerDescriptions"]
    shown = lb["ListenerDescriptions"][0]["Listener"]["SSLCertificateId"]
    assert shown == arn.replace("/shop", "/store")
    (served,) = shop.store.list(LISTENERS)
    assert served.certificates == (shown,)
