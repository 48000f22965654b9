"""Where the server may be sent to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from longshore.services.ecr.remote.addresses import AddressRefused, check, check_resolved, is_loopback, place_of


@pytest.mark.parametrize(
    ("url", "origin", "prefix"),
    [
        ("registry-1.docker.io", "https://registry-1.docker.io", ""),
        ("https://ghcr.io/", "https://ghcr.io", ""),
        ("https://ghcr.io:443/owner", "https://ghcr.io", "owner"),
        ("quay.example:8443/a/b-c", "https://quay.example:8443", "a/b-c"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000", ""),
        ("http://[::1]:5000", "http://[::1]:5000", ""),
        ("127.0.0.1:5000/team", "http://127.0.0.1:5000", "team"),
        ("[::1]:5000", "http://[::1]:5000", ""),
        ("https://127.0.0.1:5000", "https://127.0.0.1:5000", ""),
        ("http://localhost:5000", "http://localhost:5000", ""),
        ("https://10.1.2.3:5000", "https://10.1.2.3:5000", ""),
    ],
)
def test_the_address_of_a_registry_is_a_host_and_what_stands_before_its_names(url: str, origin: str, prefix: str) -> None:
    place = place_of(url)
    assert (str(place.origin), place.prefix) == (origin, prefix)


@pytest.mark.parametrize("here", ["http://127.0.0.1:2375/x", "https://[::1]/", "http://localhost/", "http://a.localhost:1/"])
def test_only_a_registry_on_this_machine_leads_to_this_machine(here: str) -> None:
    place_of("127.0.0.1:5000").check_led_to(URL(here))
    for elsewhere in ("https://registry.example", "https://10.1.2.3:5000"):
        place_of(elsewhere).check_led_to(URL("https://storage.example/x"))
        with pytest.raises(AddressRefused):
            place_of(elsewhere).check_led_to(URL(here))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://user:password@example.com",
        "https://example.com?x=1",
        "https://example.com#x",
        "https://example.com/UPPER",
        "https://example.com/../x",
        "https://exa mple.com",
        "https://example.com:0",
        "https://example.com:99999",
        "example.com\r\nHost: other",
        "http://example.com",
        "http://10.1.2.3",
        "http://127.0.0.1.example.com",
        "https://169.254.169.254",
        "https://[fe80::1]",
        "https://[fd00:ec2::254]",
        "https://[::ffff:169.254.169.254]",
        "https://0.0.0.0",
        "https://[::]",
        "https://224.0.0.1",
        "https://2852039166",
        "https://0xa9fea9fe",
        "https://0251.0376.0251.0376",
        "http://127.1",
        "x" * 501,
    ],
)
def test_what_is_no_such_address_or_out_of_reach_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        place_of(url)


def test_a_redirect_is_checked_like_a_rule() -> None:
    check(URL("https://cdn.example.com/blob?signature=x"))
    for url in ("http://cdn.example.com/", "https://169.254.169.254/latest", "gopher://example.com/", "https://a:b@example.com/"):
        with pytest.raises(AddressRefused):
            check(URL(url))


@given(st.integers(0, 2**16 - 1))
def test_no_spelling_of_a_link_local_address_is_reached(rest: int) -> None:
    address = ipaddress.IPv4Address((169 << 24) | (254 << 16) | rest)
    for spelling in (str(address), f"::ffff:{address}", f"2002:{int(address) >> 16:x}:{int(address) & 0xFFFF:x}::"):
        with pytest.raises(AddressRefused):
            check_resolved(spelling)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("a.localhost", True), ("127.9.9.9", True), ("::1", True), ("localhost.example.com", False), ("10.0.0.1", False)],
)
def test_this_machine_is_known_by_its_names_and_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
