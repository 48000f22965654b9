"""`longshore reset`: back to an empty platform. A running one must be in dev mode; a stopped one loses its files."""

from __future__ import annotations

import shutil

from longshore.cli import presence
from longshore.cli.outcome import Failure
from longshore.cli.status import platform_of
from longshore.config import DataDirectory

#: what the authority's key is encrypted with hangs on these
_KEYS = ("keyring", "master-key", "master-key.next", "signing-key")


def reset_running(data: DataDirectory) -> None:
    state = presence.running_state(data)
    if not state.dev:
        raise Failure("only a platform started with --dev resets while it runs", "stop it first: longshore down && longshore reset")
    platform_of(state, data).reset()


def reset_stopped(data: DataDirectory) -> None:
    """Removes what the platform kept; the access key, the authority, the keys that open it and the instances' ids stay: profiles, trust
    and names hold."""
    if not data.credentials_file.exists():
        raise Failure(f"{data.root} is no data directory of Longshore", "name the right one with --data-dir")
    for path in data.root.iterdir():
        if path in (data.credentials_file, data.tls) or path.name in _KEYS:
            continue
        if path.name == "agents":
            _reset_agents(data)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _reset_agents(data: DataDirectory) -> None:
    for agent in (data.root / "agents").iterdir():
        for path in agent.iterdir():
            if path.name == "instance-id":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
