"""Tokens are good only with a key of their issuer's, used as that key is used."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384
from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.jose import MOST_TRIED, BadKeySet, BadToken, decoded, encoded, is_signed_by, keys_in, read
from tests.services.sts.idp import ALGORITHMS, SigningKey, unsigned, with_public_key_as_secret

CLAIMS = {"sub": "alice"}


def key_set(*keys: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"keys": keys})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("told", [{}, {"alg": None}, {"use": None}, {"key_ops": ["verify"]}])
def test_each_algorithm_is_checked_with_its_key(algorithm: str, told: dict[str, Any]) -> None:
    key = SigningKey(algorithm=algorithm)
    keys = keys_in(key_set(key.jwk(**told)))
    token = read(key.token(CLAIMS))
    assert is_signed_by(token, keys) and token.claims == CLAIMS
    other = keys_in(key_set(SigningKey(algorithm=algorithm, number=1).jwk()))
    assert not is_signed_by(token, other)
    changed = token._replace(signed=token.signed[:-1] + bytes([token.signed[-1] ^ 1]))
    assert not is_signed_by(changed, keys)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("claimed", [*ALGORITHMS, "none", "None", "HS256", "", "RS1", "ES256K"])
def test_a_token_cannot_choose_another_algorithm_than_its_keys(algorithm: str, claimed: str) -> None:
    key = SigningKey(algorithm=algorithm)
    token = read(key.token(CLAIMS, alg=claimed))
    assert is_signed_by(token, keys_in(key_set(key.jwk()))) is (claimed == algorithm)
    # Where the set leaves it open the signature itself must be of that kind.
    assert is_signed_by(token, keys_in(key_set(key.jwk(alg=None)))) is (claimed == algorithm)


def test_a_key_that_says_what_it_signs_with_signs_with_nothing_else() -> None:
    key, other = SigningKey(algorithm="RS256"), SigningKey(algorithm="RS512")
    token = read(other.token(CLAIMS))  # the same key, really used so
    assert not is_signed_by(token, keys_in(key_set(key.jwk())))
    assert is_signed_by(token, keys_in(key_set(key.jwk(alg=None))))


def test_a_signature_over_one_curve_is_none_over_another() -> None:
    key = SigningKey(algorithm="ES256")
    text = ".".join(encoded(msgspec.json.encode(part)) for part in ({"alg": "ES384", "kid": "one"}, CLAIMS))
    r, s = decode_dss_signature(key.private.sign(text.encode(), ec.ECDSA(SHA384())))
    token = read(f"{text}.{encoded(r.to_bytes(48, 'big') + s.to_bytes(48, 'big'))}")
    assert not is_signed_by(token, keys_in(key_set(key.jwk(alg=None))))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_neither_no_signature_nor_a_mac_with_the_public_key_is_taken(algorithm: str) -> None:
    key = SigningKey(algorithm=algorithm)
    keys = keys_in(key_set(key.jwk(), key.jwk(alg=None), key.jwk(alg="HS256"), key.jwk(alg="none")))
    for text in (unsigned(CLAIMS), unsigned(CLAIMS, "nOnE"), unsigned(CLAIMS, ""), with_public_key_as_secret(key, CLAIMS)):
        assert not is_signed_by(read(text), keys)
    secret = {"kty": "oct", "kid": "one", "k": encoded(b"secret"), "alg": "HS256"}
    assert keys_in(key_set(secret)) == ()


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "another"},
        {"kid": ""},
        {"kid": 7},
        {"kid": ["one"]},
        {"kid": "one" * 100},
        {"crit": ["exp"]},
        {"crit": []},
        {"alg": 5},
        {"alg": None},
    ],
)
def test_headers_that_ask_for_something_else_are_refused(header: dict[str, Any]) -> None:
    key = SigningKey()
    assert not is_signed_by(read(key.token(CLAIMS, **header)), keys_in(key_set(key.jwk())))


def test_a_key_that_a_token_brings_along_is_not_looked_at() -> None:
    own, mine = SigningKey(), SigningKey(number=1)
    keys = keys_in(key_set(own.jwk()))
    for header in ({"jwk": mine.jwk()}, {"jku": "https://evil.example.com/keys"}, {"x5u": "https://evil.example.com"}):
        assert not is_signed_by(read(mine.token(CLAIMS, **header)), keys)
        assert is_signed_by(read(own.token(CLAIMS, **header)), keys)


def test_a_token_that_names_no_key_is_tried_with_all() -> None:
    one, two = SigningKey("one"), SigningKey("two", number=1)
    token = read(two.token(CLAIMS, kid=None))
    assert is_signed_by(token, keys_in(key_set(one.jwk(), two.jwk())))
    assert not is_signed_by(token, keys_in(key_set(one.jwk())))


@pytest.mark.parametrize(
    "jwk",
    [
        SigningKey().jwk(use="enc"),
        SigningKey().jwk(key_ops=["sign"]),
        SigningKey().jwk(kty="EC"),
        SigningKey().jwk(n="AQAB"),
        SigningKey().jwk(n=None),
        SigningKey().jwk(e=encoded(b"\x01" * 9)),
        SigningKey().jwk(e=encoded(b"\x02")),
        SigningKey(bits=1024).jwk(),
        SigningKey().jwk(n=encoded(b"\xff" * 1100)),
        SigningKey().jwk(kid="x" * 300),
        SigningKey().jwk(kid="a\nb"),
        SigningKey(algorithm="ES256").jwk(crv="P-384"),
        SigningKey(algorithm="ES256").jwk(crv="secp256k1"),
        SigningKey(algorithm="ES256").jwk(x=encoded(b"\x01" * 32)),
        SigningKey(algorithm="EdDSA").jwk(x=encoded(b"\x01")),
        SigningKey(algorithm="EdDSA").jwk(crv="X25519"),
        {"kty": "RSA"},
        {},
        [],
        "key",
        None,
    ],
)
def test_keys_that_cannot_be_used_are_passed_over(jwk: Any) -> None:
    good = SigningKey("good")
    assert [key.kid for key in keys_in(key_set(jwk, good.jwk()))] == ["good"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"keys":1}', b"\xff", b'{"keys":' + b"[" * 50_000, key_set(*[{}] * 201)])
def test_what_is_no_key_set_is_refused(content: bytes) -> None:
    with pytest.raises(BadKeySet):
        keys_in(content)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "e30.e30", "e30.e30.e30.e30", "e30.W10.", "W10.e30.", "e30.e30.é", "e30.e30.=", "e30.+w.x"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        read(text)


def test_deep_json_is_refused_and_nothing_breaks() -> None:
    with pytest.raises(BadToken):
        read(f"{encoded(b'{}')}.{encoded(b'[' * 60_000)}.")


@given(st.text(max_size=60) | st.builds(lambda parts: ".".join(map(encoded, parts)), st.lists(st.binary(max_size=30), max_size=4)))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    try:
        token = read(text)
    except BadToken:
        return
    assert not is_signed_by(token, keys_in(key_set(SigningKey().jwk())))


@given(st.binary(max_size=100))
def test_base64_comes_back(content: bytes) -> None:
    assert decoded(encoded(content)) == content


@pytest.mark.parametrize("kid", ["one", None])
def test_a_token_is_checked_with_a_few_keys_however_many_there_are(kid: str | None) -> None:
    signing, others = SigningKey(), [SigningKey(number=1).jwk(kid="one")] * 50
    elliptic = [SigningKey(algorithm="ES256").jwk(kid="one")] * 50  # no key for that algorithm
    token = read(signing.token(CLAIMS, kid=kid))
    assert is_signed_by(token, keys_in(key_set(*elliptic, *others[: MOST_TRIED - 1], signing.jwk())))
    assert not is_signed_by(token, keys_in(key_set(*others[:MOST_TRIED], signing.jwk())))
