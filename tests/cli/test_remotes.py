"""`longshore registry remote` against a real server."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from longshore.cli.app import app
from longshore.cli.outcome import Failure
from tests.cli.test_registry import Shop, shop
from tests.registry.upstream import PASSWORD, USER, played

assert shop  # the fixture


async def _remote(shop: Shop, *arguments: str, stdin: str = "") -> str:
    """The output of `longshore registry remote …`. Raises Failure."""
    command = ("registry", "remote", *arguments, "--data-dir", str(shop.server.data_dir))
    result = await asyncio.to_thread(CliRunner().invoke, app, command, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


async def test_a_remote_registry_is_added_checked_shown_and_removed(shop: Shop) -> None:
    upstream = await played()
    upstream.sign_in = "basic"
    address = upstream.url.removeprefix("http://")
    assert await _remote(shop, "list") == "none\n"
    assert await _remote(shop, "add", "backup", address, "--user", USER, "--password-stdin", stdin="wrong\n") == f"backup is {address}\n"
    with pytest.raises(Failure, match="401"):
        await _remote(shop, "check", "backup")
    await _remote(shop, "add", "backup", address, "--user", USER, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert await _remote(shop, "check", "backup") == "backup answers\n"
    (shown,) = json.loads(await _remote(shop, "list", "-o", "json"))
    assert (shown["name"], shown["url"], shown["userName"]) == ("backup", address, USER)
    assert PASSWORD not in await _remote(shop, "list")
    assert await _remote(shop, "remove", "backup") == "backup is forgotten\n"
    await upstream.server.close()


async def test_what_cannot_be_meant_is_told(shop: Shop) -> None:
    for arguments, words in (
        (("add", "backup", "http://registry.example"), "https only"),
        (("add", "backup", "registry.example", "--user", "bob"), "go together"),
        (("remove", "nothing"), "no remote registry"),
    ):
        with pytest.raises(Failure, match=words):
            await _remote(shop, *arguments)
