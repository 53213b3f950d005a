"""Whether a JSON value has the form that a schema describes: as much of JSON Schema as ``schema.json`` uses."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

from layerkit.errors import an, shown

__all__ = ["fault_in", "schema"]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


@functools.cache
def schema() -> dict[str, Any]:
    """The schema of what ``layerkit bench --json`` writes.

    >>> schema()["properties"]["schema"]
    {'const': 'layerkit-bench-1'}
    """
    found: dict[str, Any] = json.loads(resources.files("layerkit.bench").joinpath("schema.json").read_text("utf-8"))
    return found


def fault_in(value: Any, rule: Mapping[str, Any] | None = None, where: str = "") -> str:
    """The first thing that is not as the schema says, in words; empty if everything is.

    >>> fault_in({"rows": 3}, {"properties": {"rows": {"type": "array"}}})
    'rows is an int, not array'
    >>> fault_in({}, {"required": ["rows"]})
    'it has no rows'
    """
    rules = schema() if rule is None else rule
    if "$ref" in rules:
        rules = schema()["$defs"][str(rules["$ref"]).rpartition("/")[2]]
    here = where or "it"
    if "const" in rules and value != rules["const"]:
        return f"{here} is {shown(value)}, not {rules['const']!r}"
    if "enum" in rules and value not in rules["enum"]:
        return f"{here} is {shown(value)}, not one of {', '.join(map(str, rules['enum']))}"
    if "type" in rules and not _is(value, rules["type"]):
        wanted = rules["type"] if isinstance(rules["type"], str) else " or ".join(rules["type"])
        return f"{here} is {an(type(value).__name__)}, not {wanted}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{here} is {value}, which is no number"
    if "exclusiveMinimum" in rules and value <= rules["exclusiveMinimum"]:
        return f"{here} is {value}, not above {rules['exclusiveMinimum']}"
    if isinstance(value, dict):
        return _fault_in_object(value, rules, where)
    if isinstance(value, list) and "items" in rules:
        return next(filter(None, (fault_in(v, rules["items"], f"{where}[{n}]") for n, v in enumerate(value))), "")
    return ""


def _fault_in_object(value: Mapping[str, Any], rules: Mapping[str, Any], where: str) -> str:
    for name in rules.get("required", ()):
        if name not in value:
            return f"{where or 'it'} has no {name}"
    known, other = rules.get("properties", {}), rules.get("additionalProperties", True)
    for name, one in value.items():
        if name not in known and other is False:
            return f"{where or 'it'} has {name!r}, which is unknown"
        own = known.get(name, other)
        found = fault_in(one, own, f"{where}.{name}".lstrip(".")) if isinstance(own, Mapping) else ""
        if found:
            return found
    return ""


def _is(value: Any, types: str | list[str]) -> bool:
    if isinstance(types, list):
        return any(_is(value, one) for one in types)
    return isinstance(value, _TYPES[types]) and (types == "boolean" or not isinstance(value, bool))
