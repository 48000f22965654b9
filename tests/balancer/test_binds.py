from __future__ import annotations

import msgspec

from longshore.balancer.binds import Bind, allocate, held_by
from longshore.balancer.snapshot import Snapshot
from longshore.balancer.status import statuses
from longshore.balancer.words import address_of
from tests.balancer.cases import front, load_balancer


def free(bind: Bind) -> str:
    return ""


def test_a_listener_alone_on_its_port_has_localhost_for_itself() -> None:
    one, other = front(slot=1, port=80), front(slot=2, port=81)
    binds = allocate([one, other], set(), free)
    assert binds.is_alone(one) and binds.is_alone(other) and not binds.shared


def test_http_listeners_share_a_port_of_localhost() -> None:
    fronts = [front(slot=2), front(slot=1)]
    binds = allocate(fronts, set(), free)
    assert [sharing.load_balancer.slot for sharing in binds.shared[80]] == [1, 2] and not binds.alone


def test_bytes_cannot_be_told_apart_by_name_and_yield_to_http() -> None:
    http, tcp = front(slot=2), front(slot=1, protocol="TCP")
    binds = allocate([http, tcp], set(), free)
    assert binds.is_alone(http) and not binds.is_alone(tcp)
    listens, words = binds.trouble(tcp)
    assert listens and words == "port 80 of 127.0.0.1 belongs to another load balancer; use 127.0.2.1:80"
    first, second = front(slot=1, protocol="TCP"), front(slot=2, protocol="TCP")
    assert allocate([second, first], set(), free).is_alone(first)


def test_what_is_held_already_is_not_asked_for() -> None:
    asked: list[Bind] = []

    def ask(bind: Bind) -> str:
        asked.append(bind)
        return ""

    allocate([front()], {("127.0.2.1", 80), ("127.0.0.1", 80)}, ask)
    assert asked == []


def test_the_names_of_frontends_tell_what_is_held() -> None:
    names = ["127.0.2.1:80_local", "127.0.2.2:81", "127.0.0.1:90", "nobody", "<HTTPCLIENT>"]
    assert held_by(names) == {("127.0.2.1", 80), ("127.0.0.1", 80), ("127.0.2.2", 81), ("127.0.0.1", 90)}


def test_load_balancers_are_numbered_through_several_networks() -> None:
    assert [address_of(slot, "127.0.2.") for slot in (1, 254, 255, 508, 509)] == [
        "127.0.2.1",
        "127.0.2.254",
        "127.0.3.1",
        "127.0.3.254",
        "127.0.4.1",
    ]


def test_a_status_tells_what_is_wrong_and_what_to_do() -> None:
    lb = load_balancer()
    fronts = (front(port=80), front(port=81))
    taken = {("127.0.2.1", 80): "another program has it"}
    binds = allocate(fronts, set(), lambda bind: taken.get(bind, ""))
    found = statuses(Snapshot((lb,), fronts, ()), binds, {}, "127.0.2.")[lb.arn]
    assert (found.state, found.address) == ("active_impaired", "127.0.2.1")
    assert found.reason == "port 80 of 127.0.2.1 cannot be listened on: another program has it"
    found = statuses(Snapshot((lb,), fronts[:1], ()), binds, {}, "127.0.2.")[lb.arn]
    assert found.state == "failed"
    assert statuses(Snapshot((lb,), (), ()), binds, {}, "127.0.2.")[lb.arn].state == "active"
    refused = {fronts[1].listener.arn: "no"}
    assert "the listener on port 81 is not served: no" in statuses(Snapshot((lb,), fronts, ()), binds, refused, "127.0.2.")[lb.arn].reason


def test_an_address_for_containers_is_bound_beside_the_own_one_and_known_again_by_the_name() -> None:
    one = msgspec.structs.replace(front(slot=1), link="169.254.171.1")
    binds = allocate([one], set(), free)
    assert binds.is_linked(one) and binds.trouble(one) == (True, "")
    assert held_by(["127.0.2.1:80_link_local"], {"127.0.2.1": "169.254.171.1"}) == {
        ("127.0.2.1", 80),
        ("169.254.171.1", 80),
        ("127.0.0.1", 80),
    }
    assert held_by(["127.0.2.1:80_link"], {}) == {("127.0.2.1", 80)}


def test_a_listener_that_containers_do_not_reach_listens_all_the_same_and_says_so() -> None:
    one = msgspec.structs.replace(front(slot=1), link="169.254.171.1")
    binds = allocate([one], set(), lambda bind: "this user may not" if bind[0] == one.link else "")
    assert binds.is_usable(one) and not binds.is_linked(one)
    assert binds.trouble(one) == (True, "containers do not reach port 80 of 169.254.171.1: this user may not")


def test_an_address_that_other_machines_reach_is_shared_as_localhost_is_where_it_is_free() -> None:
    binds = allocate([front(slot=1), front(slot=2)], set(), free, "10.0.0.7")
    assert binds.local_addresses(80) == ("127.0.0.1", "10.0.0.7")
    binds = allocate([front(slot=1)], set(), lambda bind: "another program has it" if bind[0] == "10.0.0.7" else "", "10.0.0.7")
    assert binds.local_addresses(80) == ("127.0.0.1",)
