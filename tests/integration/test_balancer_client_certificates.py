"""Clients that prove themselves with certificates, on the real HAProxy: who is let in, and what targets hear of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from longshore.aws.shapes import elbv2 as shapes
from tests.balancer.lab import Answer, Client, Lab, fixed, forward, laboratory, quiet_port
from tests.balancer.tls import SECRET, Person, context, person, put_certificate, put_trust_store, revoked

pytestmark = pytest.mark.engine("haproxy")

ROOT = person("Root", is_authority=True)
MIDDLE = person("Middle", ROOT, is_authority=True)
ALICE = person("Alice", MIDDLE, serial=0xAB12CD34EF)
GONE = person("Gone", MIDDLE)
OLD = person("Old", MIDDLE, days=-3)
STRANGER = person("Stranger", person("Other Root", is_authority=True))
PREFIX = "X-Amzn-Mtls-Clientcert"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


async def asking(lab: Lab, attributes: dict[str, str] | None = None, policy: str = "", **mutual: object) -> None:
    one = await lab.upstream("one")
    group = await lab.group()
    await lab.register(group, one)
    lb = await lab.load_balancer()
    settings = shapes.MutualAuthenticationAttributes(**mutual)  # type: ignore[arg-type]
    certificates = (await put_certificate(lab, "one.test"),)
    await lab.listener(
        lb,
        forward(group),
        protocol="HTTPS",
        certificates=certificates,
        ssl_policy=policy,
        mutual_authentication=settings,
        attributes=attributes or {},
    )
    await lab.healthy(group, one)
    await lab.settled()
    assert lab.status(lb) == ("active", "")


async def ask(lab: Lab, using: ssl.SSLContext, *headers: tuple[str, str]) -> Answer:
    async with asyncio.timeout(10):
        client = await Client.connect(lab.address(), lab.port, ssl=using, server_hostname="one.test")
        try:
            return await client.request(headers=headers)
        finally:
            await client.close()


def told(answer: Answer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.seen["headers"] if "mtls" in name.lower() or name.lower().startswith("client")}


async def is_refused(lab: Lab, using: ssl.SSLContext) -> bool:
    try:
        await ask(lab, using)
    except (OSError, EOFError):
        return True
    return False


async def test_only_those_whose_authority_is_trusted_are_let_in(lab: Lab, tmp_path: Path) -> None:
    await asking(lab, mode="verify", trust_store_arn=await put_trust_store(lab, ROOT))
    answer = await ask(lab, ALICE.context(tmp_path, MIDDLE), (f"{PREFIX}-Leaf", "forged"), (PREFIX, "forged"))
    headers = told(answer)
    assert headers.pop("x-amzn-mtls-clientcert-serial-number") == "AB12CD34EF"
    assert headers.pop("x-amzn-mtls-clientcert-subject") == r"CN=Alice,O=\C3\84\, Co"
    assert headers.pop("x-amzn-mtls-clientcert-issuer") == r"CN=Middle,O=\C3\84\, Co"
    begin, end = ALICE.certificate.not_valid_before_utc, ALICE.certificate.not_valid_after_utc
    assert headers.pop("x-amzn-mtls-clientcert-validity") == f"NotBefore={begin:%Y-%m-%dT%H:%M:%SZ};NotAfter={end:%Y-%m-%dT%H:%M:%SZ}"
    leaf = headers.pop("x-amzn-mtls-clientcert-leaf")
    assert unquote(leaf).encode() == ALICE.pem and not set(leaf) & set(" \n")
    assert headers == {}
    for using in (context(), STRANGER.context(tmp_path), OLD.context(tmp_path, MIDDLE), ALICE.context(tmp_path)):
        assert await is_refused(lab, using)


async def test_an_end_may_be_overlooked_and_a_revocation_never_is(lab: Lab, tmp_path: Path) -> None:
    trust = await put_trust_store(lab, ROOT, MIDDLE, lists=(revoked(MIDDLE, GONE), revoked(ROOT)))
    await asking(lab, mode="verify", trust_store_arn=trust, ignore_client_certificate_expiry=True)
    assert (await ask(lab, OLD.context(tmp_path))).status == 200
    assert (await ask(lab, ALICE.context(tmp_path))).status == 200
    assert await is_refused(lab, GONE.context(tmp_path)) and await is_refused(lab, STRANGER.context(tmp_path))


async def test_an_authority_without_a_list_has_revoked_nobody(lab: Lab, tmp_path: Path) -> None:
    other = person("Other", is_authority=True)
    trust = await put_trust_store(lab, ROOT, other, lists=(revoked(MIDDLE, GONE),))
    await asking(lab, mode="verify", trust_store_arn=trust)
    assert (await ask(lab, person("Bob", other).context(tmp_path))).status == 200
    assert await is_refused(lab, GONE.context(tmp_path, MIDDLE))


@pytest.mark.engine("openssl")
@pytest.mark.parametrize("switch", ["on", "off"])
async def test_the_names_of_trusted_authorities_are_told_when_that_is_asked_for(lab: Lab, switch: str) -> None:
    await asking(lab, mode="verify", trust_store_arn=await put_trust_store(lab, ROOT), advertise_trust_store_ca_names=switch)
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"{lab.address()}:{lab.port}", stdin=-3, stdout=-1, stderr=-3
    )
    told, _ = await process.communicate()
    assert (b"CN = Root" in told) == (switch == "on")


async def test_what_clients_show_is_handed_on_whole_and_unverified(lab: Lab, tmp_path: Path) -> None:
    await asking(lab, mode="passthrough")
    cases: list[tuple[Person, tuple[Person, ...]]] = [(ALICE, (MIDDLE,)), (STRANGER, ()), (OLD, ())]
    for somebody, chain in cases:
        headers = told(await ask(lab, somebody.context(tmp_path, *chain), (PREFIX, "forged")))
        assert unquote(headers.pop("x-amzn-mtls-clientcert")).encode() == b"".join([somebody.pem, *(one.pem for one in chain)])
        assert headers == {}
    assert told(await ask(lab, context(), (PREFIX, "forged"))) == {}


async def test_headers_are_called_as_the_listener_says_and_nobody_else_sets_them(lab: Lab, tmp_path: Path) -> None:
    name = "routing.http.request.x_amzn_mtls_clientcert.header_name"
    await asking(lab, {name: "Client-Chain"}, mode="passthrough")
    headers = told(await ask(lab, ALICE.context(tmp_path)))
    assert list(headers) == ["client-chain"] and unquote(headers["client-chain"]).encode() == ALICE.pem
    assert told(await ask(lab, context(), ("Client-Chain", "forged"), (PREFIX, "forged"), (f"{PREFIX}-Leaf", "forged"))) == {}


async def test_a_name_with_line_ends_in_it_stays_in_its_header(lab: Lab, tmp_path: Path) -> None:
    await asking(lab, mode="verify", trust_store_arn=await put_trust_store(lab, ROOT))
    answer = await ask(lab, person("x\r\nX-Forged: yes\x01", ROOT).context(tmp_path))
    names = [name.lower() for name, _ in answer.seen["headers"]]
    assert "x-forged" not in names and "CN=x" in told(answer)["x-amzn-mtls-clientcert-subject"]


def again(address: str, port: int, using: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bytes]:
    """(the session, what is answered), going on with `session`. Raises OSError."""
    with socket.create_connection((address, port), timeout=5) as raw, using.wrap_socket(raw, session=session) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := client.recv(4096):
            answer += piece
        return client.session, answer


@pytest.mark.parametrize("policy", ["ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS13-1-2-2021-06"])
@pytest.mark.parametrize("with_tickets", [True, False])
async def test_a_session_begun_at_an_open_listener_does_not_go_on_at_one_that_asks(lab: Lab, policy: str, with_tickets: bool) -> None:
    await asking(lab, policy=policy, mode="verify", trust_store_arn=await put_trust_store(lab, ROOT))
    open_to_all = await lab.load_balancer("open", 2)
    certificates = (await put_certificate(lab, "one.test"),)
    port = quiet_port()
    await lab.listener(open_to_all, fixed(200, "for all"), port=port, protocol="HTTPS", certificates=certificates, ssl_policy=policy)
    await lab.settled()
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    nobody.maximum_version = ssl.TLSVersion.TLSv1_2 if policy.endswith("2016-08") else ssl.TLSVersion.TLSv1_3
    if not with_tickets:
        nobody.options |= ssl.OP_NO_TICKET
    session, answer = await asyncio.to_thread(again, lab.address(2), port, nobody, None)
    assert answer.endswith(b"for all")
    with pytest.raises(OSError):
        await asyncio.to_thread(again, lab.address(), lab.port, nobody, session)
