"""Where a process of Longshore begins: `python -m longshore.main ROLE CONFIG-FILE`.

With `--handed` the master key is the first line of the standard input: in no file, no argument and no environment that others see.

Roles: the supervisor starts and watches the others. The server is everything behind the one port. An agent is one
container instance. The resolver, started by agents, answers their containers' questions for names. Each imports only what it needs, so
that an agent stays small and the supervisor smaller.
"""

from __future__ import annotations

import sys
from pathlib import Path

from longshore.config import DataDirectory, read_balancer, read_platform
from longshore.kit.cores import leave_no_core
from longshore.kit.logs import log_to_stderr


def main(arguments: list[str]) -> int:
    leave_no_core()
    match arguments:
        case ["supervisor", "--config", path, *handed] if handed in ([], ["--handed"]):
            from longshore.supervisor import supervise

            return supervise(Path(path), _handed(handed))
        case ["server", "--config", path, *handed] if handed in ([], ["--handed"]):
            from longshore.server import serve

            server = read_platform(Path(path)).server
            if server is None:
                print("this configuration has no server", file=sys.stderr)
                return 2
            log_to_stderr(server.log_level, DataDirectory(server.data_dir).log_file("server"))
            return serve(server, _handed(handed))
        case ["agent", "--config", path, "--name", name]:
            from longshore.agent.run import main as run

            agent = next((agent for agent in read_platform(Path(path)).agents if agent.name == name), None)
            if agent is None:
                print(f"this configuration has no agent named {name}", file=sys.stderr)
                return 2
            log_to_stderr(agent.log_level, DataDirectory(agent.data_dir.parent.parent).log_file(agent.name))
            return run(agent)
        case ["balancer", "--config", path]:
            from longshore.balancer_host import main as balance

            balancer = read_balancer(Path(path))
            log_to_stderr(balancer.log_level)
            return balance(balancer)
        case ["names", "--directory", path]:
            from longshore.agent.names.resolver import main as resolve

            log_to_stderr("info", Path(path) / "names.log")
            return resolve(Path(path))
        case _:
            print("usage: python -m longshore.main supervisor|server|agent --config FILE [--name AGENT]", file=sys.stderr)
            return 2


def _handed(asked: list[str]) -> str:
    return sys.stdin.readline().strip() if asked else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
