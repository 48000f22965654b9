"""What LongshoreTestRequest answers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AwsError
from longshore.services.elbv2.model import TARGETS, Target, TargetHealth
from longshore.services.elbv2.operations.testing import try_request
from longshore.services.elbv2.testing_shapes import RequestInput, RequestOutput
from tests.services.ec2.wire import Cloud


class Site:
    def __init__(self, cloud: Cloud, lb: dict[str, Any], group: dict[str, Any], listener: dict[str, Any]) -> None:
        self.cloud = cloud
        self.lb = lb
        self.group_arn: str = group["TargetGroupArn"]
        self.listener_arn: str = listener["ListenerArn"]

    async def rule(self, priority: int, conditions: list[dict[str, Any]], action: dict[str, Any] | None = None, **more: Any) -> None:
        actions = [action or {"Type": "forward", "TargetGroupArn": self.group_arn}]
        await self.cloud.elb("CreateRule", ListenerArn=self.listener_arn, Priority=priority, Conditions=conditions, Actions=actions, **more)

    async def ask(self, url: str, **more: Any) -> RequestOutput:
        asked = msgspec.convert({"LoadBalancerArn": self.lb["LoadBalancerArn"], "Url": url, **more}, RequestInput)
        return await try_request(self.cloud.call, asked)

    async def refusal(self, url: str, **more: Any) -> str:
        with pytest.raises(AwsError) as raised:
            await self.ask(url, **more)
        return raised.value.wire("query")[0]


@pytest.fixture
async def site() -> Site:
    cloud = Cloud()
    lb, group = await cloud.load_balancer(), await cloud.target_group()
    return Site(cloud, lb, group, await cloud.listener(lb, group))


PATH = {"Field": "path-pattern", "Values": ["/api/*"]}
HEADER = {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-Kind", "Values": ["blue", "gr?en"]}}
QUERY = {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2*"}]}}
SOURCE = {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}


async def test_every_rule_is_told_with_the_conditions_that_failed(site: Site) -> None:
    await site.rule(10, [PATH, HEADER, SOURCE])
    await site.rule(20, [PATH, QUERY])
    await site.rule(30, [PATH])
    found = await site.ask("/api/x?a=1&V=22", Headers=[{"Name": "x-kind", "Value": "GREEN"}])
    assert [(rule.priority, rule.matches, rule.is_chosen) for rule in found.rules] == [
        ("10", "false", False),
        ("20", "true", True),
        ("30", "true", False),
        ("default", "true", False),
    ]
    assert [(one.field, one.holds, one.reason) for one in found.rules[0].conditions] == [
        ("path-pattern", "true", "/api/*"),
        ("http-header", "true", "gr?en"),
        ("source-ip", "false", "127.0.0.1"),
    ]
    assert (await site.ask("/api/x", Headers=[{"Name": "x-kind", "Value": "blue"}], SourceIp="10.1.2.3")).rules[0].is_chosen
    assert (await site.ask("/")).rules[-1].is_chosen


async def test_where_it_would_go_is_told_with_who_is_healthy_there(site: Site) -> None:
    found = await site.ask("/")
    assert (found.actions, found.status_code, found.problem) == (("forward",), 503, "no targets are registered")
    healthy = Target(site.group_arn, "10.0.0.1", 80, 0.0, "10.0.0.1", health=TargetHealth("healthy"))
    leaving = msgspec.structs.replace(healthy, id="10.0.0.2", deregistered_at=1.0)
    ill = msgspec.structs.replace(healthy, id="10.0.0.3", health=TargetHealth("unhealthy"))
    await site.cloud.store.transact(lambda tx: [tx.put(TARGETS, one) for one in (healthy, leaving, ill)])
    await site.cloud.elb(
        "ModifyTargetGroupAttributes", TargetGroupArn=site.group_arn, Attributes=[{"Key": "stickiness.enabled", "Value": "true"}]
    )
    found = await site.ask("/")
    (group,) = found.target_groups
    assert (group.weight, group.targets, group.healthy_targets, group.stickiness) == (1, 2, 1, "AWSALB for 86400 s")
    assert (found.status_code, found.problem) == (0, "")


async def test_redirects_and_transforms_are_worked_out(site: Site) -> None:
    config = {"Protocol": "HTTPS", "Port": "443", "Host": "new.#{host}", "StatusCode": "HTTP_301"}
    await site.rule(10, [PATH], {"Type": "redirect", "RedirectConfig": config})
    rewrite = {"Rewrites": [{"Regex": "^/old/(\\w+)", "Replace": "/$1"}]}
    old = {"Field": "path-pattern", "Values": ["/old/*"]}
    await site.rule(20, [old], Transforms=[{"Type": "url-rewrite", "UrlRewriteConfig": rewrite}])
    found = await site.ask("/api/x?q=1", Headers=[{"Name": "Host", "Value": "Shop.test:80"}])
    assert (found.status_code, found.location) == (301, "https://new.shop.test:443/api/x?q=1")
    found = await site.ask("/old/thing/1?x=/old/y")
    assert (found.path, found.host) == ("/thing/1?x=/old/y", "")


async def test_a_host_is_told_where_a_transform_makes_another_of_it(site: Site) -> None:
    rewrite = {"Rewrites": [{"Regex": "^(.*)\\.example$", "Replace": "$1.test"}]}
    await site.rule(10, [PATH], Transforms=[{"Type": "host-header-rewrite", "HostHeaderRewriteConfig": rewrite}])
    found = await site.ask("/api/x", Headers=[{"Name": "Host", "Value": "shop.example"}])
    assert (found.host, found.path) == ("shop.test", "")
    found = await site.ask("/api/x", Headers=[{"Name": "Host", "Value": "shop.org"}])
    assert (found.host, found.path) == ("", "")


async def test_an_expression_that_cannot_be_told_is_said_to_be_so(site: Site) -> None:
    regex = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/a(?=b)"]}}
    with pytest.raises(AwsError):
        await site.rule(10, [regex])
    await site.rule(10, [{"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/(a{1,1000}){1,1000}$"]}}])
    found = await site.ask("/aa")
    assert found.rules[0].matches in ("unknown", "true")
    assert found.is_certain is (found.rules[0].matches == "true")


async def test_requests_that_nobody_can_send_are_refused(site: Site) -> None:
    host = site.lb["DNSName"]
    assert (await site.ask(f"http://{host}/x")).listener_arn == site.listener_arn
    assert await site.refusal(f"https://{host}/x") == "ListenerNotFound"
    assert await site.refusal(f"http://{host}:81/x") == "ListenerNotFound"
    for url in ("x", "ftp://a/b", "http://", "http://[::1/", "/a b", "//a/b", "http://a:99999/"):
        assert await site.refusal(url) == "ValidationError", url
    assert await site.refusal("/", SourceIp="10.0.0") == "ValidationError"
    assert await site.refusal("/", Headers=[{"Name": "X", "Value": "a\r\nb"}]) == "ValidationError"
    missing = site.lb["LoadBalancerArn"][:-1] + "0"
    assert await site.refusal("/", LoadBalancerArn=missing) in ("LoadBalancerNotFound", "ValidationError")


HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 8080}


async def classic(*listeners: dict[str, Any]) -> Site:
    cloud = Cloud()
    await cloud.classic("CreateLoadBalancer", LoadBalancerName="old", Listeners=list(listeners), AvailabilityZones=["us-east-1a"])
    return Site(cloud, {"LoadBalancerArn": cloud.call.arn("elasticloadbalancing", "loadbalancer/old")}, GROUP, LISTENER)


GROUP, LISTENER = {"TargetGroupArn": ""}, {"ListenerArn": ""}


async def test_a_classic_load_balancer_has_no_rules_and_sends_nobody_to_what_is_ill() -> None:
    old = await classic(HTTP)
    found = await old.ask("/")
    assert (found.rules, found.actions, found.status_code, found.problem) == ((), ("forward",), 503, "no targets are registered")
    (group,) = found.target_groups
    ill = Target(group.target_group_arn, "i-1", 8080, 0.0, "10.0.0.1", health=TargetHealth("unhealthy"))
    await old.cloud.store.transact(lambda tx: tx.put(TARGETS, ill))
    found = await old.ask("http://shop.test/x")
    assert (found.status_code, found.problem) == (503, "no target is healthy")
    await old.cloud.store.transact(lambda tx: tx.put(TARGETS, msgspec.structs.replace(ill, health=TargetHealth("healthy"))))
    found = await old.ask("/")
    assert (found.status_code, found.problem, found.target_groups[0].healthy_targets) == (0, "", 1)


async def test_the_cookie_of_a_classic_load_balancer_is_told_by_its_name() -> None:
    old = await classic(HTTP)
    for period, words in (({}, "AWSELB until the browser is closed"), ({"CookieExpirationPeriod": 60}, "AWSELB for 60 s")):
        name = f"for{len(period)}"
        await old.cloud.classic("CreateLBCookieStickinessPolicy", LoadBalancerName="old", PolicyName=name, **period)
        await old.cloud.classic("SetLoadBalancerPoliciesOfListener", LoadBalancerName="old", LoadBalancerPort=80, PolicyNames=[name])
        assert (await old.ask("/")).target_groups[0].stickiness == words


async def test_what_does_not_look_at_requests_says_so() -> None:
    old = await classic({"Protocol": "TCP", "LoadBalancerPort": 25, "InstancePort": 25})
    assert await old.refusal("/") == "InvalidConfigurationRequest"
    assert await old.refusal("http://shop.test:25/") == "ListenerNotFound"
    cloud = Cloud()
    net = await cloud.load_balancer("net", Type="network")
    assert await Site(cloud, net, GROUP, LISTENER).refusal("/") == "InvalidConfigurationRequest"


async def test_a_classic_load_balancer_of_another_account_is_not_found() -> None:
    old = await classic(HTTP)
    other = old.lb["LoadBalancerArn"].replace(old.cloud.call.account_id, "999999999999")
    assert await old.refusal("/", LoadBalancerArn=other) == "LoadBalancerNotFound"
