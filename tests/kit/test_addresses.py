from __future__ import annotations

import pytest

from longshore.kit.addresses import goes_plainly_far, is_loopback, is_own_host, network_of


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST", "a.localhost"])
def test_hosts_that_only_this_machine_reaches(host: str) -> None:
    assert is_own_host(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.5", "127.0.0.1.example.com", "localhost.example.com", "box", "[::]"])
def test_hosts_that_others_reach(host: str) -> None:
    assert not is_own_host(host)


@pytest.mark.parametrize(
    ("endpoint", "far"),
    [
        ("http://127.0.0.1:4566", False),
        ("http://localhost:4566", False),
        ("http://[::1]:4566", False),
        ("https://10.0.0.5:4566", False),
        ("http://10.0.0.5:4566", True),
        ("HTTP://box.example.com", True),
        ("http://127.0.0.1@10.0.0.5:4566", True),
        ("http://127.0.0.1.nip.io:4566", True),
        ("ws://10.0.0.5:4566", True),
        ("10.0.0.5:4566", True),
    ],
)
def test_plain_http_to_another_machine(endpoint: str, far: bool) -> None:
    assert goes_plainly_far(endpoint) == far


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_connections_of_this_machine(address: str) -> None:
    assert is_loopback(address)
    assert not is_loopback("10.0.0.1") and not is_loopback("2001:db8::1")


def test_one_subscriber_is_one_neighbour() -> None:
    assert network_of("10.0.0.1") != network_of("10.0.0.2")
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:10.0.0.1") == network_of("10.0.0.1")
    assert network_of("fe80::1%eth0") == network_of("fe80::2%eth0")
    assert network_of("nonsense:") == "nonsense:"
