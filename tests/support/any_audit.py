"""Audits of anything that the schema allows, for a page that has to show them whatever they hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from reload_audit.causes.catalogue import CAUSES
from reload_audit.judging.criteria import VERDICTS
from reload_audit.records.storage import read_json
from support.builders import ROOT

HOSTILE = (
    "",
    " ",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--",
    "]]>&amp;&lt;b&gt;",
    '" onmouseover="alert(1)',
    "'; alert(1); '",
    "{{ 7 * 7 }}{% raw %}${alert(1)}",
    "javascript:alert(1)",
    '=HYPERLINK("http://127.0.0.1")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "a,b;c\td\r\ne\nf",
    "x" * 300,
    "no-space-" * 30,
    "words that go on and on " * 12,
    "🤖🧪 robot 👩🏽‍🔬",
    "שלום עולם",
    "مرحبا \u202egnp.exe",
    "\u2028line\u2029paragraph",
    "\x00\x07\x1b[2J\x7f\x9f",
    "half \ud800 a character \udfff",
    "Ωmega/ñ+%2F%00#model=x?y&z",
    "../../etc/passwd",
    "__proto__",
    "constructor",
    "null",
    "NaN",
    "1e999",
)
"""Texts that something made for other texts may stumble over."""

_TEXTS = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=()), max_size=12)
_NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-320, 1.7e308, "nan", "inf", "-inf"]),
    st.integers(-3, 3),
)
"""As Python has them, and as ``write_json`` writes those that JSON does not know."""

_BY_TYPE = {
    "string": _TEXTS,
    "number": _NUMBERS,
    "integer": st.integers(-1, 2**53) | st.integers(0, 100),
    "boolean": st.booleans(),
    "null": st.none(),
}
_SETTINGS = ("alpha", "fdr", "margin_fraction", "margin_std")
"""What the configuration's own schema has checked already."""

_LEAVES = st.one_of(*_BY_TYPE.values())
_ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=4,
)


def audits() -> st.SearchStrategy[dict[str, Any]]:
    """Any audit that the schema allows, of one to three models; counted as they are."""
    schema = read_json(ROOT / "workflow/schemas/audit.schema.json")
    return _Schema(schema["$defs"]).allows(schema).map(_counted)


@dataclass(frozen=True)
class _Schema:
    definitions: Mapping[str, Any]

    def allows(self, part: Mapping[str, Any], key: str = "") -> st.SearchStrategy[Any]:
        """What a part of the schema allows that stands under a key."""
        if "$ref" in part:
            return self.allows(self.definitions[part["$ref"].rpartition("/")[2]], key)
        if "anyOf" in part:
            return st.one_of(self.allows(one, key) for one in part["anyOf"])
        if "const" in part or "enum" in part:
            return st.sampled_from(part.get("enum", [part.get("const")]))
        if "type" not in part:
            return _ANYTHING
        kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
        if key in _SETTINGS:
            return st.floats(0.0, 10.0)
        made = [_BY_TYPE[kind] for kind in kinds if kind in _BY_TYPE]
        if key == "cause":
            made.append(st.sampled_from(list(CAUSES)))
        if "array" in kinds:
            made.append(self._list(part, key))
        if "object" in kinds:
            made.append(self._object(part))
        return st.one_of(made)

    def _list(self, part: Mapping[str, Any], key: str) -> st.SearchStrategy[Any]:
        items = self.allows(part["items"], key) if "items" in part else _ANYTHING
        if key == "models" and "$ref" in part["items"]:  # names are unique
            return st.lists(items, min_size=1, max_size=3, unique_by=lambda model: model["model"])
        return st.lists(items, max_size=2)

    def _object(self, part: Mapping[str, Any]) -> st.SearchStrategy[Any]:
        if "properties" not in part:
            further = part.get("additionalProperties")
            return st.dictionaries(_TEXTS, self.allows(further) if further else _ANYTHING, max_size=2)
        properties = {name: self.allows(value, name) for name, value in part["properties"].items()}
        required = {name: properties.pop(name) for name in part.get("required", ())}
        return st.fixed_dictionaries(required, optional=properties)


def _counted(audit: dict[str, Any]) -> dict[str, Any]:
    verdicts = [model["verdict"] for model in audit["models"]]
    return {**audit, "counts": {verdict: verdicts.count(verdict) for verdict in VERDICTS}}
