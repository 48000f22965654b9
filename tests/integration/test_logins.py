"""People who log in through a load balancer, on the real HAProxy and with real tokens."""

from __future__ import annotations

import re
import ssl
import time
from base64 import b64decode, b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from longshore.balancer.auth.sessions import Session, joined, opened, sealed, session_key, session_keys, set_cookies
from longshore.balancer.files import read
from longshore.balancer.render.auth import realm
from longshore.kit.keyring import Generation, Keyring
from longshore.services.elbv2.claims import Signer
from longshore.services.elbv2.model import LOAD_BALANCERS, RULES, LoadBalancer
from longshore.services.keys.resealing import SEALED, reseal_page
from tests.balancer import tls
from tests.balancer.lab import Lab, Upstream, fixed, forward, laboratory, paths
from tests.balancer.provider import SECRET, Browser, IdentityProvider, Page

pytestmark = pytest.mark.engine("haproxy")

COOKIE = "AWSELBAuthSessionCookie"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


@pytest.fixture
async def provider() -> AsyncIterator[IdentityProvider]:
    async with IdentityProvider() as provider:
        yield provider


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as browser:
        yield browser


async def guarded(lab: Lab, provider: IdentityProvider, **more: Any) -> tuple[LoadBalancer, str, Upstream]:
    """A load balancer whose `/app*` is for people who have logged in; where it is, and who answers there."""
    lb, upstream = await lab.load_balancer(), await lab.upstream("app")
    group = await lab.group()
    await lab.register(group, upstream)
    listener = await lab.listener(lb, fixed(200, "for everybody"))
    await lab.rule(listener, 10, [paths("/app*")], provider.action(**more), forward(group))
    await lab.healthy(group, upstream)
    await lab.settled()
    return lb, f"http://{lab.address()}:{lab.port}", upstream


