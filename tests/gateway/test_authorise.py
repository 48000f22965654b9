"""Who is denied what, and that a decision which was kept is the one that would be made anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.gateway.authorise import Access, ResourceSide
from longshore.kit.clock import SteppedClock
from longshore.kit.resource import Kind
from longshore.services.call import Principal
from longshore.services.iam import kinds as iam_kinds
from longshore.services.iam import model as iam
from longshore.services.iam.identities import root_principal
from longshore.services.iam.policy import Policy, compile_policy
from longshore.store.base import Reader, Store, Tx
from longshore.store.memory import memory_store

ACCOUNT, OTHER = "123456789012", "210987654321"
ANN = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann", "AIDAANNANNANNANNANNAN", "AKIAANN")
BEA = Principal(OTHER, f"arn:aws:iam::{OTHER}:user/bea", "AIDABEABEABEABEABEABE", "AKIABEA")
ROOT = root_principal(ACCOUNT, "AKIAROOT")
PEOPLE = (ANN, BEA, ROOT)
THINGS = [f"arn:aws:things:us-east-1:{account}:thing/{name}" for account in (ACCOUNT, OTHER) for name in ("a", "b")]


class Said(msgspec.Struct, frozen=True):
    """What a thing says of itself."""

    arn: str
    document: str


SAID: Kind[Said] = Kind(name="test.said", type=Said, key=lambda said: said.arn)


def of_a_thing(reader: Reader, arn: str) -> tuple[Policy, ...]:
    said = reader.get(SAID, arn)
    return (compile_policy(said.document, resource_based=True),) if said is not None else ()


def conditions_of_a_thing(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    return {"things:Name": [arn[-1]]}


SIDES = {"things": ResourceSide(of_a_thing, conditions_of_a_thing, frozenset({"things:Unlock"}))}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def own(principal: Principal, *statements: dict[str, Any]) -> iam.InlinePolicy:
    return iam.InlinePolicy(principal.arn, "own", document(*({"Resource": "*", **each} for each in statements)))


def said(arn: str, *statements: dict[str, Any]) -> Said:
    return Said(arn, document(*statements))


def new_store() -> Store:
    return memory_store((SAID, *iam_kinds.KINDS))


LOOK = {"Effect": "Allow", "Action": "things:Look"}


async def test_a_service_without_resource_policies_is_open_to_its_account_alone() -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    assert access.denial(ROOT, "ecs:RunTask", f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/x") is None
    assert access.denial(ROOT, "ecs:RunTask", "*") is None
    message = access.denial(ROOT, "ecs:RunTask", f"arn:aws:ecs:us-east-1:{OTHER}:task/x")
    assert message is not None
    assert message.endswith("because no resource-based policy allows the ecs:RunTask action")


async def test_a_thing_may_deny_the_root_and_let_strangers_in() -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    deny = {"Effect": "Deny", "Principal": {"AWS": ACCOUNT}, "Action": "*"}
    await store.transact(lambda tx: tx.put(SAID, said(THINGS[0], deny, {**LOOK, "Principal": {"AWS": OTHER}})))
    asked = f"User: {ROOT.arn} is not authorized to perform: things:Look on resource: {THINGS[0]}"
    assert access.denial(ROOT, "things:Look", THINGS[0]) == f"{asked} with an explicit deny in a resource-based policy"
    assert access.denial(ROOT, "things:Look", THINGS[1]) is None
    assert access.denial(BEA, "things:Look", THINGS[0]) is not None
    await store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, own(BEA, LOOK)))
    assert access.denial(BEA, "things:Look", THINGS[0]) is None


async def test_the_same_name_with_another_key_is_asked_about_anew() -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    await store.transact(lambda tx: tx.put(SAID, said(THINGS[0], {**LOOK, "Principal": {"AWS": ANN.user_id}})))
    assert access.denial(ANN, "things:Look", THINGS[0]) is None
    namesake = Principal(ANN.account_id, ANN.arn, "AIDANAMESAKENAMESAKEN", "AKIANAMESAKE")
    assert access.denial(namesake, "things:Look", THINGS[0]) is not None


async def test_one_way_is_left_to_the_root_of_the_account() -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    locked = ({"Effect": "Deny", "Principal": "*", "Action": "*"},)
    await store.transact(lambda tx: [tx.put(SAID, said(arn, *locked)) for arn in THINGS])
    await store.transact(lambda tx: [tx.put(iam.INLINE_POLICIES, own(who, {**LOOK, "Action": "*"})) for who in (ANN, BEA)])
    for who in PEOPLE:
        for action in ("things:Unlock", "things:Look"):
            for arn in THINGS:
                mine = who is ROOT and action == "things:Unlock" and ACCOUNT in arn
                assert (access.denial(who, action, arn) is None) is mine, (who.arn, action, arn)


async def test_another_accounts_root_may_what_the_thing_says() -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    await store.transact(
        lambda tx: tx.put(SAID, said(THINGS[0], {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "things:Unlock"}))
    )
    assert access.denial(root_principal(OTHER, "AKIAOTHER"), "things:Unlock", THINGS[0]) is None


@pytest.mark.parametrize(
    ("condition", "allowed", "denied"),
    [
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"source_ip": "10.0.0.1"}, {"source_ip": "192.0.2.1"}),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"secure": True}, {"secure": False}),
        ({"StringLike": {"aws:UserAgent": "docker/*"}}, {"user_agent": "docker/28"}, {"user_agent": "curl"}),
        ({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}, {"region": "us-east-1"}, {"region": "eu-west-1"}),
    ],
    ids=str,
)
async def test_what_one_way_in_was_told_is_not_told_to_another(
    condition: dict[str, Any], allowed: dict[str, Any], denied: dict[str, Any]
) -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    await store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, own(ANN, {**LOOK, "Condition": condition})))
    for _ in range(2):
        assert access.denial(ANN, "things:Look", THINGS[0], **allowed) is None
        assert access.denial(ANN, "things:Look", THINGS[0], **denied) is not None


async def test_a_things_own_conditions_are_asked_with_the_requests() -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    when = {"Condition": {"StringEquals": {"things:Name": "a", "things:Colour": "red"}}}
    await store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, own(ANN, {**LOOK, **when})))
    red, blue = (lambda: {"things:Colour": ["red"]}), (lambda: {"things:Colour": ["blue"]})
    assert access.denial(ANN, "things:Look", THINGS[0], conditions=red) is None
    assert access.denial(ANN, "things:Look", THINGS[0], conditions=blue) is not None
    assert access.denial(ANN, "things:Look", THINGS[1], conditions=red) is not None


async def test_decisions_that_hang_on_the_moment_are_made_at_every_moment() -> None:
    store, clock = new_store(), SteppedClock()
    access = Access(store, clock, SIDES)
    until = {"Condition": {"NumericLessThan": {"aws:EpochTime": str(int(clock.now()) + 10)}}}
    await store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, own(ANN, {**LOOK, **until})))
    assert access.denial(ANN, "things:Look", THINGS[0]) is None
    await clock.step(11)
    assert access.denial(ANN, "things:Look", THINGS[0]) is not None


@pytest.mark.parametrize("resource", [f"{THINGS[0]}{'x' * 1000}", *(f"{THINGS[0]}{number}" for number in range(3))])
async def test_however_many_are_asked_about_the_answer_is_right(resource: str) -> None:
    store = new_store()
    access = Access(store, SteppedClock(), SIDES)
    await store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, own(ANN, LOOK)))
    for number in range(10_050):
        assert access.denial(ANN, "things:Look", f"{THINGS[1]}/{number}") is None
    for _ in range(2):
        assert access.denial(ANN, "things:Look", resource) is None
        assert access.denial(ANN, "things:Take", resource) is not None


# ── what is kept is what would be decided anew ──────────────────────────────────────────────────────────────────────

CONDITIONS = st.sampled_from([
    {}, {}, {}, {"Condition": {"StringEquals": {"things:Name": "a"}}}, {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
    {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, {"Condition": {"NumericLessThan": {"aws:EpochTime": str(2_000_000_000)}}},
    {"Condition": {"StringEquals": {"aws:UserAgent": "docker"}, "StringNotEquals": {"AWS:SourceIP": "${aws:CurrentTime}"}}},
])  # fmt: skip
STATEMENTS = st.builds(
    lambda effect, action, when: {"Effect": effect, "Action": action, **when},
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.sampled_from(["things:Look", "things:*", "*"]),
    CONDITIONS,
)
WHOM = st.sampled_from(["*", {"AWS": ANN.arn}, {"AWS": BEA.user_id}, {"AWS": ACCOUNT}, {"AWS": OTHER}])
WRITES = st.one_of(
    st.builds(lambda who, what: (iam.INLINE_POLICIES, own(who, *what)), st.sampled_from([ANN, BEA]), st.lists(STATEMENTS, min_size=1)),
    st.builds(
        lambda arn, what, whom: (SAID, said(arn, *({**each, "Principal": whom} for each in what))),
        st.sampled_from(THINGS),
        st.lists(STATEMENTS, min_size=1, max_size=3),
        WHOM,
    ),
    st.builds(lambda arn: (SAID, arn), st.sampled_from(THINGS)),
)
ORIGINS = st.fixed_dictionaries({
    "source_ip": st.sampled_from(["10.0.0.1", "192.0.2.1"]), "secure": st.booleans(), "user_agent": st.sampled_from(["docker", "x" * 900])
})  # fmt: skip
QUESTIONS = st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["things:Look", "things:Take"]), st.sampled_from(THINGS), ORIGINS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.none() | WRITES | st.just("a moment later"), st.lists(QUESTIONS, max_size=6)), max_size=8))
def test_a_kept_decision_is_the_one_that_would_be_made_anew(
    steps: list[tuple[Any, list[tuple[Principal, str, str, dict[str, Any]]]]],
) -> None:
    async def run() -> None:
        store, clock = new_store(), SteppedClock()
        access = Access(store, clock, SIDES)
        for step, questions in steps:
            if isinstance(step, str):
                await clock.step(2_000_000_000 - clock.now())
            elif step is not None:
                await store.transact(lambda tx, step=step: _written(tx, *step))
            for who, action, arn, origin in questions * 2:
                anew = Access(store, clock, SIDES).denial(who, action, arn, **origin)
                assert access.denial(who, action, arn, **origin) == anew
        await store.close()

    asyncio.run(run())


def _written(tx: Tx, kind: Kind[Any], value: Any) -> None:
    if isinstance(value, str):
        tx.delete(kind, value)
    else:
        tx.put(kind, value)
