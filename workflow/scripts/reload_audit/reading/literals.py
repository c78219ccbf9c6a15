"""Read Python literals that anybody may have written. Nothing is executed."""

from __future__ import annotations

import ast
import warnings
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.refusal import brief


def literal(text: str) -> Any:
    """The value of a Python literal, in which ``dict(name=literal)`` may be called.

    :raises ValueError: the text is anything else
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the text's syntax: nobody here can change it
            return _literal(ast.parse(text.strip()[: limits.LITERAL_CHARACTERS], mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise ValueError(f"expected a literal, such as a number or dict(name=1), found {brief(text)}") from None


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        called_dict = isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args
        if not called_dict or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("expected a literal, found a call")
        return {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {ast.literal_eval(key): _literal(item) for key, item in zip(node.keys, node.values, strict=True) if key}
    return ast.literal_eval(node)
