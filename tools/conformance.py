"""Runs the official conformance program of the OCI distribution specification against a fresh server, and prints its counts.

    OCI_CONFORMANCE=/path/to/conformance make conformance

The program is the specification's own (the folder `conformance` of github.com/opencontainers/distribution-spec, one Go program);
it is not part of this project. Everything that it can test is turned on, also what is off by default, and both the released
specification (1.1) and the one in development are asked for. The server is started with `--incomplete-images`, because sparse manifests
include an image that lacks a layer, which is refused otherwise. Other OCI_* variables are handed on, so one part can be looked at alone
(OCI_FILTER_TEST) or its requests be logged (OCI_LOG=debug). Exits with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import base64
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

REPOSITORIES = ("conformance/repo1", "conformance/repo2")
VERSIONS = ("1.1", "dev")
#: what the program leaves out unless it is asked for
ALSO = (
    "OCI_API_BLOBS_DIGEST_HEADER",
    "OCI_API_BLOBS_UPLOAD_CANCEL",
    "OCI_API_MANIFESTS_DIGEST_HEADER",
    "OCI_API_MANIFESTS_TAG_PARAM",
    "OCI_DATA_SPARSE",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=None, metavar="DIRECTORY", help="keep the program's reports there")
    parser.add_argument("--version", action="append", choices=VERSIONS, help="of the specification; both unless given")
    given = parser.parse_args()
    program = os.environ.get("OCI_CONFORMANCE", "")
    if not program:
        sys.exit("conformance: OCI_CONFORMANCE must name the conformance program (built from opencontainers/distribution-spec)")
    if not os.access(program, os.X_OK) or Path(program).is_dir():
        sys.exit(f"conformance: {program} is no program that can be run")
    with tempfile.TemporaryDirectory(prefix="longshore-conformance-") as name:
        results = given.results or Path(name) / "results"
        failed = [version for version in given.version or VERSIONS if not _passes(program, version, Path(name), results)]
    if failed:
        print(f"conformance: not everything passed of {' and '.join(failed)}")
    return 1 if failed else 0


def _passes(program: str, version: str, directory: Path, results: Path) -> bool:
    """Whether the program, run against a server of its own, found nothing wrong."""
    from bench.installation import server_alone

    place = directory / version
    place.mkdir()
    reports = results / version
    with server_alone(place, incomplete_images=True) as (running, _):
        client = running.client()
        for repository in REPOSITORIES:
            client.ecr("CreateRepository", repositoryName=repository)
        token = client.ecr("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
        client.close()
        user, _, password = base64.b64decode(token).decode().partition(":")
        environment = {
            **os.environ,
            "OCI_VERSION": version,
            "OCI_REGISTRY": running.registry,
            "OCI_TLS": "disabled",
            "OCI_REPO1": REPOSITORIES[0],
            "OCI_REPO2": REPOSITORIES[1],
            "OCI_USERNAME": user,
            "OCI_PASSWORD": password,
            "OCI_RESULTS_DIR": str(reports),
            **{name: os.environ.get(name, "true") for name in ALSO},
        }
        reports.mkdir(parents=True, exist_ok=True)
        ran = subprocess.run([program], env=environment, capture_output=True, text=True, check=False, cwd=place)
        errors = [line for line in (place / "server.log").read_text().splitlines() if "Traceback" in line or " ERROR " in line]
    passed = ran.returncode == 0 and not errors
    print(f"── distribution specification {version}")
    print(ran.stdout.rstrip() if not passed else _counts(ran.stdout))
    print(ran.stderr.rstrip())
    for line in errors:
        print(f"server: {line}")
    return passed


def _counts(output: str) -> str:
    """What was skipped, and the tables at the end; all of the output when there are none."""
    skipped = "".join(f"{line.strip()}\n" for line in output.splitlines() if line.endswith(": Skip"))
    _, found, tables = output.partition("OCI Conformance Result")
    return f"{skipped}{found}{tables}".rstrip() if found else output.rstrip()


if __name__ == "__main__":
    sys.exit(main())
