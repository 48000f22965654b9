"""Writes src/longshore/aws/shapes/<api>.py from botocore's service models, for the operations named in tools/shapes.toml.

    python tools/generate_shapes.py            write what changed
    python tools/generate_shapes.py --check    exit 1 if anything would change

Per structure reachable from a served operation there is one frozen Struct: snake_case members with their wire names, and,
where it is reachable from an input, the model's constraints (lengths, patterns, ranges, enumerations, required members).
Structures that only ever go out are loose: every member is optional and nothing is checked but that a union says one
thing. For the query and ec2 protocols the module also holds a table per input structure (how forms are read) and a
function per output structure (straight-line XML). Patterns are Java's: they are anchored and translated, and what cannot
be is dropped with a note.
"""

from __future__ import annotations

import argparse
import keyword
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore
from botocore import xform_name
from botocore.loaders import Loader
from botocore.session import Session

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "src" / "longshore" / "aws" / "shapes"
SETTINGS = ROOT / "tools" / "shapes.toml"

PROTOCOLS = ("json", "query", "ec2")
Shape = dict[str, Any]

_SCALARS = {
    "string": "str",
    "character": "str",
    "boolean": "bool",
    "integer": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "timestamp": "float",
    "blob": "bytes",
}
_READERS = {
    "string": "text",
    "character": "text",
    "blob": "text",
    "boolean": "boolean",
    "integer": "number",
    "long": "number",
    "float": "number",
    "double": "number",
    "timestamp": "moment",
}


def attribute(wire_name: str) -> str:
    """`loadBalancerArn` -> `load_balancer_arn`, as botocore and the aws command line spell it."""
    name = re.sub("[^a-zA-Z0-9_]", "_", str(xform_name(wire_name)))
    return f"{name}_" if keyword.iskeyword(name) else name


#: patterns that Python's matcher would try in exponentially many ways on a value that does not match, and what means the same
SAME_BUT_SWIFT = {
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*",
}


def python_pattern(pattern: str) -> str:
    """A Java pattern that must match the whole value -> one for Python's `re.search`. Raises re.error where there is none.

    Java's `\\w` and `\\d` are ASCII. Unicode classes have no counterpart: letters and numbers become Python's `\\w`, which
    also has the underscore and is otherwise the same.
    """
    translated = SAME_BUT_SWIFT.get(pattern, pattern)
    if "\\p{" in pattern:
        translated = re.sub(r"\\p\{(?:L|N|IsAlphabetic|IsDigit)\}", r"\\w", translated)
        translated = translated.replace("\\p{Z}", " \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000")
        flags = ""
    else:
        flags = "a"
    anchored = f"(?{flags}:\\A(?:{translated})\\Z)"
    re.compile(anchored)
    return anchored


@dataclass
class Service:
    """One API's model, reduced to what is served."""

    api: str
    model: dict[str, Any]
    operations: list[str]
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        unknown = [name for name in self.operations if name not in self.model["operations"]]
        if unknown:
            raise SystemExit(f"{self.api}: the model has no {', '.join(unknown)}")
        self.metadata: dict[str, Any] = self.model["metadata"]
        self.shapes: dict[str, Shape] = self.model["shapes"]
        for name in self.operations:
            if "input" not in self.model["operations"][name]:  # such as iam's GetAccountSummary
                self.shapes[f"{name}Request"] = {"type": "structure", "members": {}}
                self.model["operations"][name]["input"] = {"shape": f"{name}Request"}
        self.inputs = self.reachable(self.roots("input"))
        self.outputs = self.reachable(self.roots("output"))
        offered = self.metadata.get("protocols") or [self.metadata["protocol"]]
        self.protocols = [self.metadata["protocol"], *offered]
        self.protocols = [name for name in dict.fromkeys(self.protocols) if name in PROTOCOLS]
        if not self.protocols:
            raise SystemExit(f"{self.api}: none of its protocols is served: {', '.join(offered)}")

    def roots(self, side: str) -> list[str]:
        found = (self.model["operations"][name].get(side) for name in self.operations)
        return [reference["shape"] for reference in found if reference]

    def reachable(self, roots: Iterable[str]) -> set[str]:
        seen: set[str] = set()
        waiting = list(roots)
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            waiting.extend(reference["shape"] for reference in self.references(self.shapes[name]))
        return seen

    @staticmethod
    def references(shape: Shape) -> Iterator[dict[str, Any]]:
        yield from shape.get("members", {}).values()
        for role in ("member", "key", "value"):
            if role in shape:
                yield shape[role]

    def structures(self, names: set[str]) -> list[str]:
        return sorted(name for name in names if self.shapes[name]["type"] == "structure" and not self.shapes[name].get("document"))

    @property
    def speaks_xml(self) -> bool:
        return any(name in ("query", "ec2") for name in self.protocols)

    @property
    def is_ec2(self) -> bool:
        return "ec2" in self.protocols


