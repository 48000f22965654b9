"""Whatever agents report, in whatever order: a task and its containers only ever go forward."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.model import Container, Lifecycle, Stop, Task, TaskSpec, TaskStatus
from longshore.services.ecs.reports import MOST_BINDINGS, apply_report
from longshore.services.ecs.task_views import _binding

ESSENTIAL = frozenset({"app"})
_ORDER = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}


def task(stop: Stop | None = None) -> Task:
    containers = (Container(name="app", arn="a"), Container(name="side", arn="b"))
    spec = TaskSpec(task_definition_arn="x/web:1", group="family:web", created_at=0.0)
    return Task("t", "c", spec, container_instance_arn="i", stop=stop, status=TaskStatus(last_status="PENDING", containers=containers))


def change(name: str = "app", **members: object) -> shapes.ContainerStateChange:
    return shapes.ContainerStateChange(container_name=name, **members)  # type: ignore[arg-type]


def report(status: str | None, *containers: shapes.ContainerStateChange, reason: str = "") -> shapes.SubmitTaskStateChangeRequest:
    return shapes.SubmitTaskStateChangeRequest(status=status, reason=reason, containers=containers)


changes = st.builds(
    change,
    st.sampled_from(["app", "side", "stranger"]),
    status=st.sampled_from(["PENDING", "RUNNING", "STOPPED", "CREATED", None]),
    exit_code=st.one_of(st.none(), st.integers(0, 255)),
    reason=st.sampled_from([None, "", "CannotPullContainerError: no"]),
)
reports = st.builds(
    lambda status, containers, reason: report(status, *containers, reason=reason),
    st.sampled_from(["PENDING", "RUNNING", "STOPPED", "nonsense", None]),
    st.lists(changes, max_size=4),
    st.sampled_from(["", "why"]),
)


@given(st.lists(reports, max_size=8))
def test_nothing_ever_goes_back(sequence: list[shapes.SubmitTaskStateChangeRequest]) -> None:
    now = task()
    for moment, one in enumerate(sequence):
        later = apply_report(now, one, float(moment + 1), ESSENTIAL)
        assert Lifecycle[later.last_status] >= Lifecycle[now.last_status]
        for before, after in zip(now.status.containers, later.status.containers, strict=True):
            assert _ORDER[after.last_status] >= _ORDER[before.last_status]
        assert apply_report(later, one, float(moment + 2), ESSENTIAL) is later or not later.is_stopped
        if later.is_stopped:
            assert later.status.stopped_at is not None
            assert later.status.stop_code in ("TaskFailedToStart", "EssentialContainerExited")
            assert later.status.stopped_reason
            assert all(container.last_status == "STOPPED" for container in later.status.containers)
        now = later


def test_the_last_word_on_a_container_counts() -> None:
    after = apply_report(task(), report("RUNNING", change(status="RUNNING"), change(status="STOPPED", exit_code=0)), 1.0, ESSENTIAL)
    assert (after.status.containers[0].last_status, after.status.containers[0].exit_code) == ("STOPPED", 0)
    assert after.last_status == "RUNNING"


def test_a_report_that_says_nothing_new_changes_nothing() -> None:
    running = apply_report(task(), report("RUNNING", change(status="RUNNING")), 1.0, ESSENTIAL)
    assert apply_report(running, report("RUNNING", change(status="RUNNING")), 2.0, ESSENTIAL) is running


def test_who_asked_for_the_stop_is_not_overwritten_by_the_agent() -> None:
    asked = task(Stop("enough", "UserInitiated", 0.5))
    after = apply_report(asked, report("STOPPED", change(status="STOPPED", exit_code=137)), 1.0, ESSENTIAL)
    assert (after.is_stopped, after.status.stop_code, after.status.stopped_reason) == (True, "", "")
    assert after.stop == asked.stop


def test_a_report_while_stopping_does_not_make_it_run_again() -> None:
    stopping = apply_report(task(), report("RUNNING"), 1.0, ESSENTIAL)
    stopping = Task("t", "c", stopping.spec, "i", "", Stop("s", "UserInitiated", 2.0), TaskStatus(last_status="STOPPING"))
    assert apply_report(stopping, report("RUNNING"), 3.0, ESSENTIAL).last_status == "STOPPING"


def test_a_published_range_of_ports_is_shown_as_it_was_reported() -> None:
    binding = shapes.NetworkBinding(bind_ip="127.0.1.1", container_port_range="8000-8010", host_port_range="32800-32810", protocol="tcp")
    later = apply_report(task(), report("RUNNING", change(status="RUNNING", network_bindings=(binding,))), 1.0, ESSENTIAL)
    assert _binding(later.status.containers[0].network_bindings[0]) == binding


def test_times_and_ports_that_cannot_be_are_left_out_and_the_rest_of_the_report_counts() -> None:
    bindings = tuple(shapes.NetworkBinding(container_port=80, host_port=port) for port in (-1, 65_536, 16_519_497, 32_768))
    for moment in (-1.0, 9_007_199_254_740_992.0, 1e300):
        told = shapes.SubmitTaskStateChangeRequest(
            status="STOPPED",
            containers=(change("app", status="RUNNING", network_bindings=bindings),),
            pull_started_at=moment,
            pull_stopped_at=moment,
            execution_stopped_at=moment,
        )
        after = apply_report(task(), told, 5.0, ESSENTIAL)
        assert after.is_stopped
        assert (after.status.pull_started_at, after.status.pull_stopped_at, after.status.execution_stopped_at) == (None, None, 5.0)
        assert [binding.host_port for binding in after.status.containers[0].network_bindings] == [32_768]


def test_what_is_kept_of_a_report_is_bounded_however_long_it_is() -> None:
    ports = tuple(shapes.NetworkBinding(container_port=1, host_port=1, bind_ip="x" * 9000, host_port_range="y" * 9000) for _ in range(5000))
    words = {"runtime_id": "r" * 9000, "image_digest": "d" * 9000, "reason": "w" * 9000}
    told = change(status="RUNNING", network_bindings=ports, **words)
    kept = apply_report(task(), report("RUNNING", told), 1.0, ESSENTIAL).status.containers[0]
    assert len(msgspec.json.encode(kept)) < 1_000_000 and len(kept.network_bindings) == MOST_BINDINGS
    assert max(len(kept.runtime_id), len(kept.image_digest), len(kept.network_bindings[0].bind_ip)) == 255


def test_ranges_of_ports_are_bounded_by_the_ports_in_them() -> None:
    one = shapes.NetworkBinding(container_port=80, host_port=8080, protocol="tcp")
    everything = shapes.NetworkBinding(container_port_range="1-65535", host_port_range="1-65535", protocol="tcp")
    some = shapes.NetworkBinding(container_port_range="1-999", host_port_range="1-999", protocol="tcp")
    for bindings, kept in (((one, everything), 1), ((everything,) * 1000, 0), ((one, some), 2), ((one, some, one), 2)):
        after = apply_report(task(), report("RUNNING", change(status="RUNNING", network_bindings=bindings)), 1.0, ESSENTIAL)
        assert len(after.status.containers[0].network_bindings) == kept
