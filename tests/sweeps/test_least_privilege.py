"""The policy that is written from having asked an operation is enough to ask it again, and lets nobody in elsewhere.

Of all that ask for more than their own right, and of every fourth beside them: each takes two houses.
"""

from __future__ import annotations

import json

from longshore.gateway.catalogue import served
from longshore.services.iam import model as iam
from longshore.services.iam.minimal import minimal_policy
from longshore.services.iam.recording_model import RECORDED_CALLS, RECORDINGS, Recording
from tests.sweeps.installation import OPERATIONS, OWNER, USER, USER_ARN, House, Installation
from tests.sweeps.samples import sample
from tests.sweeps.test_authorisation import FREE, REFUSES, each_of

_EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_GUARDED = [each for each in OPERATIONS if each not in FREE]
_TRIED = [each for number, each in enumerate(_GUARDED) if number % 4 == 0 or served(each[0]).operations[each[1]].also is not None]


async def seen(there: Installation, api: str, operation: str, house: House) -> list[str]:
    """The documents of the exact policy for what ann, who may everything, was asked about."""
    recorder = there.gateway._access.recorder
    assert recorder is not None
    now = there.clock.now()
    recording = Recording(OWNER, "sweep", now, USER_ARN, (USER_ARN,), now + 3600)
    await there.store.transact(lambda tx: tx.put(RECORDINGS, recording))
    recorder.look()
    await there.allow(_EVERYTHING)
    answer = await there.ask(api, operation, sample(house, api, operation), USER)
    assert answer.status == 200 or answer.code == REFUSES.get((api, operation)), f"{answer.code}: {answer.message}"
    await recorder.flush()
    return list(minimal_policy(there.store.list(RECORDED_CALLS, "recording", recording.key), exact=True).documents)


@each_of(_TRIED)
async def test_the_policy_written_from_what_was_done_allows_it(there: Installation, house: House, api: str, operation: str) -> None:
    documents = await seen(there, api, operation, house)
    async with Installation.restored(house.rows, house.blobs) as again:
        policies = [iam.InlinePolicy(USER_ARN, f"sweep-{number}", text) for number, text in enumerate(documents)]
        await again.store.transact(lambda tx: [tx.put(iam.INLINE_POLICIES, policy) for policy in policies])
        answer = await again.ask(api, operation, sample(house, api, operation), USER)
        assert not answer.denied, f"{answer.message}\n{json.dumps(documents)}"
        other = await again.ask("ecs", "DeleteCluster", {"cluster": "nobody-asked-for-this"}, USER)
        assert other.denied


def test_the_swept_house_records(house: House) -> None:
    assert any(call.action == "ecs:DescribeClusters" for call in house.rows[RECORDED_CALLS])
