"""HTTPS on the command line: what is asked for and remembered, what is refused before anything starts, and `longshore ca`."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from longshore.cli import ca, layout, profile
from longshore.cli.layout import last_time, wanted_tls
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.tls import endpoint_host, settled
from longshore.cli.up import plan
from longshore.config import Tls, write_platform
from longshore.kit.certificates import Authority, certificates, facts
from longshore.kit.keyring_file import KeyringFile
from longshore.kit.sealing import Keyring
from tests.cli.conftest import Home

KEYS = Keyring.of(b"k" * 32)
OWN = Tls(names=("box",))
C, K = Path("/etc/c.pem"), Path("/etc/k.pem")
GIVEN = Tls(certificate=C, key=K, names=("box",))


@pytest.mark.parametrize(
    ("last", "on", "certificate", "key", "names", "wanted"),
    [
        (None, None, None, None, (), None),
        (None, True, None, None, (), Tls()),
        (None, None, None, None, ("box",), OWN),
        (None, None, C, K, (), Tls(certificate=C, key=K)),
        (None, True, C, None, ("box",), Tls(certificate=C, names=("box",))),
        (OWN, None, None, None, (), OWN),
        (OWN, True, None, None, (), OWN),
        (OWN, False, None, None, (), None),
        (OWN, None, None, None, ("other",), Tls(names=("other",))),
        (GIVEN, None, None, None, (), GIVEN),
        (GIVEN, True, None, None, (), GIVEN),
        (GIVEN, None, K, None, (), Tls(certificate=K)),
        (GIVEN, False, None, None, (), None),
    ],
)
def test_what_is_not_asked_for_is_as_last_time(
    last: Tls | None, on: bool | None, certificate: Path | None, key: Path | None, names: tuple[str, ...], wanted: Tls | None
) -> None:
    assert wanted_tls(last, on, certificate, key, names) == wanted


@pytest.mark.parametrize(
    ("on", "certificate", "key", "names"), [(False, C, None, ()), (False, None, K, ()), (False, None, None, ("box",)), (None, None, K, ())]
)
def test_wishes_that_contradict_each_other_are_refused(
    on: bool | None, certificate: Path | None, key: Path | None, names: tuple[str, ...]
) -> None:
    with pytest.raises(Failure) as failure:
        wanted_tls(OWN, on, certificate, key, names)
    assert failure.value.code == ExitCode.USAGE and failure.value.fix


def pair(directory: Path, *names: str) -> Tls:
    """A certificate that an authority elsewhere issued, without that authority's own."""
    key, _, rest = Authority.make("theirs", time.time()).issue(names, time.time()).partition(b"-----BEGIN CERTIFICATE-----")
    leaf = rest.partition(b"-----END CERTIFICATE-----")[0]
    (directory / "key.pem").write_bytes(key)
    (directory / "cert.pem").write_bytes(b"-----BEGIN CERTIFICATE-----" + leaf + b"-----END CERTIFICATE-----\n")
    return Tls(certificate=directory / "cert.pem", key=directory / "key.pem")


def test_with_an_authority_of_our_own_everything_is_told_by_the_configuration(home: Home) -> None:
    home.data.prepare()
    platform = plan(home.wishes(tls=Tls()), home.environment, home.data)
    assert platform.server is not None and platform.server.tls is not None
    assert platform.server.endpoint == f"https://127.0.0.1:{home.port}"
    assert platform.server.tls.ca_bundle == home.data.ca_file
    assert not home.data.tls.exists()  # the server's to make: nothing here has the keys to encrypt it with
    write_platform(home.data.platform_file, platform)
    remembered = last_time(home.data, None).tls
    assert remembered == platform.server.tls
    again = plan(home.wishes(tls=remembered), home.environment, home.data)
    assert again.server is not None and again.server.tls == platform.server.tls


