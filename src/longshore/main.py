"""Where a process of Longshore begins: `python -m longshore.main ROLE CONFIG-FILE`.

Roles: the supervisor starts and watches the others. The server is everything behind the one port. An agent is one
container instance. The resolver, started by agents, answers their containers' questions for names. Each imports only what it needs, so
that an agent stays small and the supervisor smaller.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from longshore.config import read_balancer, read_platform


def main(arguments: list[str]) -> int:
    match arguments:
        case ["supervisor", "--config", path]:
            from longshore.supervisor import supervise

            return supervise(Path(path))
        case ["server", "--config", path]:
            from longshore.server import serve

            server = read_platform(Path(path)).server
            if server is None:
                print("this configuration has no server", file=sys.stderr)
                return 2
            _log_to_stderr(server.log_level)
            return serve(server)
        case ["agent", "--config", path, "--name", name]:
            from longshore.agent.run import main as run

            agent = next((agent for agent in read_platform(Path(path)).agents if agent.name == name), None)
            if agent is None:
                print(f"this configuration has no agent named {name}", file=sys.stderr)
                return 2
            _log_to_stderr(agent.log_level)
            return run(agent)
        case ["balancer", "--config", path]:
            from longshore.balancer_host import main as balance

            balancer = read_balancer(Path(path))
            _log_to_stderr(balancer.log_level)
            return balance(balancer)
        case ["names", "--directory", path]:
            from longshore.agent.names.resolver import main as resolve

            _log_to_stderr("info")
            return resolve(Path(path))
        case _:
            print("usage: python -m longshore.main supervisor|server|agent --config FILE [--name AGENT]", file=sys.stderr)
            return 2


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
