"""URLs of layers: what opens one, and what does not."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from longshore.services.ecr.layers.links import GOOD_FOR_S, Link, LinkExpired, LinkInvalid, link_to, opened
from longshore.services.ecr.names import RepositoryId

SECRET = b"s" * 32
LINK = Link(RepositoryId("us-east-1", "123456789012", "app/web"), "sha256:" + "ab" * 32)
NOW = 1_000_000.5


def made(secret: bytes = SECRET, link: Link = LINK) -> tuple[str, str, str]:
    """(path, expires, signature)"""
    parts = urlsplit(link_to(secret, "http://127.0.0.1:4566", link, NOW))
    assert (parts.scheme, parts.netloc) == ("http", "127.0.0.1:4566")
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return parts.path, query["expires"], query["signature"]


def test_a_link_opens_its_layer_until_it_expires() -> None:
    path, expires, signature = made()
    assert opened(SECRET, path, expires, signature, NOW) == LINK
    assert opened(SECRET, path, expires, signature, NOW + GOOD_FOR_S - 1) == LINK
    with pytest.raises(LinkExpired):
        opened(SECRET, path, expires, signature, NOW + GOOD_FOR_S)


@pytest.mark.parametrize(
    "change",
    [
        lambda path, expires, signature: (path.replace("web", "api"), expires, signature),
        lambda path, expires, signature: (path.replace("123456789012", "210987654321"), expires, signature),
        lambda path, expires, signature: (path.replace("us-east-1", "eu-west-1"), expires, signature),
        lambda path, expires, signature: (path.replace("ab", "cd"), expires, signature),
        lambda path, expires, signature: (path.replace("app/web", "app/../app/web"), expires, signature),
        lambda path, expires, signature: (path + "/", expires, signature),
        lambda path, expires, signature: (path, str(int(expires) + 1), signature),
        lambda path, expires, signature: (path, "0" + expires, signature[:-1]),
        lambda path, expires, signature: (path, "", signature),
        lambda path, expires, signature: (path, expires + "e9", signature),
        lambda path, expires, signature: (path, expires, ""),
        lambda path, expires, signature: (path, expires, signature.upper()),
        lambda path, expires, signature: (path, expires, signature[:-1] + ("0" if signature[-1] != "0" else "1")),
        lambda path, expires, signature: (path, expires, "é" * 64),
    ],
)
def test_a_link_that_was_changed_opens_nothing(change: object) -> None:
    path, expires, signature = change(*made())  # type: ignore[operator]
    with pytest.raises(LinkInvalid):
        opened(SECRET, path, expires, signature, NOW)


def test_a_link_of_another_installation_opens_nothing() -> None:
    with pytest.raises(LinkInvalid):
        opened(SECRET, *made(b"t" * 32), NOW)