class Types:
    """Structs and the constrained scalars they name."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.aliases: dict[str, str] = {}

    def annotation(self, name: str, checked: bool) -> str:
        shape = self.service.shapes[name]
        kind = shape["type"]
        if kind == "structure":
            return "Any" if shape.get("document") else name
        if kind == "list":
            return self._constrained(f"tuple[{self.annotation(shape['member']['shape'], checked)}, ...]", shape, checked)
        if kind == "map":
            key = self.annotation(shape["key"]["shape"], checked)
            return self._constrained(f"dict[{key}, {self.annotation(shape['value']['shape'], checked)}]", shape, checked)
        return self._scalar(name, shape) if checked else _SCALARS[kind]

    def _constrained(self, annotation: str, shape: Shape, checked: bool) -> str:
        limits = self._lengths(shape) if checked else []
        return f"Annotated[{annotation}, Meta({', '.join(limits)})]" if limits else annotation

    def _scalar(self, name: str, shape: Shape) -> str:
        definition = self._definition(name, shape)
        if definition in ("Integer", "Long", *_SCALARS.values()):
            return definition
        alias = name[0].upper() + name[1:]
        if alias in self.service.shapes and alias != name:
            alias = f"{alias}Value"
        self.aliases[alias] = definition
        return alias

    def _definition(self, name: str, shape: Shape) -> str:
        kind = shape["type"]
        if "enum" in shape:
            return f"Literal[{', '.join(map(repr, shape['enum']))}]"
        if kind in ("integer", "long"):
            low = shape.get("min", -(2**31) if kind == "integer" else -(2**63))
            high = shape.get("max", 2**31 - 1 if kind == "integer" else 2**63 - 1)
            if "min" not in shape and "max" not in shape:
                return "Integer" if kind == "integer" else "Long"
            return f"Annotated[int, Meta(ge={low}, le={high})]"
        if kind in ("float", "double"):
            limits = [f"{word}={shape[side]}" for side, word in (("min", "ge"), ("max", "le")) if side in shape]
            return f"Annotated[float, Meta({', '.join(limits)})]" if limits else "float"
        limits = self._lengths(shape) if kind in ("string", "blob") else []
        extra = {}
        if "pattern" in shape and kind == "string":
            try:
                limits.append(f"pattern={python_pattern(shape['pattern'])!r}")
            except re.error as error:
                self.service.notes.append(f"{self.service.api}: {name}: dropped the pattern {shape['pattern']!r}: {error}")
            else:
                extra["pattern"] = shape["pattern"]
        if limits and shape.get("sensitive"):
            extra["sensitive"] = True  # no message repeats such a value
        if extra:
            limits.append(f"extra={extra!r}")
        scalar = _SCALARS[kind]
        return f"Annotated[{scalar}, Meta({', '.join(limits)})]" if limits else scalar

    @staticmethod
    def _lengths(shape: Shape) -> list[str]:
        limits = [f"min_length={shape['min']}"] if shape.get("min") else []
        return limits + ([f"max_length={shape['max']}"] if "max" in shape else [])

    def structure(self, name: str) -> str:
        shape = self.service.shapes[name]
        checked = name in self.service.inputs
        lines, renames = [], []
        for wire_name, reference in shape["members"].items():
            member = attribute(wire_name)
            annotation = self.annotation(reference["shape"], checked)
            required = checked and wire_name in shape.get("required", ())
            loose = "" if annotation == "Any" else " | None"
            lines.append(f"    {member}: {annotation}" if required else f"    {member}: {annotation}{loose} = None")
            if member != wire_name:
                renames.append(f"{member!r}: {wire_name!r}")
        base = "frozen=True, kw_only=True, omit_defaults=True, gc=False"
        rename = f", rename={{{', '.join(renames)}}}" if renames else ""
        if shape.get("union"):
            lines += ["", "    def __post_init__(self) -> None:", "        one_of(self)"]
        body = "\n".join(lines) or "    pass"
        return f"class {name}(Struct, {base}{rename}):\n{body}\n"


class Forms:
    """How query and ec2 requests are read: a table per structure."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def _name(self, wire_name: str, reference: dict[str, Any]) -> str:
        if not self.service.is_ec2:
            return str(reference.get("locationName", wire_name))
        if "queryName" in reference:
            return str(reference["queryName"])
        location = str(reference.get("locationName", wire_name))
        return location[0].upper() + location[1:] if "locationName" in reference else wire_name

    def _reader(self, name: str) -> str:
        shape = self.service.shapes[name]
        kind = shape["type"]
        if kind == "structure":
            return f"_read_{attribute(name)}"
        if kind == "list":
            flat = self.service.is_ec2 or shape.get("flattened")
            wrapper = "" if flat else f", {shape['member'].get('locationName', 'member')!r}"
            return f"form.listed({self._reader(shape['member']['shape'])}{wrapper})"
        if kind == "map":
            names = [repr(shape[role].get("locationName", role)) for role in ("key", "value")]
            flat = ", None" if shape.get("flattened") else ""
            return f"form.mapped({', '.join([self._reader(shape[role]['shape']) for role in ('key', 'value')] + names)}{flat})"
        return f"form.{_READERS[kind]}"

    def _table_name(self, wire_name: str, reference: dict[str, Any]) -> str:
        """A flattened query list stands under its items' name, if they have one."""
        name = self._name(wire_name, reference)
        shape = self.service.shapes[reference["shape"]]
        if not self.service.is_ec2 and shape.get("flattened"):
            return str(shape.get("member", {}).get("locationName", name))
        return name

    def structure(self, name: str) -> tuple[str, str]:
        """(the function, its table): functions stand first, so that tables may name any of them."""
        snake = attribute(name)
        function = f"def _read_{snake}(node: Node) -> dict[str, object]:\n    return form.members(node, _{snake.upper()})\n"
        rows = [
            f"    {self._table_name(wire_name, reference)!r}: ({wire_name!r}, {self._reader(reference['shape'])}),"
            for wire_name, reference in self.service.shapes[name]["members"].items()
        ]
        return function, "\n".join([f"_{snake.upper()}: Members = {{", *rows, "}"])


