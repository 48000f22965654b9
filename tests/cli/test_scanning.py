"""What images are scanned with, as it is asked for at the start; and images as `longshore ecr sbom` names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from longshore.cli import layout
from longshore.cli.layout import SCANNERS, last_time
from longshore.cli.machine import Size
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.sbom import image_request
from longshore.config import Credentials, Scanning, write_platform
from longshore.environment import environment
from longshore.scanner.choose import CHOICES
from tests.cli.conftest import Home


def asked_for(home: Home, **wishes: object) -> Scanning:
    """What a start with these wishes is given, and leaves behind for the next."""
    platform = layout.platform(home.wishes(**wishes), Size(4, 8192), Credentials("AKIAEXAMPLE", "secret"), str, "haproxy", True)
    home.data.prepare()
    write_platform(home.data.platform_file, platform)
    assert platform.server is not None
    return platform.server.scanning


def test_the_database_and_the_scanner_are_as_last_time(home: Home) -> None:
    assert (last_time(home.data, None).vulnerability_database, last_time(home.data, None).scanner) == (None, "auto")
    database = Path("/srv/osv")
    given = asked_for(home, vulnerability_database=database, scanner="built-in")
    assert given == Scanning(vulnerability_database=database, scanner="built-in")
    last = last_time(home.data, None)
    assert (last.vulnerability_database, last.scanner) == (database, "built-in")


def test_scanners_that_there_are_none_of_are_refused(home: Home) -> None:
    with pytest.raises(Failure, match="'clair' is no scanner") as caught:
        layout.check_names(home.wishes(scanner="clair"))
    assert caught.value.code == ExitCode.USAGE
    assert SCANNERS == CHOICES


def test_up_takes_no_database_that_is_not_there(home: Home) -> None:
    done = home.longshore("up", "--vulnerability-database", "/nowhere/osv")
    assert (done.returncode, "/nowhere/osv" in done.stderr.replace("\n", "")) == (ExitCode.USAGE, True), done.stderr


def test_the_environment_says_it_too(tmp_path: Path) -> None:
    given = environment({"HOME": str(tmp_path), "LONGSHORE_VULNERABILITY_DATABASE": "osv", "LONGSHORE_SCANNER": "grype"})
    assert (given.vulnerability_database, given.scanner) == (Path.cwd() / "osv", "grype")
    without = environment({"HOME": str(tmp_path)})
    assert (without.vulnerability_database, without.scanner) == (None, None)


@pytest.mark.parametrize(
    ("image", "repository", "identifier"),
    [
        ("app/web", "app/web", {"imageTag": "latest"}),
        ("app/web:1.0", "app/web", {"imageTag": "1.0"}),
        ("app/web@sha256:ab", "app/web", {"imageDigest": "sha256:ab"}),
        ("app/web:1.0@sha256:ab", "app/web", {"imageDigest": "sha256:ab"}),
    ],
)
def test_images_are_named_as_docker_names_them(image: str, repository: str, identifier: dict[str, str]) -> None:
    assert image_request(image) == {"repositoryName": repository, "imageId": identifier}
