from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.binds import allocate
from longshore.balancer.proofs import proofs_of
from longshore.balancer.render.client_certificates import client_certificate_lines
from longshore.balancer.render.places import Places
from longshore.balancer.render.shared_frontend import shared_frontends
from longshore.balancer.render.tls import bind_options, client_files, shortcomings, shown
from longshore.balancer.snapshot import Front, Proof, Snapshot, Trust
from longshore.balancer.status import next_end, statuses
from longshore.kit.sealing import seal
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate
from longshore.services.elbv2.ssl_policies import POLICIES
from longshore.store.memory import memory_store
from tests.balancer.cases import front
from tests.balancer.tls import SECRET, authority, issued

PLACES = Places("/run/x")
ARN = "arn:aws:acm:us-east-1:000000000000:certificate/one"


def secure(slot: int = 1, *proofs: Proof, protocol: str = "HTTPS", **more: object) -> Front:
    made = front(slot=slot, protocol=protocol, port=443)
    listener = replace(made.listener, **more)  # type: ignore[arg-type]
    return replace(made, listener=listener, proofs=proofs or (Proof(ARN, "d", (f"app{slot}.test",), 100.0),))


@pytest.mark.engine("haproxy")
def test_haproxy_takes_what_every_policy_becomes(tmp_path: Path) -> None:
    (tmp_path / "one.pem").write_bytes(b"".join(issued("one.test")))
    (tmp_path / "list").write_text(f"{tmp_path / 'one.pem'}\n")
    lines = ["defaults", "  mode http", "  timeout client 1s", "frontend f"]
    for name in POLICIES:
        one = secure(ssl_policy=name)
        options = bind_options(one, PLACES).replace(PLACES.certificate_list(one), str(tmp_path / "list"))
        lines.append(f"  bind unix@{tmp_path}/{len(lines)}{options}")
    (tmp_path / "haproxy.cfg").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin"},
    )
    assert done.returncode == 0, done.stderr


def test_a_policy_says_versions_ciphers_and_curves() -> None:
    assert bind_options(secure(ssl_policy="ELBSecurityPolicy-TLS13-1-3-2021-06"), PLACES).split(" ", 4)[4] == (
        "ssl-min-ver TLSv1.3 ssl-max-ver TLSv1.3 "
        "ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256 "
        "curves X25519:P-256:P-384:P-521 alpn h2,http/1.1"
    )
    old = bind_options(secure(ssl_policy="ELBSecurityPolicy-2016-08"), PLACES)
    assert "ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.2" in old and ":@SECLEVEL=0 " in old and "ciphersuites" not in old
    fips = bind_options(secure(ssl_policy="ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04"), PLACES)
    assert "X25519" not in fips and "CHACHA" not in fips and "SECLEVEL" not in fips


def test_what_openssl_has_not_is_left_out_and_said() -> None:
    one = secure(ssl_policy="ELBSecurityPolicy-TLS-1-0-2015-04")
    assert "DES-CBC3" not in bind_options(one, PLACES) and "without DES-CBC3-SHA" in shortcomings(one)[0]
    assert "without post-quantum key exchange" in shortcomings(secure(ssl_policy="ELBSecurityPolicy-TLS13-1-2-PQ-2025-09"))[0]
    assert shortcomings(secure()) == [] and shortcomings(front()) == []


@pytest.mark.parametrize(
    ("policy", "offered"),
    [("HTTP1Only", " alpn http/1.1,http/1.0"), ("HTTP2Only", " alpn h2"), ("HTTP2Optional", " alpn http/1.1,http/1.0,h2"), ("None", "")],
)
def test_an_alpn_policy_says_what_is_offered(policy: str, offered: str) -> None:
    options = bind_options(secure(protocol="TLS", alpn_policy=(policy,)), PLACES)
    assert options[options.index(" curves ") + 8 :].partition(" ")[2] == offered.strip()


def test_the_default_certificate_stands_first_in_a_file_of_the_listeners_own() -> None:
    first, second = Proof("arn:one", "1"), Proof("arn:two", "2")
    broken = Proof("arn:three", "3", problem="no")
    one, other = secure(1, first, second, broken), secure(2, second, first)
    assert [proof.arn for _, proof in shown(one, PLACES)] == ["arn:one", "arn:two"]
    assert shown(one, PLACES)[0][0] != shown(other, PLACES)[1][0] == PLACES.certificate("arn:one")
    assert "certificate arn:three is not shown: no" in shortcomings(one)


