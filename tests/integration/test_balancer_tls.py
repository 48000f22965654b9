"""TLS on the real HAProxy: certificates by name, changed while it runs, policies, and load balancers that share a port."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import warnings
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, Listener
from tests.balancer.lab import Client, Lab, fixed, forward, laboratory, until
from tests.balancer.tls import SECRET, context, issued, put_certificate, shake

pytestmark = pytest.mark.engine("haproxy")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


async def https(lab: Lab, *certificates: str, slot: int = 1, port: int = 0, **more: object) -> Listener:
    lb = await lab.load_balancer(f"secure{slot}", slot)
    listener = await lab.listener(lb, fixed(200, f"secure{slot}"), protocol="HTTPS", port=port, certificates=certificates, **more)
    await lab.settled()
    await lab.active(lb)
    return listener


async def change(lab: Lab, listener: Listener, **fields: object) -> Listener:
    changed = replace(listener, **fields)  # type: ignore[arg-type]
    await lab.store.transact(lambda tx: tx.put(LISTENERS, changed))
    return changed


async def name_shown(lab: Lab, name: str, slot: int = 1) -> str:
    return (await shake(lab.address(slot), lab.port, name)).name


async def test_the_certificate_is_chosen_by_the_name_that_is_asked_for(lab: Lab) -> None:
    arns = [await put_certificate(lab, *names) for names in (("one.test",), ("two.test", "alias.test"), ("*.wild.test",))]
    await https(lab, *arns)
    asked = {
        "one.test": "one.test",
        "alias.test": "two.test",
        "a.wild.test": "*.wild.test",
        "a.b.wild.test": "one.test",
        "x.test": "one.test",
    }
    assert {name: await name_shown(lab, name) for name in asked} == asked
    client = await Client.connect(lab.address(), lab.port, ssl=context(verified=True), server_hostname="two.test")
    assert (await client.request()).status == 200
    await client.close()


async def test_certificates_change_while_it_runs_and_nobody_is_cut(lab: Lab) -> None:
    one, two = await put_certificate(lab, "one.test"), await put_certificate(lab, "two.test")
    listener = await https(lab, one)
    worker = await lab.worker()
    client = await Client.connect(lab.address(), lab.port, ssl=context())
    assert (await client.request()).status == 200
    listener = await change(lab, listener, certificates=(one, two))
    await until(lambda: _is(lab, "two.test", "two.test"), 1.0)
    before = (await shake(lab.address(), lab.port, "two.test")).serial
    await put_certificate(lab, "two.test", pair=issued("two.test"))
    await until(lambda: _differs(lab, "two.test", before), 1.0)
    listener = await change(lab, listener, certificates=(two, one))
    await until(lambda: _is(lab, "x.test", "two.test"), 1.0)
    assert await name_shown(lab, "one.test") == "one.test"
    await change(lab, listener, certificates=(one,))
    await until(lambda: _is(lab, "two.test", "one.test"), 1.0)
    assert (await client.request()).status == 200 and await lab.worker() == worker, "the same connection, the same worker"
    await client.close()
    files = sorted(path.suffix for path in (lab.directory / "certs").iterdir())
    assert files == [".list", ".pem"], "what nobody shows any more is gone"
    assert {path.stat().st_mode & 0o777 for path in (lab.directory / "certs").iterdir()} == {0o600}
    assert (lab.directory / "certs").stat().st_mode & 0o777 == 0o700


async def _is(lab: Lab, asked: str, shown: str) -> bool:
    return await name_shown(lab, asked) == shown


async def _differs(lab: Lab, asked: str, serial: int) -> bool:
    return (await shake(lab.address(), lab.port, asked)).serial != serial


async def test_no_handshake_fails_while_certificates_are_renewed(lab: Lab) -> None:
    arn = await put_certificate(lab, "one.test")
    await https(lab, arn)
    pairs = [issued("one.test") for _ in range(15)]
    seen: set[int] = set()
    over = asyncio.Event()

    async def shakes() -> int:
        count = 0
        while not over.is_set():
            shown = await shake(lab.address(), lab.port, "one.test")
            seen.add(shown.serial)
            count += 1
        return count

    clients = [asyncio.create_task(shakes()) for _ in range(4)]
    await until(lambda: seen)
    for pair in pairs:
        before = set(seen)
        await put_certificate(lab, "one.test", pair=pair)
        await until(lambda before=before: seen - before)
    over.set()
    counts = await asyncio.gather(*clients)
    assert len(seen) == 16 and sum(counts) > 60


async def test_a_killed_haproxy_shows_the_same_certificates_again(lab: Lab) -> None:
    one, two = await put_certificate(lab, "one.test"), await put_certificate(lab, "two.test")
    listener = await https(lab, one)
    await change(lab, listener, certificates=(two, one))
    await until(lambda: _is(lab, "x.test", "two.test"))
    await put_certificate(lab, "one.test", pair=issued("one.test"))
    await lab.settled()
    before = {name: (await shake(lab.address(), lab.port, name)).serial for name in ("one.test", "two.test")}
    os.kill(await lab.worker(), signal.SIGKILL)
    await until(lambda: _ended(lab))
    await until(lambda: _same(lab, before), 1.0)


async def _ended(lab: Lab) -> bool:
    try:
        await shake(lab.address(), lab.port)
    except OSError:
        return True
    return False


async def _same(lab: Lab, serials: dict[str, int]) -> bool:
    return {name: (await shake(lab.address(), lab.port, name)).serial for name in serials} == serials


async def test_whoever_takes_over_tells_the_running_haproxy_what_has_changed_meanwhile(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        one, two = await put_certificate(lab, "one.test"), await put_certificate(lab, "two.test")
        listener = await https(lab, one)
        worker, before = await lab.worker(), (await shake(lab.address(), lab.port)).serial
        await lab.close(keep_running=True)
        await put_certificate(lab, "one.test", pair=issued("one.test"))
        await change(lab, listener, certificates=(one, two))
        await lab.open()
        assert (await shake(lab.address(), lab.port, "one.test")).serial != before
        assert await name_shown(lab, "two.test") == "two.test"
        assert await lab.worker() == worker


async def test_a_certificate_that_cannot_be_shown_keeps_its_listener_only(lab: Lab) -> None:
    good = await put_certificate(lab, "good.test")
    await https(lab, good)
    certificate, _ = issued("odd.test")
    _, key = issued("other.test")
    bad = {
        "it has no certificate": (),
        "there is none any more": ("arn:aws:acm:us-east-1:000000000000:certificate/gone",),
        "the private key does not belong to the certificate": (await put_certificate(lab, "odd.test", pair=(certificate, key)),),
        "is not sealed with this installation's key": (await put_certificate(lab, "foreign.test", secret=b"another secret"),),
    }
    for slot, (words, arns) in enumerate(bad.items(), 2):
        lb = await lab.load_balancer(f"bad{slot}", slot)
        await lab.listener(lb, fixed(200), protocol="HTTPS", certificates=arns)
        await until(lambda lb=lb: lab.status(lb)[0] == "failed")
        assert words in lab.status(lb)[1], lab.status(lb)
    assert await name_shown(lab, "good.test") == "good.test"
    await put_certificate(lab, "odd.test", pair=issued("odd.test"))
    await until(lambda: _is_with(lab, 4, "odd.test"), 2.0)


async def _is_with(lab: Lab, slot: int, name: str) -> bool:
    return await name_shown(lab, name, slot) == name


async def test_an_ended_certificate_is_shown_and_told_of(lab: Lab) -> None:
    old = await put_certificate(lab, "old.test", pair=issued("old.test", days=5, age_days=20))
    lb = await lab.load_balancer()
    await lab.listener(lb, fixed(200), protocol="HTTPS", certificates=(old,))
    await until(lambda: lab.status(lb)[0] == "active_impaired")
    assert f"certificate {old} of port {lab.port} ended on " in lab.status(lb)[1]
    assert await name_shown(lab, "old.test") == "old.test"
    await put_certificate(lab, "old.test")
    await lab.settled()
    await lab.active(lb)


def only(version: ssl.TLSVersion) -> ssl.SSLContext:
    made = context()
    made.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old ones are what is asked about
        made.minimum_version = made.maximum_version = version
    return made


@pytest.mark.parametrize(
    ("policy", "versions", "cipher"),
    [
        ("ELBSecurityPolicy-2016-08", "TLSv1 TLSv1.1 TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", "TLSv1.2 TLSv1.3", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", "TLSv1.3", ""),
        ("ELBSecurityPolicy-FS-1-1-2019-08", "TLSv1.1 TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("ELBSecurityPolicy-TLS13-1-0-2021-06", "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ],
)
async def test_a_policy_says_which_versions_and_ciphers_there_are(lab: Lab, policy: str, versions: str, cipher: str) -> None:
    await https(lab, await put_certificate(lab, "one.test"), ssl_policy=policy)
    agreed = []
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        try:
            shown = await shake(lab.address(), lab.port, "one.test", only(version))
        except OSError:
            continue
        agreed.append(shown.version)
        if shown.version == "TLSv1.2":
            assert shown.cipher == cipher
    assert " ".join(agreed) == versions


async def test_http_2_is_offered_unless_it_is_switched_off(lab: Lab) -> None:
    arn = await put_certificate(lab, "one.test")
    await https(lab, arn)
    assert (await shake(lab.address(), lab.port, using=context("h2", "http/1.1"))).protocol == "h2"
    lb = await lab.load_balancer("old", 2, routing__http2__enabled="false")
    await lab.listener(lb, fixed(200), protocol="HTTPS", certificates=(arn,))
    await lab.settled()
    await lab.active(lb)
    assert (await shake(lab.address(2), lab.port, using=context("h2", "http/1.1"))).protocol == "http/1.1"


async def test_load_balancers_share_a_port_of_localhost_by_the_names_that_clients_ask_for(lab: Lab) -> None:
    one, two = await put_certificate(lab, "one.test", "*.one.test"), await put_certificate(lab, "two.test")
    await https(lab, one, slot=1)
    await https(lab, two, slot=2)
    plain = [await lab.load_balancer(f"plain{slot}", slot) for slot in (3, 4)]
    for lb in plain:
        await lab.listener(lb, fixed(200, lb.name))
        await lab.settled()
    for name, shown in {
        "secure1-1.us-east-1.elb.localhost": "one.test",
        "secure2-2.us-east-1.elb.localhost": "two.test",
        "two.test": "two.test",
        "a.one.test": "one.test",
    }.items():
        assert (await shake("127.0.0.1", lab.port, name)).name == shown
    for name in ("unknown.test", None):
        with pytest.raises(ConnectionError):
            await shake("127.0.0.1", lab.port, name)
    client = await Client.connect("127.0.0.1", lab.port, ssl=context(verified=True), server_hostname="two.test")
    assert (await client.request()).body == b"secure2"
    await client.close()
    for lb in plain:
        client = await Client.connect("127.0.0.1", lab.port)
        assert (await client.request(host=lb.dns_name)).body == lb.name.encode()
        await client.close()


async def test_a_network_load_balancer_ends_tls_and_agrees_on_what_its_policy_says(lab: Lab) -> None:
    one = await lab.upstream("one")
    group = await lab.group(protocol="TCP")
    await lab.register(group, one)
    lb = await lab.load_balancer(type="network")
    arn = await put_certificate(lab, "one.test")
    await lab.listener(lb, forward(group), protocol="TLS", certificates=(arn,), alpn_policy=("HTTP2Preferred",))
    await lab.healthy(group, one)
    await lab.settled()
    await lab.active(lb)
    assert (await shake(lab.address(), lab.port, using=context("http/1.1", "h2"))).protocol == "h2"
    client = await Client.connect(lab.address(), lab.port, ssl=context("http/1.1"))
    assert (await client.request("/x")).seen["path"] == "/x"
    await client.close()


def weak(name: str) -> tuple[bytes, bytes]:
    """A certificate and a key that belong together, and that OpenSSL does not take: 1024 bits are too few."""
    key = rsa.generate_private_key(65537, 1024)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM), pem


async def test_what_openssl_refuses_is_told_of_and_taken_back_as_soon_as_it_is_another(lab: Lab) -> None:
    good, bad = await put_certificate(lab, "good.test"), await put_certificate(lab, "bad.test")
    await https(lab, good)
    policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    await https(lab, bad, slot=2, ssl_policy=policy)
    lb = next(lb for lb in lab.store.list(LOAD_BALANCERS) if lb.slot == 2)
    client = await Client.connect(lab.address(), lab.port, ssl=context())
    await put_certificate(lab, "bad.test", pair=weak("bad.test"))
    await until(lambda: lab.status(lb)[0] == "failed")
    assert "is not served" in lab.status(lb)[1] and await name_shown(lab, "good.test") == "good.test"
    await put_certificate(lab, "bad.test", pair=issued("bad.test"))
    await until(lambda: lab.status(lb)[0] == "active")
    await until(lambda: _is_with(lab, 2, "bad.test"))
    assert (await client.request()).status == 200, "neighbours notice nothing"
    await client.close()


async def test_a_certificate_chosen_by_name_that_openssl_refuses_costs_nobody_else(lab: Lab) -> None:
    """Imported anew while it is shown: clients of the others, on connections old and new, notice nothing."""
    one, two = await put_certificate(lab, "one.test"), await put_certificate(lab, "two.test")
    listener = await https(lab, one, two, ssl_policy="ELBSecurityPolicy-TLS13-1-2-2021-06")
    client = await Client.connect(lab.address(), lab.port, ssl=context())
    await put_certificate(lab, "two.test", pair=weak("two.test"))
    lb = next(iter(lab.store.list(LOAD_BALANCERS)))
    while "OpenSSL does not take it" not in lab.status(lb)[1]:
        assert await name_shown(lab, "one.test") == "one.test"
    assert lab.status(lb)[0] == "active" and two in lab.status(lb)[1]
    assert await name_shown(lab, "two.test") == "one.test"
    assert (await client.request()).status == 200
    pid = lab.balancer.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: lab.balancer.pid not in (None, pid))
    await until(lambda: _is_with(lab, 1, "one.test"))
    await put_certificate(lab, "two.test", pair=issued("two.test"))
    await until(lambda: _is(lab, "two.test", "two.test"))
    await until(lambda: lab.status(lb) == ("active", ""))
    await change(lab, listener, certificates=(one,))
    await client.close()
