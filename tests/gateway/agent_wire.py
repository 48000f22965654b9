"""The types the stock agent parses what it is sent into (agent protocol §2.4 and §3): a field of another type loses the task.

A form is a type, a list of one form, a mapping of named fields, `Words` (one of these), `JsonText` (text that holds JSON of
a form) or `Pairs` (a map of text to text). Fields that the protocol does not know are refused as well: what nobody reads has
no business on the wire.
"""

from __future__ import annotations

import json
from typing import Any


class Misread(Exception):
    """The agent would not understand this message."""


class Words:
    def __init__(self, *words: str) -> None:
        self.words = words


class JsonText:
    def __init__(self, form: Any) -> None:
        self.form = form


Pairs = "pairs"
#: an object of Docker Engine's, for the engine to judge
Anything: dict[str, Any] = {}

CREDENTIALS = {
    "credentialsId": str,
    "roleArn": str,
    "accessKeyId": str,
    "secretAccessKey": str,
    "sessionToken": str,
    "expiration": str,
    "credentialScope": str,
}
CONTAINER = {
    "name": str,
    "image": str,
    "cpu": int,
    "memory": int,
    "essential": bool,
    "command": [str],
    "entryPoint": [str],
    "environment": Pairs,
    "environmentFiles": [{"value": str, "type": Words("s3")}],
    "portMappings": [{"containerPort": int, "hostPort": int, "protocol": Words("tcp", "udp"), "containerPortRange": str}],
    "mountPoints": [{"sourceVolume": str, "containerPath": str, "readOnly": bool}],
    "volumesFrom": [{"sourceContainer": str, "readOnly": bool}],
    "links": [str],
    "overrides": JsonText({"command": [str]}),
    "dependsOn": [{"containerName": str, "condition": Words("START", "COMPLETE", "SUCCESS", "HEALTHY")}],
    "startTimeout": int,
    "stopTimeout": int,
    "restartPolicy": {"enabled": bool, "ignoredExitCodes": [int], "restartAttemptPeriod": int},
    "healthCheckType": Words("docker"),
    "dockerConfig": {"version": str, "config": JsonText(Anything), "hostConfig": JsonText(Anything)},
    "secrets": [
        {
            "name": str,
            "valueFrom": str,
            "region": str,
            "provider": Words("ssm", "asm"),
            "type": Words("ENVIRONMENT_VARIABLE", "MOUNT_POINT", "BOOTSTRAP"),
            "target": Words("CONTAINER", "LOG_DRIVER"),
            "containerPath": str,
        }
    ],
    "registryAuthentication": {
        "type": Words("ecr", "asm"),
        "ecrAuthData": {"registryId": str, "region": str, "endpointOverride": str, "useExecutionRole": bool},
        "asmAuthData": {"credentialsParameter": str, "region": str},
    },
    "containerArn": str,
}
VOLUME = {
    "name": str,
    "type": Words("host", "docker", "efs"),
    "host": {"sourcePath": str},
    "dockerVolumeConfiguration": {
        "scope": Words("task", "shared"),
        "autoprovision": bool,
        "driver": str,
        "driverOpts": Pairs,
        "labels": Pairs,
    },
    "efsVolumeConfiguration": {
        "fileSystemId": str,
        "rootDirectory": str,
        "transitEncryption": str,
        "transitEncryptionPort": int,
        "authorizationConfig": {"accessPointId": str, "iam": str},
    },
}
TASK = {
    "arn": str,
    "taskClusterArn": str,
    "family": str,
    "version": str,
    "desiredStatus": Words("RUNNING", "STOPPED"),
    "overrides": str,
    "containers": [CONTAINER],
    "volumes": [VOLUME],
    "cpu": float,
    "memory": int,
    "networkMode": Words("bridge", "host", "awsvpc", "none"),
    "launchType": Words("EC2", "EXTERNAL", "FARGATE"),
    "pidMode": str,
    "ipcMode": str,
    "roleCredentials": CREDENTIALS,
    "executionRoleCredentials": CREDENTIALS,
    "serviceName": str,
    "group": str,
    "zone": str,
    "taskDefinitionAccountId": str,
}
_LISTED = {"taskArn": str, "taskClusterArn": str, "desiredStatus": Words("RUNNING", "STOPPED")}
_ENVELOPE = {"messageId": str, "clusterArn": str, "containerInstanceArn": str, "generatedAt": int}

MESSAGES: dict[str, dict[str, Any]] = {
    "HeartbeatMessage": {"messageId": str, "healthy": bool},
    "PayloadMessage": {**_ENVELOPE, "seqNum": int, "timeline": int, "tasks": [TASK]},
    "TaskManifestMessage": {**_ENVELOPE, "timeline": int, "tasks": [_LISTED]},
    "TaskStopVerificationAck": {"messageId": str, "generatedAt": int, "stopTasks": [_LISTED]},
    "IAMRoleCredentialsMessage": {
        "messageId": str,
        "taskArn": str,
        "taskClusterArn": str,
        "roleType": Words("TaskApplication", "TaskExecution"),
        "roleCredentials": CREDENTIALS,
    },
    "AckPublishMetric": {"message": str},
    "AckPublishHealth": {"message": str},
    "AckPublishInstanceStatus": {"message": str},
}
#: a message without one of these is dropped, and nobody is told
REQUIRED = {
    "HeartbeatMessage": ("messageId",),
    "PayloadMessage": ("messageId", "clusterArn", "containerInstanceArn"),
    "TaskManifestMessage": ("messageId", "clusterArn", "containerInstanceArn", "timeline"),
    "TaskStopVerificationAck": ("messageId", "stopTasks"),
    "IAMRoleCredentialsMessage": ("messageId", "taskArn", "roleType", "roleCredentials"),
}


def check(kind: str, message: Any) -> None:
    """Raises Misread, naming the field, unless the agent reads `message` as it was meant."""
    match_form(MESSAGES[kind], message, kind)


def match_form(form: Any, value: Any, where: str) -> None:
    if form is Pairs:
        _expect(isinstance(value, dict) and all(isinstance(one, str) for one in value.values()), where, value, "a map of text to text")
    elif isinstance(form, Words):
        _expect(value in form.words, where, value, " | ".join(form.words))
    elif isinstance(form, JsonText):
        _expect(isinstance(value, str), where, value, "JSON text")
        match_form(form.form, json.loads(value), f"{where}()")
    elif isinstance(form, list):
        _expect(isinstance(value, list), where, value, "a list")
        for number, one in enumerate(value):
            match_form(form[0], one, f"{where}[{number}]")
    elif isinstance(form, dict):
        _match_fields(form, value, where)
    else:
        # an integer is no float on the wire and true is no integer
        _expect(type(value) is form, where, value, form.__name__)


def _match_fields(form: dict[str, Any], value: Any, where: str) -> None:
    _expect(isinstance(value, dict), where, value, "an object")
    for name, one in value.items():
        if form:
            _expect(name in form, f"{where}.{name}", one, "no such field")
            match_form(form[name], one, f"{where}.{name}")


def _expect(holds: bool, where: str, value: Any, wanted: str) -> None:
    if not holds:
        raise Misread(f"{where} is {value!r:.80}, wanted {wanted}")
