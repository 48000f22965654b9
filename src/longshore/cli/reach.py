"""Which platform a command asks, and as whom: where AWS_ENDPOINT_URL names one, that, as whoever the environment says;
otherwise the one that runs here, as root. `--data-dir` means the latter."""

from __future__ import annotations

from pathlib import Path

from longshore.cli.client import Platform


def platform(data_dir: Path | None, region: str | None, patience_s: float) -> Platform:
    """`patience_s`: how long an answer may take. Raises Failure when nothing runs here."""
    from longshore.cli.ecr_login import find_access
    from longshore.cli.presence import running_state
    from longshore.cli.status import root_credentials
    from longshore.config import DataDirectory
    from longshore.environment import environment

    given = environment()
    if given.endpoint and data_dir is None:
        access = find_access(given)
        return Platform(
            access.endpoint,
            region or access.region,
            access.credentials,
            patience_s,
            ca_bundle=access.ca_bundle,
            session_token=access.session_token,
        )
    data = DataDirectory(data_dir.absolute() if data_dir else given.data_dir)
    state = running_state(data)
    return Platform(state.endpoint, region or state.region, root_credentials(data), patience_s, ca_bundle=state.ca_bundle)
