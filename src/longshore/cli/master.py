"""Where the master key comes from, as people say it: options of `up` and `keys rotate-master`, and a look whether it would do."""

from __future__ import annotations

from pathlib import Path

from longshore.cli.outcome import ExitCode, Failure
from longshore.config import DataDirectory
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


def check(environment: Environment, data: DataDirectory, given: Master | None = None) -> Master:
    """Where the master key comes from: it opens what is there. Nothing is changed, also where a server runs.

    Raises MasterKeyProblem, too, where what is given (or in the environment) opens nothing but the keyring knows of a key that does:
    whoever gives a key believes that everything is wrapped with that one.
    """
    from longshore.kit.keyring_file import KeyringFile  # brings a large library, which few commands need

    if environment.master_key:
        key_of_text(environment.master_key)
    file = KeyringFile(data.root, given, environment.master_key, without_secrets())
    if not file.exists:
        return file.given or Master()
    file.look()
    if file.passed_over is not None:
        raise file.passed_over
    return file.master


def refuse_another(environment: Environment, data: DataDirectory, given: Master | None) -> None:
    """Before a start that is told where the master key comes from. Raises Failure."""
    if given is None and not environment.master_key:
        return
    try:
        check(environment, data, given)
    except MasterKeyProblem as problem:
        raise Failure(problem.cause, problem.fix) from None


__all__ = ["MasterKeyProblem", "check", "refuse_another", "wanted_master_key"]