class Documents:
    """How query and ec2 responses are written: a function per structure."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def structure(self, name: str) -> str:
        shape = self.service.shapes[name]
        required = shape.get("required", ()) if name in self.service.inputs else ()
        lines = [f"def _write_{attribute(name)}(out: Out, value: {name}) -> None:"]
        for wire_name, reference in shape["members"].items():
            expression = f"value.{attribute(wire_name)}"
            element = reference.get("locationName", wire_name)
            written = self._element(element, reference["shape"], expression, 1 if wire_name in required else 2)
            if wire_name not in required:
                lines.append(f"    if {expression} is not None:")
            lines += written
        if len(lines) == 1:
            lines.append("    pass")
        return "\n".join(lines) + "\n"

    def _element(self, element: str, shape_name: str, expression: str, depth: int) -> list[str]:
        shape = self.service.shapes[shape_name]
        pad = "    " * depth
        kind = shape["type"]
        if kind == "structure":
            call = f"{pad}_write_{attribute(shape_name)}(out, {expression})"
            return [f'{pad}out("<{element}>")', call, f'{pad}out("</{element}>")']
        if kind == "list":
            return self._list(element, shape, expression, depth)
        if kind == "map":
            return self._map(element, shape, expression, depth)
        return [f'{pad}out(f"<{element}>{{{self._scalar(kind, expression)}}}</{element}>")']

    def _list(self, element: str, shape: Shape, expression: str, depth: int) -> list[str]:
        pad = "    " * depth
        flat = shape.get("flattened", False)
        inner = shape["member"].get("locationName", element if flat else "member")
        item = self._variable(expression)
        loop = [f"{pad}for {item} in {expression}:", *self._element(inner, shape["member"]["shape"], item, depth + 1)]
        return loop if flat else [f'{pad}out("<{element}>")', *loop, f'{pad}out("</{element}>")']

    def _map(self, element: str, shape: Shape, expression: str, depth: int) -> list[str]:
        pad = "    " * depth
        flat = shape.get("flattened", False)
        entry = element if flat else "entry"
        item = self._variable(expression)
        key = f"{item}_key"
        loop = [
            f"{pad}for {key}, {item} in {expression}.items():",
            f'{pad}    out("<{entry}>")',
            *self._element(shape["key"].get("locationName", "key"), shape["key"]["shape"], key, depth + 1),
            *self._element(shape["value"].get("locationName", "value"), shape["value"]["shape"], item, depth + 1),
            f'{pad}    out("</{entry}>")',
        ]
        return loop if flat else [f'{pad}out("<{element}>")', *loop, f'{pad}out("</{element}>")']

    @staticmethod
    def _variable(expression: str) -> str:
        """One name per member, so that each keeps one type."""
        return f"{expression.removeprefix('value.')}_item"

    @staticmethod
    def _scalar(kind: str, expression: str) -> str:
        if kind in ("string", "character"):
            return f"escape({expression})"
        if kind == "boolean":
            return f"boolean({expression})"
        if kind == "timestamp":
            return f"iso8601({expression})"
        return f"base64({expression})" if kind == "blob" else expression


def model_text(service: Service) -> str:
    metadata = service.metadata
    facts = {
        "api": service.api,
        "service_id": metadata["serviceId"],
        "protocols": tuple(service.protocols),
        "api_version": metadata["apiVersion"],
        "signing_name": metadata.get("signingName", metadata["endpointPrefix"]),
        "endpoint_prefix": metadata["endpointPrefix"],
        "json_version": metadata.get("jsonVersion"),
        "target_prefix": metadata.get("targetPrefix"),
        "xml_namespace": metadata.get("xmlNamespace"),
        "global_endpoint": True if "globalEndpoint" in metadata else None,
    }
    return "MODEL = Model(" + ", ".join(f"{name}={value!r}" for name, value in facts.items() if value is not None) + ")\n"


def operations_text(service: Service) -> str:
    rows = []
    for name in sorted(service.operations):
        operation = service.model["operations"][name]
        output = operation.get("output")
        facts = [repr(name), operation["input"]["shape"], output["shape"] if output else "None"]
        if output and "resultWrapper" in output:
            facts.append(f"result_wrapper={output['resultWrapper']!r}")
        if service.speaks_xml:
            facts.append(f"read=_read_{attribute(operation['input']['shape'])}")
            if output:
                facts.append(f"write=_write_{attribute(output['shape'])}")
        rows.append(f"    {name!r}: OperationShape({', '.join(facts)}),")
    return "\n".join(["OPERATIONS: dict[str, OperationShape] = {", *rows, "}"])


def errors_text(service: Service) -> str:
    rows = []
    for name, shape in sorted(service.shapes.items()):
        if shape.get("exception"):
            error = shape.get("error", {})
            status = error.get("httpStatusCode", 500 if shape.get("fault") else 400)
            rows.append(f"    {name!r}: ErrorShape({error.get('code', name)!r}, {status}),")
    return "\n".join(["ERRORS: dict[str, ErrorShape] = {", *rows, "}"])


def module_text(service: Service) -> str:
    types = Types(service)
    structures = [types.structure(name) for name in service.structures(service.inputs | service.outputs)]
    aliases = [f"{name} = {definition}" for name, definition in sorted(types.aliases.items())]
    known = ",\n".join(f"    {name!r}" for name in sorted(service.model["operations"]))
    parts = ["\n".join(aliases), *structures]
    if service.speaks_xml:
        forms, documents = Forms(service), Documents(service)
        read = [forms.structure(name) for name in service.structures(service.inputs)]
        parts += [function for function, _ in read] + [table for _, table in read]
        parts += [documents.structure(name) for name in service.structures(service.outputs)]
    parts += [
        "#: The wire facts of the API.\n" + model_text(service),
        "#: What is served.\n" + operations_text(service),
        "#: Shape name -> the error's code on the wire.\n" + errors_text(service),
        f"#: Every operation of the API, served or not.\nKNOWN_OPERATIONS: frozenset[str] = frozenset({{\n{known}\n}})\n",
    ]
    body = "\n\n".join(parts)
    return header(service, body) + body


def header(service: Service, body: str) -> str:
    def used(*names: str) -> str:
        return ", ".join(name for name in names if re.search(rf"(?<![\"'])\b{name}\b", body))

    title = service.metadata.get("serviceAbbreviation") or service.metadata["serviceFullName"]
    lines = [
        f'"""The shapes of {title} ({service.metadata["apiVersion"]}): what is asked and answered in the operations served.',
        "",
        f"Generated by tools/generate_shapes.py from botocore {botocore.__version__}; never edited by hand.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
    ]
    typing_names = used("Annotated", "Any", "Literal")
    lines += [f"from typing import {typing_names}", ""] if typing_names else []
    lines += [f"from msgspec import {used('Meta', 'Struct')}", ""]
    if service.speaks_xml:
        lines.append("from longshore.aws.protocol import form")
    protocol_names = used("ErrorShape", "Integer", "Long", "Members", "Model", "Node", "OperationShape", "Out", "one_of")
    lines.append(f"from longshore.aws.protocol.model import {protocol_names}")
    xml_names = ", ".join(name for name in ("base64", "boolean", "escape", "iso8601") if re.search(rf"(?<![.\w]){name}\(", body))
    if xml_names:
        lines.append(f"from longshore.aws.protocol.xml import {xml_names}")
    return "\n".join(lines) + "\n\n"


def formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--config", "line-length=140", "--isolated", "-"]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"ruff format: {run.stderr}")
    return run.stdout


def loader() -> Loader:
    found: Loader = Session().get_component("data_loader")
    return found


def generate() -> tuple[dict[Path, str], list[str]]:
    """Path -> text of every generated module, and the notes on what could not be taken over."""
    models = loader()
    texts: dict[Path, str] = {}
    notes: list[str] = []
    for api, settings in tomllib.loads(SETTINGS.read_text()).items():
        service = Service(api, models.load_service_model(settings["service"], "service-2"), settings["operations"])
        texts[TARGET / f"{api}.py"] = formatted(module_text(service))
        notes += service.notes
    return texts, notes


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Generate the shapes of the AWS APIs served.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something is not fresh")
    options = parser.parse_args(arguments)
    texts, notes = generate()
    for note in dict.fromkeys(notes):
        print(note, file=sys.stderr)
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{'stale' if options.check else 'wrote'} {path.relative_to(ROOT)}")
        if not options.check:
            path.write_text(texts[path])
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
