"""What is wrong with data that break a JSON Schema: what was found, what is expected and where, and what is meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from reload_audit.reading import limits

if TYPE_CHECKING:
    import jsonschema

_SENTENCES = {
    "minimum": "expected at least {expected}, found {found}",
    "maximum": "expected at most {expected}, found {found}",
    "exclusiveMinimum": "expected more than {expected}, found {found}",
    "exclusiveMaximum": "expected less than {expected}, found {found}",
    "minItems": "expected at least {expected} entry, found an empty list",
    "minLength": "expected a text, found an empty one",
    "minProperties": "expected at least {expected} entry, found an empty mapping",
    "maxItems": "expected at most {expected:,} entries, found {length:,}",
    "maxLength": "expected at most {expected:,} characters, found {length:,}",
    "maxProperties": "expected at most {expected:,} entries, found {length:,}",
}


def explain(error: jsonschema.ValidationError) -> str:
    """What breaks a schema: what was found, what is expected and where, in words of the configuration."""
    where = _where(error.absolute_path)
    prefix = f"{where}: " if where else ""
    found, expected = error.instance, error.validator_value
    match error.validator:
        case "additionalProperties":
            known = list(error.schema.get("properties", {}))
            unknown = [key for key in found if key not in known]
            return "; ".join(f"{prefix}unknown key {key!r}{closest(key, known)}" for key in unknown)
        case "required":
            missing = [key for key in expected if key not in found]
            given = ", ".join(map(str, found)) or "nothing"
            return f"{prefix}missing {', '.join(map(repr, missing))}; found only {given}"
        case "enum":
            options = ", ".join(map(str, expected))
            return f"{prefix}found {found!r:.100}, expected one of {options}{closest(found, expected)}"
        case "type":
            kinds = expected if isinstance(expected, list) else [expected]
            return f"{prefix}expected {' or '.join(map(_with_article, kinds))}, found {kind_of(found)}"
        case "pattern":
            return f"{prefix}found {found!r:.100}, expected {error.schema.get('$comment', expected)}"
        case "uniqueItems":
            twice = sorted({str(item) for item in found if found.count(item) > 1})
            return f"{prefix}expected each entry once, found {', '.join(twice)} more than once"
        case "oneOf":
            return _explain_alternatives(error, prefix)
        case validator if validator in _SENTENCES:
            length = len(found) if isinstance(found, str | list | dict) else 0
            return prefix + _SENTENCES[validator].format(found=found, expected=expected, length=length)
    return f"{prefix}{error.message}"


def _explain_alternatives(error: jsonschema.ValidationError, prefix: str) -> str:
    """Of several alternatives, speak of the one whose type the user chose."""
    by_alternative: dict[Any, list[jsonschema.ValidationError]] = {}
    for inner in error.context or []:
        by_alternative.setdefault(inner.schema_path[0], []).append(inner)
    for inners in by_alternative.values():
        if not any(inner.validator == "type" and not inner.path for inner in inners):
            return "; ".join(explain(inner) for inner in inners)
    expected = " or ".join(_with_article(alternative["type"]) for alternative in error.validator_value)
    return f"{prefix}expected {expected}, found {kind_of(error.instance)}"


def _where(path: Any) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def closest(found: Any, known: Any) -> str:
    """The known name that a mistyped one is most like, as a question; empty if there is none."""
    if not isinstance(found, str) or len(found) > limits.LONGEST_NAME:
        return ""
    by_lower = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(found.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


_KINDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "list": "list", "dict": "mapping"}


def kind_of(value: Any) -> str:
    """What a value is, in words, with its beginning."""
    if value is None:
        return "nothing"
    return f"{_with_article(_KINDS.get(type(value).__name__, type(value).__name__))} ({value!r:.60})"


def _with_article(kind: str) -> str:
    kind = {"object": "mapping", "array": "list"}.get(kind, kind)
    if kind == "null":
        return kind
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
