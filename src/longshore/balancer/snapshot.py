"""What the load balancers are to be: everything that HAProxy's configuration is made of. Pure."""

from __future__ import annotations

import msgspec

from longshore.services.elbv2.model import Listener, LoadBalancer, Rule, Target, TargetGroup

LOCALHOST = "127.0.0.1"


class SigningKey(msgspec.Struct, frozen=True):
    """A public key of whoever issues tokens."""

    #: what tokens call it; empty for one without a name
    kid: str
    pem: bytes


class Proof(msgspec.Struct, frozen=True):
    """A certificate that a listener shows, as far as can be told without its key, which stays sealed until it is written."""

    arn: str
    #: another one for each change of the certificate, its chain or its key
    digest: str = ""
    #: host names that it is good for, `*.example.com` among them
    names: tuple[str, ...] = ()
    not_after: float = 0.0
    #: why it cannot be shown; empty when it can
    problem: str = ""


class Trust(msgspec.Struct, frozen=True):
    """Whom clients' certificates are to come from, in PEM."""

    authorities: bytes
    #: lists of revoked certificates; empty: none
    revocations: bytes = b""


class Front(msgspec.Struct, frozen=True):
    """One listener: where it listens, and what it does with whom."""

    load_balancer: LoadBalancer
    listener: Listener
    #: in order of their priorities
    rules: tuple[Rule, ...]
    address: str
    #: the listener's port, or beyond the offset where ports below 1024 are not allowed
    port: int
    #: the load balancer's address for containers; "" where it has none
    link: str = ""
    #: seals the sessions of people who have logged in: 32 bytes in base64; empty where none are asked to
    session_key: str = ""
    #: what sealed those before, and opens them still; the newest first
    older_session_keys: tuple[str, ...] = ()
    #: JWKS endpoint -> what it published last; only those that the rules name
    token_keys: dict[str, tuple[SigningKey, ...]] = {}
    #: the default one first; none where there is no TLS
    proofs: tuple[Proof, ...] = ()
    #: None where clients' certificates are not verified, or nothing is known to verify them with
    trust: Trust | None = None
    #: another load balancer forwards to it, and says whose each connection is
    is_behind: bool = False
    #: ARN of a target group -> (count, percentage) of healthy targets below which all of its targets get requests; only of those
    #: groups for which that is not (1, 0)
    fewest: dict[str, tuple[int, int]] = {}
    #: ARNs of rules that keep people out and cannot be served: whoever comes as far as one of them gets nothing at all
    closed: frozenset[str] = frozenset()

    @property
    def is_http(self) -> bool:
        return self.listener.protocol in ("HTTP", "HTTPS")

    @property
    def is_tls(self) -> bool:
        """Whether TLS ends here."""
        return self.listener.protocol in ("HTTPS", "TLS")

    @property
    def fails_open(self) -> bool:
        """Whether all targets get requests while none of them is healthy. A Classic load balancer answers by itself then."""
        return self.load_balancer.type != "classic"

    @property
    def client_certificates(self) -> str:
        """off, passthrough (asked for and handed on) or verify."""
        asked = self.listener.mutual_authentication
        return (asked.mode if asked else None) or "off"

    @property
    def problem(self) -> str:
        """Why it cannot listen at all, whatever HAProxy thinks of it; empty when it can."""
        if not self.is_tls:
            return ""
        if not self.proofs:
            return "it has no certificate"
        if self.proofs[0].problem:
            return f"certificate {self.proofs[0].arn}: {self.proofs[0].problem}"
        if self.client_certificates == "verify" and self.trust is None:
            return "its trust store has no certificates of authorities"
        return ""


def keeps_out(rule: Rule) -> bool:
    """Whether some of those it is for get less than they would by the rules after it: it asks who they are, or turns them away."""
    last = rule.actions[-1].fixed_response_config if rule.actions else None
    return len(rule.actions) > 1 or (last is not None and last.status_code[:1] in ("4", "5"))


class Pool(msgspec.Struct, frozen=True):
    """A target group that a listener or rule forwards to, with its targets (those that leave, too)."""

    group: TargetGroup
    load_balancer: LoadBalancer
    targets: tuple[Target, ...]


class Snapshot(msgspec.Struct, frozen=True):
    load_balancers: tuple[LoadBalancer, ...] = ()
    fronts: tuple[Front, ...] = ()
    pools: tuple[Pool, ...] = ()

    def leaving_out(self, arns: set[str]) -> Snapshot:
        """Without those rules, listeners and target groups; rules that keep people out stand there closed."""
        fronts = [front for front in self.fronts if front.listener.arn not in arns]
        return Snapshot(
            load_balancers=self.load_balancers,
            fronts=tuple(
                msgspec.structs.replace(
                    front,
                    rules=tuple(rule for rule in front.rules if rule.arn not in arns or keeps_out(rule)),
                    closed=frozenset(rule.arn for rule in front.rules if rule.arn in arns and keeps_out(rule)),
                )
                for front in fronts
            ),
            pools=tuple(pool for pool in self.pools if pool.group.arn not in arns),
        )