def test_agents_of_this_machine_are_told_what_to_trust(home: Home) -> None:
    home.data.prepare()
    tls = settled(Tls(), "127.0.0.1", home.data)
    made = layout.platform(
        home.wishes(tls=tls, instances=2), layout.Size(4, 4096), home.data.credentials(), home.data.instance_id, "haproxy", True
    )
    assert {(agent.endpoint, agent.ca_bundle) for agent in made.agents} == {(f"https://127.0.0.1:{home.port}", home.data.ca_file)}


def test_the_endpoint_has_a_name_that_the_given_certificate_is_good_for(home: Home, tmp_path: Path) -> None:
    assert settled(pair(tmp_path, "localhost", "box.example"), "127.0.0.1", home.data) == Tls(
        certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem", endpoint_host="localhost"
    )
    both = pair(tmp_path, "localhost", "127.0.0.1")
    assert settled(both, "0.0.0.0", home.data).endpoint_host == "127.0.0.1"
    certificate = facts((tmp_path / "cert.pem").read_bytes())
    assert endpoint_host(certificate, Tls(names=("localhost",)), "127.0.0.1") == "localhost"


def test_a_certificate_that_carries_its_own_root_is_what_clients_are_to_trust(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "all.pem"
    file.write_bytes(Authority.make("theirs", time.time()).issue(["localhost"], time.time()))
    assert settled(Tls(certificate=file), "127.0.0.1", home.data).ca_bundle == file


@pytest.mark.parametrize(
    ("names", "given", "words"),
    [
        (["name.invalid"], (), "which no name service here knows"),
        (["*.example.com"], (), "is for"),
        (["localhost"], ("a b",), "no host name and no address: a b"),
    ],
)
def test_a_certificate_for_elsewhere_is_refused(home: Home, tmp_path: Path, names: list[str], given: tuple[str, ...], words: str) -> None:
    files = pair(tmp_path, *names)
    with pytest.raises(Failure, match=words) as failure:
        settled(Tls(certificate=files.certificate, key=files.key, names=given), "127.0.0.1", home.data)
    assert failure.value.fix


def test_files_that_cannot_be_used_are_named_before_anything_starts(home: Home, tmp_path: Path) -> None:
    files = pair(tmp_path, "localhost")
    for tls, words in (
        (Tls(certificate=tmp_path / "absent.pem"), r"absent\.pem cannot be read: No such file"),
        (Tls(certificate=files.certificate), "no private key in PEM form"),
        (Tls(certificate=files.key, key=files.key), "no certificate in PEM form"),
        (Tls(certificate=tmp_path), "Is a directory"),
    ):
        with pytest.raises(Failure, match=words):
            settled(tls, "127.0.0.1", home.data)


def test_the_profile_forgets_what_to_trust_when_there_is_nothing(home: Home) -> None:
    home.data.prepare()
    credentials = home.data.credentials()
    profile.write("https://127.0.0.1:1", "us-east-1", credentials, home.environment, "/a/ca.pem")
    assert "ca_bundle = /a/ca.pem\n" in home.environment.aws_config_file.read_text()
    profile.write("http://127.0.0.1:1", "us-east-1", credentials, home.environment)
    assert "ca_bundle" not in home.environment.aws_config_file.read_text()


def test_the_authority_is_printed_with_its_fingerprint(home: Home) -> None:
    refused = home.longshore("ca")
    assert refused.returncode == ExitCode.FAILED and "`longshore up` makes it" in refused.stderr
    home.data.prepare()
    root = home.data.authority(time.time(), KEYS).root_pem
    assert home.longshore("ca").stdout.encode() == root
    told = json.loads(home.longshore("ca", "-o", "json").stdout)
    assert (told["certificate"].encode(), told["fingerprint"]) == (root, facts(root).fingerprint)


def test_beside_an_operators_certificate_and_without_its_key_the_authority_of_load_balancers_is_printed(home: Home, tmp_path: Path) -> None:
    home.data.prepare()
    own = home.data.authority(time.time(), KEYS).root_pem
    theirs = tmp_path / "all.pem"
    theirs.write_bytes(Authority.make("theirs", time.time()).issue(["localhost"], time.time()))
    of_theirs = b"".join(each.public_bytes(Encoding.PEM) for each in certificates(theirs.read_bytes()))
    assert b"PRIVATE KEY" in theirs.read_bytes()
    for tls, printed in (
        (Tls(certificate=C), own.decode()),
        (Tls(certificate=theirs, ca_bundle=theirs), of_theirs.decode() + own.decode()),
    ):
        platform = plan(home.wishes(), home.environment, home.data)
        assert platform.server is not None
        write_platform(home.data.platform_file, msgspec.structs.replace(platform, server=msgspec.structs.replace(platform.server, tls=tls)))
        assert ca.root_of(home.data).certificate == printed


def test_the_authority_is_put_where_container_tools_look_for_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.data.prepare()
    write_platform(home.data.platform_file, plan(home.wishes(tls=Tls(names=("box.example",))), home.environment, home.data))
    home.data.authority(time.time(), KEYS)
    monkeypatch.setattr(ca, "SYSTEM_CERTIFICATES", home.path / "system")
    written = ca.install(ca.root_of(home.data), home.data, home.path)
    assert {file.parent.name for file in written} == {
        f"{name}:{home.port}" for name in ("127.0.0.1", "localhost", "000000000000.dkr.ecr.us-east-1.localhost", "box.example")
    }
    assert all(home.path in file.parents and file.read_bytes() == home.data.ca_file.read_bytes() for file in written)


def test_doctor_tells_how_long_the_certificate_lasts(home: Home, tmp_path: Path) -> None:
    home.data.prepare()
    file = tmp_path / "all.pem"
    for days, verdict in ((3, "note"), (60, "ok")):
        file.write_bytes(Authority.make("theirs", time.time()).issue(["localhost"], time.time(), days))
        write_platform(home.data.platform_file, plan(home.wishes(tls=Tls(certificate=file)), home.environment, home.data))
        found = json.loads(home.longshore("doctor", "-o", "json", "--port", str(home.port)).stdout)
        assert {finding["name"]: finding["verdict"] for finding in found}["HTTPS"] == verdict
    home.data.tls.mkdir(exist_ok=True)
    (home.data.tls / "authority.pem").write_bytes(Authority.make("old", time.time() - 3645 * 86_400).pem)
    write_platform(home.data.platform_file, plan(home.wishes(tls=Tls()), home.environment, home.data))
    (home.data.tls / "server.pem").write_bytes(home.data.authority(time.time(), KEYS).issue(["localhost"], time.time()))
    found = json.loads(home.longshore("doctor", "-o", "json", "--port", str(home.port)).stdout)
    assert "authority ends soon" in {finding["name"]: finding["text"] for finding in found}["HTTPS"]
    write_platform(home.data.platform_file, plan(home.wishes(tls=Tls(certificate=file)), home.environment, home.data))
    file.write_bytes(b"")
    found = json.loads(home.longshore("doctor", "-o", "json", "--port", str(home.port)).stdout)
    assert {finding["name"]: finding["verdict"] for finding in found}["HTTPS"] == "missing"


def test_reset_keeps_the_authority_that_clients_trust(home: Home) -> None:
    home.data.prepare()
    home.data.credentials()
    (home.data.root / "longshore.db").touch()
    root = home.data.authority(time.time(), KeyringFile(home.data.root).begin(b"s" * 32, time.time())).root_pem
    assert home.longshore("reset", "--yes").returncode == ExitCode.OK
    assert not (home.data.root / "longshore.db").exists()
    assert home.data.authority(time.time(), KeyringFile(home.data.root).open()).root_pem == root


def test_an_endpoint_that_is_not_trusted_is_told_apart_from_none(home: Home, tmp_path: Path) -> None:
    home.variables |= {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    refused = home.longshore("agent", "--endpoint", f"https://127.0.0.1:{port}", "--ca", str(tmp_path / "absent.pem"))
    assert "absent.pem holds no certificate to trust" in refused.stderr
