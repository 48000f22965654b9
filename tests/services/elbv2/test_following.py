from __future__ import annotations

import pytest
from msgspec.structs import replace

from longshore.services.elbv2 import model
from longshore.services.elbv2.following import is_followed, mark_of
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, RULES, LoadBalancerStatus
from longshore.store.memory import memory_store
from tests.balancer.cases import forward, front, rule
from tests.balancer.lab import fixed, paths


async def test_a_change_of_rules_is_followed_once_the_balancer_has_written_it_down() -> None:
    store = memory_store(model.KINDS)
    one, first = front(), rule(1, paths("/a"))
    assert not is_followed(store, one.load_balancer.arn), "nobody knows it"
    lb = replace(one.load_balancer, status=LoadBalancerStatus(followed=mark_of([(one.listener, (first,))])))
    await store.transact(lambda tx: [tx.put(LOAD_BALANCERS, lb), tx.put(LISTENERS, one.listener), tx.put(RULES, first)])
    assert is_followed(store, lb.arn)
    await store.transact(lambda tx: tx.put(RULES, replace(first, actions=(forward("arn:aws:other"),))))
    assert not is_followed(store, lb.arn)
    await store.transact(lambda tx: tx.put(RULES, first))
    assert is_followed(store, lb.arn)


@pytest.mark.parametrize("changed", [rule(2, paths("/a")), rule(1, paths("/b")), rule(1, paths("/a"), action=fixed(404))])
def test_whatever_a_rule_does_is_in_its_mark(changed: model.Rule) -> None:
    one = front()
    assert mark_of([(one.listener, (changed,))]) != mark_of([(one.listener, (rule(1, paths("/a")),))])


def test_a_mark_knows_no_order() -> None:
    one, other, rules = front(), front(port=81), [rule(number, paths("/a")) for number in (1, 2, 3)]
    assert mark_of([(one.listener, rules), (other.listener, ())]) == mark_of([(other.listener, ()), (one.listener, rules[::-1])])
