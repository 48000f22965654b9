"""HTTPS at the gateway's port: certificates come and go while it serves, and plain HTTP is told where it is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from longshore.config import DataDirectory, Tls
from longshore.gateway.doors import Handshakes
from longshore.gateway.lane import Lanes
from longshore.gateway.request import ApiRequest, Reply
from longshore.gateway.tls import LOOK_EVERY_S, RENEW_BEFORE_S, SecureListener, ServerCertificate, own_names
from longshore.kit.certificates import Authority, CertificateProblem, facts
from longshore.kit.clock import SteppedClock, SystemClock
from longshore.kit.keyring import Generation, Keyring
from longshore.kit.private_keys import read_locked

KEYS = Keyring.of(b"k" * 32)
NOW = SystemClock().now()
DAY = 86_400.0
NAMES = own_names("127.0.0.1", "000000000000", "us-east-1", ("eu-west-1",))


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path)


def made(data: DataDirectory, tls: Tls | None = None, clock: SteppedClock | None = None, names: list[str] = NAMES) -> ServerCertificate:
    return ServerCertificate(data, tls or Tls(), names, clock or SteppedClock(NOW), KEYS)


@asynccontextmanager
async def serving(certificate: ServerCertificate) -> AsyncIterator[int]:
    """A lane over TLS that answers whether the request came over TLS; the port."""

    async def operate(request: ApiRequest) -> Reply:
        return Reply(200, str(request.secure).encode(), "text/plain")

    lanes = Lanes(operate, asyncio.Protocol)
    listener = await SecureListener.open("127.0.0.1", 0, lanes, certificate.context)
    try:
        yield listener._sockets[0].getsockname()[1]
    finally:
        listener.close()
        await lanes.drain(3.0)


async def ask(port: int, data: DataDirectory, host: str = "localhost") -> tuple[bytes, bytes]:
    """(answer, certificate in DER form) of one request over TLS."""
    context = ssl.create_default_context(cafile=data.ca_file)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(4) if b"Content-Length: 4" in head else b""
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return body, der


async def plainly(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await asyncio.wait_for(reader.read(), 5.0)
    writer.close()
    return answer


async def test_only_so_many_are_on_their_way_through_a_handshake(data: DataDirectory) -> None:
    listener = await SecureListener.open("127.0.0.1", 0, asyncio.Protocol, made(data).context, Handshakes(most=2))
    try:
        port = listener._sockets[0].getsockname()[1]
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        async with asyncio.timeout(5.0):
            assert await silent[2][0].read() == b""  # closed unread, while the others are waited for
            silent[0][1].close()
            while True:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                answer = await reader.read()
                writer.close()
                if answer:
                    break
        assert b"This port speaks HTTPS" in answer
        assert not silent[1][0].at_eof()
    finally:
        listener.close()
        for _, writer in silent:
            writer.close()


async def test_requests_of_the_lane_know_that_they_are_secure(data: DataDirectory) -> None:
    async with serving(made(data)) as port:
        for host in ("localhost", "127.0.0.1", "000000000000.dkr.ecr.us-east-1.localhost", "123456789012.dkr.ecr.eu-west-1.localhost"):
            assert (await ask(port, data, host))[0] == b"True"


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n" + b"x" * 300_000, b"\x00"]
)
async def test_plain_http_is_told_that_this_port_speaks_https(data: DataDirectory, sent: bytes) -> None:
    async with serving(made(data)) as port:
        answer = await plainly(port, sent)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"This port speaks HTTPS" in answer


async def test_whoever_says_nothing_or_nonsense_holds_up_nobody(data: DataDirectory) -> None:
    async with serving(made(data)) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        assert await plainly(port, b"\x16\x03\x01\x00\x05nonsense") != b"x"
        half = await asyncio.open_connection("127.0.0.1", port)
        half[1].write(b"\x16\x03\x01")
        assert (await ask(port, data))[0] == b"True"
        for _, writer in (*silent, half):
            writer.close()


async def test_old_versions_of_tls_are_refused(data: DataDirectory) -> None:
    async with serving(made(data)) as port:
        context = ssl.create_default_context(cafile=data.ca_file)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")


async def test_a_connection_made_before_a_renewal_goes_on_and_the_next_has_the_new_certificate(data: DataDirectory) -> None:
    clock = SteppedClock(NOW - 1)
    made(data, clock=SteppedClock(NOW - 60 * DAY))
    certificate = made(data, clock=clock)
    keeping = asyncio.create_task(certificate.keep())
    async with serving(certificate) as port:
        context = ssl.create_default_context(cafile=data.ca_file)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        _, before = await ask(port, data)
        await clock.step(LOOK_EVERY_S)
        assert certificate.facts.not_after > NOW + 89 * DAY
        _, after = await ask(port, data)
        assert before != after and facts(ssl.DER_cert_to_PEM_cert(after).encode()) == certificate.facts
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert b"200" in await reader.readline()
        writer.close()
    keeping.cancel()


def test_a_restart_serves_with_the_same_certificate_as_long_as_it_lasts(data: DataDirectory) -> None:
    first = made(data)
    assert made(data).facts == first.facts
    authority = data.ca_file.read_bytes()
    later = made(data, clock=SteppedClock(NOW + 90 * DAY - RENEW_BEFORE_S + 1))
    ended = made(data, clock=SteppedClock(NOW + 400 * DAY))
    other = made(data, clock=SteppedClock(NOW + 400 * DAY), names=[*NAMES, "box.example.com"])
    further = made(data, Tls(names=("10.1.2.3",)), SteppedClock(NOW + 400 * DAY))
    assert len({each.facts.fingerprint for each in (first, later, ended, other, further)}) == 5
    assert other.facts.covers("box.example.com") and further.facts.covers("10.1.2.3")
    assert data.ca_file.read_bytes() == authority
    for private in ("authority.pem", "server.pem"):
        assert (data.tls / private).stat().st_mode & 0o077 == 0


def test_a_torn_certificate_is_issued_anew_and_a_torn_authority_is_named(data: DataDirectory) -> None:
    first = made(data)
    (data.tls / "server.pem").write_bytes(b"torn")
    data.ca_file.unlink()
    assert made(data).facts != first.facts and data.ca_file.exists()
    (data.tls / "authority.pem").write_bytes(b"torn")
    with pytest.raises(CertificateProblem, match=r"authority\.pem.*bring back a copy"):
        made(data)
    (data.tls / "authority.pem").write_bytes(Authority.make("old", NOW - 4000 * DAY).pem)
    with pytest.raises(CertificateProblem, match="has ended"):
        made(data)


def test_a_certificate_of_another_authority_is_not_served(data: DataDirectory) -> None:
    first = made(data)
    (data.tls / "server.pem").write_bytes(Authority.make("another", NOW).issue(first.facts.names, NOW))
    second = made(data)
    assert second.facts.names == first.facts.names
    assert Authority.of_pem(*read_locked(data.tls / "authority.pem", KEYS)).issued((data.tls / "server.pem").read_bytes())


def test_private_keys_of_our_own_lie_encrypted_whatever_wrote_them_before(data: DataDirectory) -> None:
    def plain() -> list[str]:
        return [name for name in ("authority.pem", "server.pem") if b"BEGIN PRIVATE KEY" in (data.tls / name).read_bytes()]

    first = made(data)
    assert not plain()
    assert all(b"BEGIN ENCRYPTED PRIVATE KEY" in (data.tls / name).read_bytes() for name in ("authority.pem", "server.pem"))
    # As earlier versions left them.
    authority = Authority.make("ours", NOW)
    (data.tls / "authority.pem").write_bytes(authority.pem)
    (data.tls / "server.pem").write_bytes(authority.issue(first.facts.names, NOW))
    served = facts((data.tls / "server.pem").read_bytes())
    assert len(plain()) == 2
    assert made(data).facts == served
    assert not plain()
    assert data.ca_file.read_bytes() == authority.root_pem


def test_after_a_rotation_they_are_encrypted_with_the_newest_secret_and_served_all_the_time(data: DataDirectory) -> None:
    keys = Keyring.of(b"k" * 32)
    certificate = ServerCertificate(data, Tls(), NAMES, SteppedClock(NOW), keys)
    keys.replace((*keys.generations, Generation(2, b"n" * 32)))
    assert data.relock(keys) == 2
    assert data.relock(keys) == 0
    keys.replace((keys.generations[0].dropped(), keys.generations[1]))
    before = certificate.facts
    certificate.look()
    assert certificate.facts == before == ServerCertificate(data, Tls(), NAMES, SteppedClock(NOW), keys).facts
    with pytest.raises(CertificateProblem, match=r"authority\.pem.*does not open"):
        data.authority(NOW, b"k" * 32)


def test_given_files_are_read_again_when_they_change_and_kept_when_they_are_wrong(data: DataDirectory, tmp_path: Path) -> None:
    authority, file, clock = Authority.make("theirs", NOW), tmp_path / "given.pem", SteppedClock(NOW)
    file.write_bytes(authority.issue(["localhost"], NOW))
    certificate = made(data, Tls(certificate=file), clock)
    first, context = certificate.facts, certificate.context
    file.write_bytes(b"half written")
    certificate.look()
    assert certificate.facts == first
    file.write_bytes(authority.issue(["localhost", "more.example"], NOW))
    certificate.look()
    assert certificate.facts.covers("more.example") and certificate.context is context
    file.unlink()
    certificate.look()
    assert certificate.facts.covers("more.example")
    assert not data.ca_file.exists()


async def test_given_files_that_end_soon_are_told_about_once_a_day(
    data: DataDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, clock = tmp_path / "given.pem", SteppedClock(NOW)
    file.write_bytes(Authority.make("theirs", NOW).issue(["localhost"], NOW, days=3))
    certificate = made(data, Tls(certificate=file), clock)
    for _ in range(5):
        certificate.look()
        await clock.step(LOOK_EVERY_S)
    assert [record.message for record in caplog.records if "ends in 3.0 days" in record.message] == [f"{file} ends in 3.0 days: replace it"]


@pytest.mark.parametrize(("host", "there"), [("0.0.0.0", False), ("10.0.0.5", True), ("localhost", True)])
def test_the_certificate_is_good_for_the_address_that_is_listened_on(host: str, there: bool) -> None:
    assert (own_names(host, "000000000000", "us-east-1", ()).count(host) == 1) is there


async def test_a_port_in_use_is_an_error_of_the_system(data: DataDirectory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        await SecureListener.open("127.0.0.1", taken.getsockname()[1], asyncio.Protocol, made(data).context)
