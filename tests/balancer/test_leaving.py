"""Who leaves: a law over every order in which requests, reloads, looks and wishes may come.

The world is made of the real decisions (which servers get what, who is busy, which tasks may be stopped) and of workers that are
as lazy as HAProxy allows: one that a reload left behind is told nothing, and goes on choosing targets that have left meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.balancer.leftovers import IDLE_S, SETTLED_S, held_by
from longshore.balancer.plan import plan, stays_s
from longshore.balancer.words import server_name
from longshore.control.targets.plan import Endpoint, Registered, Serving
from longshore.control.targets.plan import Snapshot as Standing
from longshore.control.targets.plan import plan as plan_targets
from longshore.services.elbv2.model import Target
from tests.balancer.cases import GROUP, pool, target

DELAY_S = 60.0


@dataclass
class Worker:
    #: server -> status
    servers: dict[str, str]
    #: since when it is an old one; None: it serves
    since: float | None = None
    #: server of each request that is under way
    requests: list[str] = field(default_factory=list)

    def connections(self) -> dict[str, int]:
        return {server: self.requests.count(server) for server in self.servers}


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.rows: dict[str, Target] = {}
        self.workers = [Worker({})]
        #: task (its address) -> running, leaving (DEACTIVATING) or killed
        self.tasks: dict[str, str] = {}

    # ── what happens ──

    def start(self, number: int) -> None:
        self.tasks.setdefault(f"10.0.0.{number}:80", "running")

    def wish_away(self, number: int) -> None:
        task = f"10.0.0.{number}:80"
        if self.tasks.get(task) == "running":
            self.tasks[task] = "leaving"

    def look_at_tasks(self) -> None:
        """The targets controller, and the agent that does at once what it is told."""
        endpoints = {task: Endpoint(GROUP, task.partition(":")[0], 80) for task in self.tasks}
        serving = [
            Serving(
                task, running=state == "running", leaving=state != "running", deactivating=state != "running", endpoints=(endpoints[task],)
            )
            for task, state in self.tasks.items()
            if state != "killed"
        ]
        rows = [Registered(endpoints[task], task, row.deregistered_at is not None) for task, row in self.rows.items()]
        todo = plan_targets(Standing(tuple(serving), tuple(rows)))
        for change in todo.register:
            self.rows[change.owner] = replace(target(change.owner), registered_at=self.now)
        for change in todo.deregister:
            self.rows[change.owner] = replace(self.rows[change.owner], deregistered_at=self.now)
        for task in todo.drained:
            self.kill(task)

    def kill(self, task: str) -> None:
        server = server_name(target(task))
        for worker in self.workers:
            assert server not in worker.requests, "whoever is asked something is not killed"
        self.tasks[task] = "killed"

    def look_at_servers(self) -> None:
        """The balancer."""
        serving = self.workers[0].servers
        todo = plan(pool(*self.rows.values()), serving)
        for step in (*todo.add, *todo.revive):
            serving[step.server] = "UP"
        for step in todo.withhold:
            serving[step.server] = "MAINT"
        busy = {server for server, count in self.workers[0].connections().items() if count}
        for worker in self.workers[1:]:
            assert worker.since is not None
            busy |= held_by(worker.connections(), self.now - worker.since)
        for step in (*todo.withhold, *todo.finish, *todo.forget):
            assert step.target is not None
            if step in todo.forget or not stays_s(step.target, is_busy=step.server in busy, delay_s=DELAY_S, now=self.now):
                serving.pop(step.server, None)
                del self.rows[f"{step.target.address}:{step.target.port}"]
                if self.now - (step.target.deregistered_at or self.now) >= DELAY_S:
                    for worker in self.workers:  # its time is over: what is left is cut
                        worker.requests = [request for request in worker.requests if request != step.server]
        for step in todo.remove:
            serving.pop(step.server)

    def reload(self) -> None:
        self.look_at_servers()
        self.workers[0].since = self.now
        self.workers.insert(0, Worker(dict(self.workers[0].servers)))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.workers = [worker for worker in self.workers if worker.since is None or worker.requests or self.now - worker.since < IDLE_S]

    def ask(self, which: int) -> None:
        """A client on any connection: of the worker that serves, or of an older one that it has not come back to yet."""
        worker = self.workers[which % len(self.workers)]
        if worker.since is not None and self.now - worker.since >= SETTLED_S:
            return  # who comes back so late is not waited for
        usable = sorted(server for server, status in worker.servers.items() if status == "UP")
        if usable:
            server = usable[which % len(usable)]
            assert self.tasks.get(server.partition("_")[0] + ":80") != "killed", "nobody is sent to the dead"
            worker.requests.append(server)

    def answer(self, which: int) -> None:
        worker = self.workers[which % len(self.workers)]
        if worker.requests:
            worker.requests.pop(which % len(worker.requests))


HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "start",
                "away",
                "roll",
                "roll",
                "tasks",
                "tasks",
                "servers",
                "servers",
                "reload",
                "moment",
                "while",
                "ask",
                "ask",
                "ask",
                "answer",
            ]
        ),
        st.integers(0, 7),
    ),
    max_size=80,
)


@settings(max_examples=300, deadline=None)
@given(HAPPENINGS)
def test_first_no_new_requests_then_the_last_answer_and_only_then_the_end(happenings: list[tuple[str, int]]) -> None:
    world = World()
    for number in range(3):
        world.start(number)
    world.look_at_tasks()
    world.look_at_servers()
    for what, which in happenings:
        match what:
            case "start":
                world.start(which)
            case "away":
                world.wish_away(which)
            case "roll":
                world.start(which + 1)
                world.wish_away(which)
                for _ in range(2):
                    world.look_at_tasks()
                    world.look_at_servers()
            case "tasks":
                world.look_at_tasks()
            case "servers":
                world.look_at_servers()
            case "reload":
                world.reload()
            case "moment":
                world.pass_time(0.4)
            case "while":
                world.pass_time(3.0)
            case "ask":
                world.ask(which)
            case "answer":
                world.answer(which)
    for number in range(9):
        world.wish_away(number)
    for _ in range(30):
        world.look_at_tasks()
        world.look_at_servers()
        world.pass_time(5.0)
    assert set(world.tasks.values()) == {"killed"} and not world.rows, "nobody stays for ever, asked or not"