def claims_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header, claims = (msgspec.json.decode(urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    return header, claims


async def test_whoever_logs_in_gets_to_where_they_wanted_with_who_they_are_told_to_the_target(
    lab: Lab, provider: IdentityProvider, browser: Browser
) -> None:
    lb, url, _ = await guarded(lab, provider, authentication_request_extra_params={"prompt": "login now"}, scope="openid email")
    assert (await browser.get(f"{url}/")).body == b"for everybody"
    page = await browser.get(f"{url}/app/a%20b?x=1&y=%2F")
    assert page.status == 302
    assert page.headers["Location"].startswith(f"{provider.url}/authorize?")
    asked = page.query
    assert asked["redirect_uri"] == f"{url}/oauth2/idpresponse"
    assert (asked["response_type"], asked["client_id"], asked["scope"], asked["prompt"]) == (
        "code",
        "client one",
        "openid email",
        "login now",
    )
    page = await browser.follow(page.headers["Location"])
    assert page.url == f"{url}/app/a%20b?x=1&y=%2F"
    assert page.seen["path"] == "/app/a%20b?x=1&y=%2F"
    headers = page.seen["headers"]
    assert headers["x-amzn-oidc-identity"] == "alice"
    assert headers["x-amzn-oidc-accesstoken"].startswith("access-") and headers["x-amzn-oidc-accesstoken"].endswith("|%")
    header, claims = claims_of(headers["x-amzn-oidc-data"])
    assert (claims["sub"], claims["email"], claims["iss"]) == ("alice", "alice@example.com", provider.url)
    assert (header["signer"], header["client"], header["iss"]) == (lb.arn, "client one", provider.url)
    signer = Signer(SECRET)
    assert header["kid"] == signer.kid
    text, _, signature = headers["x-amzn-oidc-data"].rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    key = load_pem_public_key(signer.public_pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.verify(der, text.encode(), ec.ECDSA(SHA256()))
    assert provider.asked == ["authorization_code"]
    assert (await browser.get(f"{url}/app")).seen["name"] == "app"
    assert provider.asked == ["authorization_code"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_provider_that_is_not_ours_lets_people_in(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    import oidc_provider_mock  # which warns of what it uses itself

    user = oidc_provider_mock.User(sub="bob", claims={"email": "bob@example.com", "name": "Bob"})
    with oidc_provider_mock.run_server_in_thread(user_claims=[user], require_nonce=True) as other:
        place = f"http://localhost:{other.server_port}"
        endpoints = {"authorization_endpoint": "oauth2/authorize", "token_endpoint": "oauth2/token", "user_info_endpoint": "userinfo"}
        _, url, _ = await guarded(
            lab, provider, issuer=place, scope="openid email", **{name: f"{place}/{path}" for name, path in endpoints.items()}
        )
        page = await browser.get(f"{url}/app")
        page = await browser.get(page.headers["Location"], "POST", data={"sub": "bob"})
        page = await browser.follow(page.headers["Location"])
    assert page.seen["headers"]["x-amzn-oidc-identity"] == "bob"
    assert claims_of(page.seen["headers"]["x-amzn-oidc-data"])[1]["email"] == "bob@example.com"


async def test_nobody_says_of_themselves_who_they_are(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    _, url, _ = await guarded(lab, provider, on_unauthenticated_request="allow")
    page = await browser.get(
        f"{url}/app",
        headers={
            "X-Amzn-Oidc-Identity": "root",
            "x-amzn-OIDC-data": "x",
            "X_Amzn_Oidc_Identity": "root",
            "x-amzn_oidc-Data": "x",
            "X-Longshore-Client": "9.9.9.9",
            "X-Other": "y",
        },
    )
    names = [name.replace("_", "-") for name in page.seen["headers"]]
    assert not [name for name in names if name.startswith(("x-amzn-oidc", "x-longshore"))]
    assert page.seen["headers"]["x-forwarded-for"] != "9.9.9.9"


async def test_who_has_not_logged_in_is_refused_or_let_through_as_the_rule_says(
    lab: Lab, provider: IdentityProvider, browser: Browser
) -> None:
    _, url, upstream = await guarded(lab, provider, on_unauthenticated_request="deny")
    page = await browser.get(f"{url}/app")
    assert page.status == 401
    assert upstream.asked == []
    assert provider.asked == []


async def test_sessions_go_on_while_nobody_is_there_to_log_anybody_in(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    _, url, _ = await guarded(lab, provider)
    await browser.follow(f"{url}/app")
    await lab.close(keep_running=True)
    try:
        assert (await browser.get(f"{url}/app/later")).seen["headers"]["x-amzn-oidc-identity"] == "alice"
        async with Browser() as stranger:
            assert (await stranger.get(f"{url}/app")).status == 503
    finally:
        await lab.open()
    async with Browser() as stranger:
        await lab.settled()
        assert (await stranger.follow(f"{url}/app")).status in (200, 503)


# ── what attackers try ──


async def test_a_session_that_we_have_not_made_or_that_is_over_is_none(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    lb, url, upstream = await guarded(lab, provider, on_unauthenticated_request="deny")
    config = provider.config()
    now = int(time.time())
    good = Session(realm(config), now + 60, now + 60, "eve", "token", "data")

    def cookies(session: Session, key: bytes) -> str:
        return "; ".join(one.partition(";")[0] for one in set_cookies(COOKIE, sealed(session, key), 0, is_secure=False))

    key = session_key(SECRET, lb.arn)
    attempts = {
        "another key": cookies(good, b"k" * 32),
        "another load balancer": cookies(good, session_key(SECRET, lb.arn + "x")),
        "another provider": cookies(msgspec.structs.replace(good, realm="0" * 24), key),
        "over": cookies(msgspec.structs.replace(good, ends_at=now - 1), key),
        "garbage": f"{COOKIE}-0=a.b.c",
        "empty": f"{COOKIE}-0=",
        "plain": f"{COOKIE}-0=1|{realm(config)}|9999999999|9999999999|eve|t|d|",
    }
    genuine = cookies(good, key)
    middle = genuine.rindex(".") + 5
    attempts["changed by a bit"] = genuine[:middle] + ("A" if genuine[middle] != "A" else "B") + genuine[middle + 1 :]
    for what, value in attempts.items():
        assert (await browser.get(f"{url}/app", headers={"Cookie": value})).status == 401, what
    assert upstream.asked == []
    page = await browser.get(f"{url}/app", headers={"Cookie": genuine})
    assert page.seen["headers"]["x-amzn-oidc-identity"] == "eve"


async def test_logins_outlast_a_rotation_of_the_keys_unless_they_are_to_end(
    tmp_path: Path, provider: IdentityProvider, browser: Browser
) -> None:
    keys = Keyring.of(SECRET)
    anew = dict(SEALED)[RULES]

    async def rotated(*generations: Generation) -> None:
        keys.replace(generations)
        await lab.store.transact(lambda tx: reseal_page(tx, RULES, anew, keys, None, 100))
        await lab.settled()

    async with laboratory(tmp_path / "haproxy", installation_secret=keys) as lab:
        _, url, upstream = await guarded(lab, provider)
        assert (await browser.follow(f"{url}/app")).status == 200
        asked, first = len(upstream.asked), keys.generations[0]
        second, third = Generation(2, b"2" * 32), Generation(3, b"3" * 32)
        await rotated(first, second)
        assert (await browser.get(f"{url}/app")).status == 200
        async with Browser() as other:
            assert (await other.follow(f"{url}/app")).status == 200
            assert len(upstream.asked) == asked + 2
            config = read(lab.balancer.places.config)
            for generation in (first, second):
                for key in session_keys(generation.secret, lab.store.list(LOAD_BALANCERS)[0].arn):
                    assert b64encode(key).decode() not in config
            await rotated(first.ended(), second.ended(), third)
            for one in (browser, other):
                # The worker of before answers once more where a connection was kept, and closes it.
                page = await one.get(f"{url}/app")
                assert page.status == 302 or page.headers["Connection"] == "close"
                assert (await one.get(f"{url}/app")).status == 302
                assert (await one.follow(f"{url}/app")).status == 200


async def test_nobody_guesses_the_tag_of_a_session_by_making_it_short(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    lb, url, upstream = await guarded(lab, provider, on_unauthenticated_request="deny")
    now = int(time.time())
    session = Session(realm(provider.config()), now + 60, now + 60, "alice", "token", "data")
    nonce, _, content = sealed(session, session_key(SECRET, lb.arn)).split(".")
    # Who has a session of their own knows where their name stands in it, and so makes another's of it.
    start = len(f"1|{session.realm}|{session.ends_at}|{session.due_at}|")
    raw = bytearray(b64decode(content))
    raw[start : start + 5] = (byte ^ was ^ wanted for byte, was, wanted in zip(raw[start : start + 5], b"alice", b"admin", strict=True))
    for guess in range(256):
        tag = b64encode(bytes([guess])).decode()
        cookie = f"{COOKIE}-0={nonce}.{tag}.{b64encode(raw).decode()}"
        assert (await browser.get(f"{url}/app", headers={"Cookie": cookie})).status == 401, guess
    assert upstream.asked == []


async def test_a_session_too_long_for_one_cookie_is_spread_over_several(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    _, url, _ = await guarded(lab, provider)
    provider.claims = {"groups": [f"group number {number}" for number in range(250)]}
    page = await browser.follow(f"{url}/app")
    assert len(claims_of(page.seen["headers"]["x-amzn-oidc-data"])[1]["groups"]) == 250
    shards = browser.named(COOKIE)
    assert len(shards) >= 2 and all(len(value) < 4000 for value in shards.values())
    provider.claims = {"about": "x" * 12_000}
    async with Browser() as other:
        assert (await other.follow(f"{url}/app")).status == 401


async def test_a_login_is_completed_only_by_the_browser_that_began_it(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    _, url, _ = await guarded(lab, provider)
    begun = await browser.get(f"{url}/app")
    back = (await browser.get(begun.headers["Location"])).headers["Location"]
    another = (await browser.get(begun.headers["Location"])).headers["Location"]
    async with Browser() as victim:
        assert (await victim.get(back)).status == 401
        # even where it has begun a login of its own
        own = await victim.get(f"{url}/app")
        assert (await victim.get(back)).status == 401
        mixed = re.sub("state=[^&]*", f"state={own.query['state']}", another)
        assert (await victim.get(mixed)).status in (401, 561)
        assert not victim.named(COOKIE)
    state = begun.query["state"]
    for wrong in ("", "x", state[:-4] + "AAAA", "é"):
        assert (await browser.get(f"{url}/oauth2/idpresponse", params={"code": "c", "state": wrong})).status == 401
    assert (await browser.get(f"{url}/oauth2/idpresponse?code=c")).status == 401
    assert (await browser.get(f"{url}/oauth2/idpresponse", params={"state": state})).status == 401
    assert (await browser.get(back, headers={"Host": "evil.test"})).status == 401
    assert (await browser.get(back)).status == 302
    # the code has been used
    assert (await browser.get(back)).status == 561


@pytest.mark.parametrize("path", ["//evil.test/app", "/app//evil.test", "/app/%0d%0aX-Evil:1", "/app?next=https://evil.test"])
async def test_nobody_is_sent_to_another_host_after_the_login(path: str, lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    lb, upstream = await lab.load_balancer(), await lab.upstream("app")
    group = await lab.group()
    await lab.register(group, upstream)
    await lab.listener(lb, provider.action(), forward(group))
    await lab.healthy(group, upstream)
    await lab.settled()
    host = f"{lab.address()}:{lab.port}"
    begun = await lab.ask(path, host=host)
    async with Browser() as one:
        one.cookies[host, "AWSALBAuthNonce"] = begun.cookies()["AWSALBAuthNonce"].partition(";")[0]
        back = await one.get(begun.header("Location") or "")
        page = await one.get(back.headers["Location"])
    assert page.status == 302
    assert page.headers["Location"] == f"http://{host}{path}"


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"id_header": {"alg": "none"}}, 401),
        ({"id_token": {"iss": "https://elsewhere.test"}}, 401),
        ({"id_token": {"aud": "another"}}, 401),
        ({"id_token": {"aud": ["client one", "another"], "azp": "another"}}, 401),
        ({"id_token": {"exp": 1_000}}, 401),
        ({"id_token": {"exp": None}}, 401),
        ({"id_token": {"nonce": "another"}}, 401),
        ({"id_token": {"nonce": None}}, 401),
        ({"id_token": {"sub": "mallory"}}, 561),
        ({"userinfo": {"email": "x"}}, 561),
        ({"userinfo": ["sub"]}, 561),
        ({"userinfo": {"sub": "al\r\nice"}, "sub": "al\r\nice"}, 561),
        ({"token_status": 500}, 561),
        ({"denies": "access_denied"}, 401),
        ({"denies": "server_error"}, 561),
    ],
)
async def test_what_a_provider_says_is_not_believed_blindly(
    wrong: dict[str, Any], status: int, lab: Lab, provider: IdentityProvider, browser: Browser
) -> None:
    _, url, upstream = await guarded(lab, provider)
    for name, value in wrong.items():
        setattr(provider, name, value)
    page = await browser.follow(f"{url}/app")
    assert page.status == status
    assert f"{status} " in page.body.decode()
    assert not browser.named(COOKIE)
    assert upstream.asked == []
    assert not any(name.lower().startswith("x-longshore") for name in page.headers)


async def test_a_provider_that_is_not_there_is_an_error_of_the_server(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    _, url, _ = await guarded(lab, provider)
    begun = await browser.get(f"{url}/app")
    back = (await browser.get(begun.headers["Location"])).headers["Location"]
    await provider.__aexit__()
    assert (await browser.get(back)).status == 500


async def test_everything_is_proved_over_tls(tmp_path: Path, browser: Browser) -> None:
    pair = tls.issued("localhost")
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "pair.pem").write_bytes(b"\n".join(pair))
    secure.load_cert_chain(tmp_path / "pair.pem")
    (tmp_path / "ca.pem").write_bytes(tls.authority().root_pem)
    options = {"installation_secret": SECRET, "authority": tmp_path / "ca.pem"}
    async with IdentityProvider(secure) as provider, laboratory(tmp_path / "haproxy", **options) as lab:
        lb, upstream = await lab.load_balancer(), await lab.upstream("app")
        group = await lab.group()
        await lab.register(group, upstream)
        arn = await tls.put_certificate(lab, "shop.test", secret=SECRET)
        await lab.listener(lb, provider.action(), forward(group), protocol="HTTPS", certificates=(arn,))
        await lab.healthy(group, upstream)
        await lab.settled()
        url = f"https://{lab.address()}:{lab.port}"
        page = await browser.follow(f"{url}/app")
        assert page.url == f"{url}/app"
        assert page.seen["headers"]["x-amzn-oidc-identity"] == "alice"
        assert page.seen["headers"]["x-forwarded-proto"] == "https"
        callback = await browser.get((await browser.get(f"{url}/app", headers={"Cookie": ""})).headers["Location"])
        assert callback.headers["Location"].startswith(f"{url}/oauth2/idpresponse?")
        await over(lab, lb, browser, provider)
        renewed = await browser.get(f"{url}/app")
        assert renewed.status == 200
        (first, *_) = [one for one in renewed.set_cookies if one.startswith(f"{COOKIE}-0")]
        assert first.endswith("; Path=/; HttpOnly; SameSite=None; Secure")


# ── sessions that are renewed ──


async def over(lab: Lab, lb: LoadBalancer, browser: Browser, provider: IdentityProvider) -> None:
    """Makes the access token of the browser's session one that has run out."""
    place = f"{lab.address()}:{lab.port}"
    key = session_key(SECRET, lb.arn)
    session = opened(joined(COOKIE, browser.named(COOKIE)), key)
    assert session is not None
    text = sealed(msgspec.structs.replace(session, due_at=int(time.time()) - 1), key)
    for one in set_cookies(COOKIE, text, 0, is_secure=False):
        name, _, rest = one.partition("=")
        if value := rest.partition(";")[0]:
            browser.cookies[place, name] = value


async def logged_in(lab: Lab, provider: IdentityProvider, browser: Browser, **more: Any) -> tuple[LoadBalancer, str, Page]:
    lb, url, _ = await guarded(lab, provider, **more)
    page = await browser.follow(f"{url}/app")
    assert page.status == 200
    return lb, url, page


async def test_an_access_token_that_is_over_is_renewed_on_the_way(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    lb, url, before = await logged_in(lab, provider, browser)
    await over(lab, lb, browser, provider)
    page = await browser.get(f"{url}/app/form", "POST", data=b"a body", headers={"X-Forwarded-For": "9.8.7.6"})
    assert page.status == 200
    assert (page.seen["method"], page.seen["path"]) == ("POST", "/app/form")
    headers = page.seen["headers"]
    assert headers["content-length"] == "6"
    assert headers["x-amzn-oidc-accesstoken"] != before.seen["headers"]["x-amzn-oidc-accesstoken"]
    assert headers["x-forwarded-for"].startswith("9.8.7.6, ") and headers["x-forwarded-for"].count(",") == 1
    assert not [name for name in headers if name.startswith("x-longshore")]
    assert any(one.startswith(COOKIE) for one in page.set_cookies)
    assert provider.asked == ["authorization_code", "refresh_token"]
    assert (await browser.get(f"{url}/app")).status == 200
    assert provider.asked == ["authorization_code", "refresh_token"]


async def test_a_session_the_provider_does_not_renew_is_over(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    lb, url, _ = await logged_in(lab, provider, browser)
    await over(lab, lb, browser, provider)
    provider.refuses_refresh = True
    page = await browser.get(f"{url}/app")
    assert page.status == 302
    assert page.headers["Location"].startswith(f"{provider.url}/authorize?")


async def test_a_session_goes_on_while_its_provider_is_away(lab: Lab, provider: IdentityProvider, browser: Browser) -> None:
    lb, url, _ = await logged_in(lab, provider, browser)
    await over(lab, lb, browser, provider)
    await provider.__aexit__()
    page = await browser.get(f"{url}/app")
    assert page.seen["headers"]["x-amzn-oidc-identity"] == "alice"
