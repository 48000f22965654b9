"""botocore's view of operations that AWS does not have: a model made from their shapes, so that sweeps ask for them like for any."""

from __future__ import annotations

from functools import cache
from typing import Any

import botocore.session
import msgspec.inspect as inspect
from botocore.model import OperationModel, ServiceModel

from longshore.aws.protocol.model import OperationShape


@cache
def service_model(api: str) -> ServiceModel:
    """botocore's model of an API, read once: it is megabytes of JSON."""
    return botocore.session.get_session().get_service_model(api)


def own_operation_model(api: str, shape: OperationShape) -> OperationModel:
    metadata = service_model(api).metadata
    shapes: dict[str, Any] = {}
    operation: dict[str, Any] = {"name": shape.name, "http": {"method": "POST", "requestUri": "/"}}
    operation["input"] = {"shape": _shape(shapes, inspect.type_info(shape.request))}
    if shape.response is not None:
        operation["output"] = {"shape": _shape(shapes, inspect.type_info(shape.response))}
        if shape.result_wrapper:
            operation["output"]["resultWrapper"] = shape.result_wrapper
    service = ServiceModel({"metadata": metadata, "operations": {shape.name: operation}, "shapes": shapes}, api)
    return service.operation_model(shape.name)


def _shape(shapes: dict[str, Any], type_: inspect.Type) -> str:
    """Adds the type to `shapes`, and everything in it; returns its name there."""
    while isinstance(type_, inspect.Metadata):
        type_ = type_.type
    match type_:
        case inspect.UnionType():
            return _shape(shapes, next(each for each in type_.types if not isinstance(each, inspect.NoneType)))
        case inspect.StructType():
            if type_.cls.__name__ not in shapes:
                shapes[type_.cls.__name__] = structure = {"type": "structure", "members": {}, "required": []}
                structure["members"] = {field.encode_name: {"shape": _shape(shapes, field.type)} for field in type_.fields}
                structure["required"] = [field.encode_name for field in type_.fields if field.required]
            return type_.cls.__name__
        case inspect.VarTupleType():
            member = _shape(shapes, type_.item_type)
            shapes[f"ListOf{member}"] = {"type": "list", "member": {"shape": member}}
            return f"ListOf{member}"
        case inspect.DictType():
            value = _shape(shapes, type_.value_type)
            shapes[f"MapOf{value}"] = {"type": "map", "key": {"shape": _shape(shapes, type_.key_type)}, "value": {"shape": value}}
            return f"MapOf{value}"
        case inspect.LiteralType():
            name = f"OneOf{''.join(map(str, type_.values))}"
            shapes[name] = {"type": "string", "enum": list(type_.values)}
            return name
    simple = {inspect.StrType: "string", inspect.IntType: "long", inspect.FloatType: "double", inspect.BoolType: "boolean"}
    name = simple.get(type(type_), "string")
    shapes[name.capitalize()] = {"type": name}
    return name.capitalize()
