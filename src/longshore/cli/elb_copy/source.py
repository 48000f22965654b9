"""A Classic load balancer as it is read from any endpoint that speaks Elastic Load Balancing's API of 2012-06-01."""

from __future__ import annotations

import msgspec

from longshore.cli.client import Platform

SERVICE, VERSION = "elasticloadbalancing", "2012-06-01"


class Listener(msgspec.Struct, frozen=True, rename="pascal"):
    protocol: str
    load_balancer_port: int
    instance_port: int
    instance_protocol: str = "TCP"
    ssl_certificate_id: str | None = msgspec.field(default=None, name="SSLCertificateId")

    @property
    def is_http(self) -> bool:
        return self.protocol.upper() in ("HTTP", "HTTPS")


class ListenerDescription(msgspec.Struct, frozen=True, rename="pascal"):
    listener: Listener
    policy_names: tuple[str, ...] | None = None


class Backend(msgspec.Struct, frozen=True, rename="pascal"):
    instance_port: int
    policy_names: tuple[str, ...] | None = None


class HealthCheck(msgspec.Struct, frozen=True, rename="pascal"):
    target: str
    interval: int
    timeout: int
    unhealthy_threshold: int
    healthy_threshold: int


class Instance(msgspec.Struct, frozen=True, rename="pascal"):
    instance_id: str


class LoadBalancer(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancer_name: str
    health_check: HealthCheck
    listener_descriptions: tuple[ListenerDescription, ...] | None = None
    backend_server_descriptions: tuple[Backend, ...] | None = None
    availability_zones: tuple[str, ...] | None = None
    subnets: tuple[str, ...] | None = None
    vpc_id: str | None = msgspec.field(default=None, name="VPCId")
    instances: tuple[Instance, ...] | None = None
    security_groups: tuple[str, ...] | None = None
    scheme: str | None = None


class PolicyAttribute(msgspec.Struct, frozen=True, rename="pascal"):
    attribute_name: str
    attribute_value: str | None = None


class Policy(msgspec.Struct, frozen=True, rename="pascal"):
    policy_name: str
    policy_type_name: str
    policy_attribute_descriptions: tuple[PolicyAttribute, ...] | None = None

    def value(self, name: str) -> str:
        """Of the attribute; empty where it has none."""
        attributes = self.policy_attribute_descriptions or ()
        return next((one.attribute_value or "" for one in attributes if one.attribute_name == name), "")


class Tag(msgspec.Struct, frozen=True, rename="pascal"):
    key: str
    value: str | None = None


class Switch(msgspec.Struct, frozen=True, rename="pascal"):
    enabled: bool = False


class AccessLog(msgspec.Struct, frozen=True, rename="pascal"):
    enabled: bool = False
    s3_bucket_name: str | None = msgspec.field(default=None, name="S3BucketName")
    s3_bucket_prefix: str | None = msgspec.field(default=None, name="S3BucketPrefix")
    emit_interval: int | None = None


class Draining(msgspec.Struct, frozen=True, rename="pascal"):
    enabled: bool = False
    timeout: int | None = None


class Settings(msgspec.Struct, frozen=True, rename="pascal"):
    idle_timeout: int = 60


class AdditionalAttribute(msgspec.Struct, frozen=True, rename="pascal"):
    key: str | None = None
    value: str | None = None


class Attributes(msgspec.Struct, frozen=True, rename="pascal"):
    cross_zone_load_balancing: Switch | None = None
    access_log: AccessLog | None = None
    connection_draining: Draining | None = None
    connection_settings: Settings | None = None
    additional_attributes: tuple[AdditionalAttribute, ...] | None = None


class Source(msgspec.Struct, frozen=True):
    load_balancer: LoadBalancer
    attributes: Attributes = Attributes()
    policies: tuple[Policy, ...] = ()
    tags: tuple[Tag, ...] = ()

    def policy(self, name: str) -> Policy | None:
        return next((policy for policy in self.policies if policy.policy_name == name), None)


class _LoadBalancers(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancer_descriptions: tuple[LoadBalancer, ...] | None = None


class _Attributes(msgspec.Struct, frozen=True, rename="pascal"):
    load_balancer_attributes: Attributes | None = None


class _Policies(msgspec.Struct, frozen=True, rename="pascal"):
    policy_descriptions: tuple[Policy, ...] | None = None


class _TagsOf(msgspec.Struct, frozen=True, rename="pascal"):
    tags: tuple[Tag, ...] | None = None


class _Tags(msgspec.Struct, frozen=True, rename="pascal"):
    tag_descriptions: tuple[_TagsOf, ...] | None = None


def read_source(platform: Platform, name: str) -> Source:
    """Everything about the load balancer of that name. Only reads. Raises Failure, in AWS's words where it is AWS that refuses."""
    asked = {"LoadBalancerName": name}
    found = platform.query(SERVICE, VERSION, "DescribeLoadBalancers", {"LoadBalancerNames": [name]}, _LoadBalancers)
    attributes = platform.query(SERVICE, VERSION, "DescribeLoadBalancerAttributes", asked, _Attributes)
    policies = platform.query(SERVICE, VERSION, "DescribeLoadBalancerPolicies", asked, _Policies)
    tags = platform.query(SERVICE, VERSION, "DescribeTags", {"LoadBalancerNames": [name]}, _Tags)
    return Source(
        load_balancer=(found.load_balancer_descriptions or ())[0],
        attributes=attributes.load_balancer_attributes or Attributes(),
        policies=policies.policy_descriptions or (),
        tags=tuple(tag for one in tags.tag_descriptions or () for tag in one.tags or ()),
    )
