"""Where the master key comes from, as people say it: options of `up` and `keys rotate-master`, and a look whether it would do."""

from __future__ import annotations

from pathlib import Path

from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DataDirectory, read_platform
from longshore.environment import Environment, without_secrets
from longshore.kit.master_key import Master, MasterKeyProblem, key_of_text


def wanted_master_key(file: Path | None, command: str | None) -> Master | None:
    """None where nobody said. Raises Failure."""
    if file is not None and command is not None:
        raise Failure("the master key comes from a file or from a command, not from both", "give one of them", ExitCode.USAGE)
    if file is not None:
        return Master("file", file=str(file.absolute()))
    if command is not None:
        if not command.strip():
            raise Failure("the command for the master key is empty", "give one: --master-key-command 'PROGRAM'", ExitCode.USAGE)
        return Master("command", command=command)
    return None


def check(environment: Environment, data: DataDirectory) -> Master:
    """Where the master key comes from: it opens what is there. Raises MasterKeyProblem; nothing is changed."""
    from longshore.kit.keyring_file import KeyringFile  # brings a large library, which few commands need

    try:
        server = read_platform(data.platform_file).server
        given = server.master_key if server is not None else None
    except (OSError, ValueError):
        given = None
    if environment.master_key:
        key_of_text(environment.master_key)
    file = KeyringFile(data.root, given, environment.master_key, without_secrets())
    if not file.exists:
        return file.given or Master()
    file.open()
    return file.master


__all__ = ["MasterKeyProblem", "check", "wanted_master_key"]
