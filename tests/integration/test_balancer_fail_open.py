"""Too few healthy targets: when those that are not get requests as well, on the real HAProxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from longshore.services.elbv2.model import TARGET_GROUPS
from tests.balancer.lab import Client, Lab, forward, laboratory, until

pytestmark = pytest.mark.engine("haproxy")

_FEWEST = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


#: what a group asks for -> how many of four targets may be ill before all of them get requests
_TOLERATED = {
    ("count", "1"): 3,
    ("count", "3"): 1,
    ("percentage", "50"): 2,
    ("percentage", "51"): 1,
    ("percentage", "100"): 0,
}


async def test_below_what_a_group_asks_for_all_its_targets_are_asked(lab: Lab) -> None:
    targets = [await lab.upstream(str(number)) for number in range(4)]
    _, group = await lab.serving(*targets)
    for ill in (1, 2):
        targets[ill].health_status = 500
        await until(lambda ill=ill: lab.health(group, targets[ill])[0] == "unhealthy")
        for (setting, value), tolerated in _TOLERATED.items():
            asking = replace(group, attributes={f"{_FEWEST}.{setting}": value})
            await lab.store.transact(lambda tx, asking=asking: tx.put(TARGET_GROUPS, asking))
            await lab.settled()
            asked = {(await lab.ask()).seen["name"] for _ in range(12)}
            assert len(asked) == (4 - ill if ill <= tolerated else 4), (setting, value, ill)


async def test_connections_are_treated_as_requests_are(lab: Lab) -> None:
    well, ill = await lab.upstream("well"), await lab.upstream("ill")
    lb = await lab.load_balancer(type="network")
    group = await lab.group(protocol="TCP", attributes={f"{_FEWEST}.percentage": "100"})
    await lab.register(group, well, ill)
    await lab.listener(lb, forward(group), protocol="TCP")
    await lab.healthy(group, well, ill)
    await ill.close()
    await until(lambda: lab.health(group, ill)[0] == "unhealthy")
    await ill.open()
    client = await Client.connect(lab.address(), lab.port)
    try:
        assert (await client.request()).status == 200
    finally:
        await client.close()