def test_clients_are_asked_for_certificates_as_the_listener_says() -> None:
    asked = shapes.MutualAuthenticationAttributes(mode="verify", ignore_client_certificate_expiry=True)
    one = replace(secure(mutual_authentication=asked), trust=Trust(b"ca", b"crl"))
    options = bind_options(one, PLACES)
    assert "verify required" in options and "crl-file" in options and "no-ca-names" in options
    assert "ca-ignore-err 10,3 crt-ignore-err 10,3" in options and sorted(client_files(one, PLACES).values()) == [b"ca", b"crl"]
    loud = replace(asked, advertise_trust_store_ca_names="on", ignore_client_certificate_expiry=False)
    options = bind_options(replace(secure(mutual_authentication=loud), trust=Trust(b"ca")), PLACES)
    assert "no-ca-names" not in options and "ignore-err" not in options
    shown_on = secure(mutual_authentication=shapes.MutualAuthenticationAttributes(mode="passthrough"))
    assert "verify optional" in bind_options(shown_on, PLACES) and ".if feature(LUA)" in client_certificate_lines(shown_on)
    assert client_certificate_lines(secure()) == [] and client_files(secure(), PLACES) == {}
    assert secure(mutual_authentication=asked).problem == "its trust store has no certificates of authorities"


def test_names_decide_on_a_shared_port_and_odd_ones_in_certificates_say_nothing() -> None:
    names = ("app1.test", "*.app1.test", "'; bad", "a b", "127.0.0.1 } #")
    sharing = (secure(1, Proof(ARN, "d", names)), secure(2, protocol="TLS"), front(slot=3, port=443))
    by_name, by_host = shared_frontends(443, sharing, PLACES)
    text = "\n".join(by_name)
    assert "acl has_s1 req.ssl_sni -m str -i -- 'app1.test'" in text and r"'^[^.]+\.app1\.test$'" in text
    assert "bad" not in text and "a b" not in text and "#" not in text
    assert by_name[-1].startswith("server plain ") and by_host[1] == "bind 'unix@/run/x/443-plain.sock' accept-proxy mode 600"
    own = [line for line in by_name if line.startswith("use-server")]
    assert own[:2] == ["use-server s1 if is_s1", "use-server s2 if is_s2"], "the load balancers' own names come first"
    assert by_name.index("tcp-request content reject") > max(number for number, line in enumerate(by_name) if " accept " in line)


def test_tls_and_http_share_a_port_of_localhost_and_bytes_yield() -> None:
    fronts = [secure(2), front(slot=1, port=443), front(slot=3, port=443, protocol="TCP")]
    binds = allocate(fronts, set(), lambda bind: "")
    assert [one.load_balancer.slot for one in binds.shared[443]] == [1, 2] and not binds.is_alone(fronts[2])
    deaf = replace(fronts[0], proofs=())
    assert allocate([deaf, fronts[1]], set(), lambda bind: "").is_alone(fronts[1]), "who cannot listen shares nothing"


def test_a_state_tells_of_certificates_that_cannot_be_shown_or_have_ended() -> None:
    deaf, old = replace(secure(1), proofs=()), secure(2)
    snapshot = Snapshot((deaf.load_balancer, old.load_balancer), (deaf, old), ())
    binds = allocate(snapshot.fronts, set(), lambda bind: "")
    found = list(statuses(snapshot, binds, {}, "127.0.2.", now=50.0).values())
    assert [one.state for one in found] == ["failed", "active"] and "it has no certificate" in found[0].reason
    assert next_end(snapshot, 50.0) == 50.0 and next_end(snapshot, 100.0) is None
    later = list(statuses(snapshot, binds, {}, "127.0.2.", now=100.0).values())[1]
    assert (later.state, later.reason) == ("active_impaired", f"certificate {ARN} of port 443 ended on 1970-01-01")


async def test_a_certificate_is_looked_at_before_it_is_shown() -> None:
    store = memory_store((CERTIFICATES,))
    certificate, key = issued("one.test", "*.one.test")
    row = Certificate(ARN, "IMPORTED", "ISSUED", "one.test", 0.0, certificate=certificate, chain=authority().root_pem)
    listener = replace(secure().listener, certificates=(ARN, ARN))

    async def seen(**changes: object) -> Proof:
        changed = replace(row, **({"sealed_key": seal(SECRET, PURPOSE, key)} | changes))  # type: ignore[arg-type]
        await store.transact(lambda tx: tx.put(CERTIFICATES, changed))
        (found,) = proofs_of(store, listener, SECRET)
        return found

    assert proofs_of(store, listener, SECRET)[0].problem == "there is none any more"
    good = await seen()
    assert good.problem == "" and good.names == ("one.test", "*.one.test") and good.not_after > time.time()
    assert (await seen(chain=b"")).digest != good.digest and (await seen(not_after=5.0)).digest != ""
    assert "not sealed" in (await seen(sealed_key=seal(b"x", PURPOSE, key))).problem
    assert "not sealed" in (await seen(sealed_key=b"")).problem
    assert "does not belong" in (await seen(sealed_key=seal(SECRET, PURPOSE, issued("one.test")[1]))).problem
    for changes in ({"certificate": b"nonsense"}, {"chain": b"nonsense"}):
        assert (await seen(**changes)).problem
    assert (await seen(certificate=b"")).problem == "it has not been issued yet"
    assert key.split(b"\n")[1].decode() not in repr(good)
