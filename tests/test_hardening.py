"""Rules that the source keeps everywhere: how secrets are compared, and what is not used at all.

Who adds a comparison that is none of secrets, although it reads like one, says so in `NOT_SECRET` with the reason.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: path below src/longshore -> text; without what is generated
SOURCES = {
    str(path.relative_to(ROOT / "src/longshore")): path.read_text()
    for path in sorted((ROOT / "src/longshore").rglob("*.py"))
    if "shapes" not in path.parts
}

#: what is in the name of something that others must not be able to guess
SECRET = {"secret", "secrets", "token", "signature", "password", "seal", "mac", "hmac", "binding", "nonce", "otp", "proof", "code"}
#: (file, comparison) -> why its time tells nothing
NOT_SECRET = {
    (
        "aws/pagination.py",
        'urlsafe_b64encode(raw).decode().rstrip("=") != token',
    ): "whether it is written as we write it; its seal comes next",
    ("balancer/auth/tokens.py", 'claims.get("nonce") != nonce'): "inside a token whose signature was verified",
    ("kept.py", "one.secret == found"): "two files of our own at the start",
    ("kit/private_keys.py", "password != newest"): "two keys of our own: is it the current one?",
    ("services/acm/operations/account.py", "known.idempotency_token == request.idempotency_token"): "clients invent it for themselves",
    ("services/ecs/operations/services.py", "there.client_token == token"): "clients invent it for themselves",
    ("services/ecs/operations/task_sets.py", "made.client_token != token"): "clients invent it for themselves",
    ("services/ecs/operations/tasks.py", "task.spec.client_token != token"): "clients invent it for themselves",
    ("services/ecs/placement/tally.py", "self.codes[row] != code"): "a number for a word in a column",
    (
        "services/iam/operations/login_profiles.py",
        "kept.password != known.password",
    ): "two hashes of our own: did somebody change it meanwhile?",
    ("services/iam/sign_in.py", "kept.password == judged.password"): "two hashes of our own: did somebody change it meanwhile?",
}

#: where what others send is compared with what only we know: each with hmac.compare_digest
COMPARED = {
    "aws/pagination.py": "seals of page tokens",
    "aws/sigv4.py": "signatures, and session tokens",
    "balancer/auth/logins.py": "whose browser a login belongs to",
    "gateway/measuring.py": "the secret key as the password of the metrics page",
    "registry/uploads.py": "seals of uploads",
    "services/ecr/layers/links.py": "signatures of links to layers",
    "services/ecr/tokens.py": "seals of the registry's passwords",
    "services/ecs/exec/rules.py": "tokens of sessions into containers",
    "services/ecs/machines/sessions.py": "codes of this machine's own instances",
    "services/iam/devices.py": "codes of MFA devices",
    "services/iam/passwords.py": "hashes of passwords",
}


@cache
def comparisons() -> list[tuple[str, str, int]]:
    """Those of secrets by == and !=: (file, source, line)."""
    return [
        (file, ast.get_source_segment(source, node) or "", node.lineno)
        for file, source in SOURCES.items()
        if _MAY_COMPARE.search(source)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Compare) and is_of_secrets(node)
    ]


#: files without are not looked at any closer
_MAY_COMPARE = re.compile(rf"{'|'.join(sorted(SECRET))}", re.IGNORECASE)


def is_of_secrets(node: ast.Compare) -> bool:
    sides = (node.left, *node.comparators)
    if not any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops):
        return False
    if any(isinstance(side, ast.Constant) for side in sides):
        return False  # an error's code, a token of a grammar: written down here for everybody
    names = [side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else "" for side in sides]
    return any(SECRET & set(name.lower().split("_")) for name in names)


def test_secrets_are_compared_in_a_time_that_does_not_tell_where_they_differ() -> None:
    found = [f"{file}:{line} {text}" for file, text, line in comparisons() if (file, text) not in NOT_SECRET]
    assert not found, "use hmac.compare_digest, or say in NOT_SECRET why this is no secret"


def test_what_is_said_to_be_no_secret_is_still_there() -> None:
    assert set(NOT_SECRET) <= {(file, text) for file, text, _ in comparisons()}


def test_whoever_checks_a_secret_is_known_and_does_it_so() -> None:
    found = {file for file, source in SOURCES.items() if "hmac.compare_digest(" in source}
    assert found >= set(COMPARED)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("given_token != self._session_token", True),
        ("a.signature == b", True),
        ("code == 'X'", False),
        ("tokens == 3", False),
        ("a == b", False),
    ],
)
def test_a_comparison_of_secrets_would_be_found(text: str, is_one: bool) -> None:
    (compare,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Compare)]
    assert is_of_secrets(compare) is is_one


#: what would let data become code, or the system's shell read it, or a parser grow what it reads
FORBIDDEN = {
    r"\bpickle\b|\bmarshal\b|\bshelve\b|\bdill\b": "data that becomes code",
    r"(?<![\w.])(eval|exec|compile)\(": "data that becomes code",
    r"\byaml\.": "a parser that makes objects",
    r"shell=True|os\.system|os\.popen": "the system's shell",
    r"CERT_NONE|check_hostname = False|verify=False|ssl=False|_create_unverified_context": "TLS without knowing with whom",
    r"tempfile\.mktemp": "names that somebody else may take first",
    r"^(import|from) random\b": "numbers that can be guessed: kit/ids.py has those that cannot",
}
#: what -> file -> why it may
EXCEPTIONS = {
    "TLS without knowing with whom": {
        "balancer/probe.py": "health checks, which ask whatever certificate a target shows, as AWS's do",
        "services/sts/web_identity/thumbprints.py": "looks at certificates that are then compared with thumbprints",
    },
    "numbers that can be guessed: kit/ids.py has those that cannot": {
        "kit/ids.py": "the twin for tests and transcripts",
        "cli/elb_copy/command.py": "a mark that tells names apart",
    },
}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_nothing_here_uses(pattern: str) -> None:
    look = re.compile(pattern, re.MULTILINE)
    found = [
        f"{file}: {match.group()}"
        for file, source in SOURCES.items()
        for match in look.finditer(source)
        if file not in EXCEPTIONS.get(FORBIDDEN[pattern], {})
    ]
    assert not found, FORBIDDEN[pattern]


def test_nobody_who_serves_reads_xml() -> None:
    """So there is no entity to expand. The command line reads answers of the platform it talks to."""
    look = re.compile(r"^\s*(from|import) (xml|lxml|defusedxml|pyexpat)\b", re.MULTILINE)
    assert {file for file, source in SOURCES.items() if look.search(source)} == {"cli/query.py"}
