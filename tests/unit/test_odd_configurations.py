"""Whatever a configuration holds, it is resolved or refused in one clear message, and every key has bounds."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reload_audit.planning.configuration import ConfigError, read_yaml
from reload_audit.planning.training_specs import trained_models
from support.builders import ROOT, SCHEMA
from support.configurations import config, experiment, resolved

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1 or str()}'] * 9)}]\n" for i in range(1, 15)
)
LONG, DEEP = "x" * 300, "[" * 3_000 + "]" * 3_000
EXPERIMENT = "name: a, algo: PPO, env: CartPole-v1, total_timesteps: 1000"
ODD = {
    "not a number": ("verdict: {alpha: .nan}", "verdict.alpha: expected a finite number, found nan"),
    "infinite": ("verdict: {margin_std: .inf}", "verdict.margin_std: expected a finite number, found inf"),
    "infinite as a text": ("evaluation: {seed: 1e999}", "evaluation.seed: expected a finite number, found inf"),
    "absurd": ("runs: [{folder: runs, n_envs: 1.0e+29}]", "runs[0].n_envs: expected at most 1000000, found 1e+29"),
    "hundreds of bits": ("evaluation: {seed: 1" + "0" * 99 + "}", "expected an integer of at most 63 bits"),
    "thousands of digits": ("evaluation: {seed: 1" + "0" * 9_999 + "}", "is not valid YAML: Exceeds the limit"),
    "hexadecimal": ("evaluation: {seed: 0x" + "f" * 5_000 + "}", "found one of 20,000 bits"),
    "environments": (f"experiments: [{{{EXPERIMENT}, n_envs: [100000000000]}}]", "n_envs[0]: expected at most 10000"),
    "names": (f"experiments: [{{{EXPERIMENT.replace('a,', LONG + ',', 1)}}}]", "name: expected at most 150 characters"),
    "folders": ("runs: [" + "x" * 5_000 + "]", "expected at most 4,096 characters, found 5,000"),
    "packages": (f"trust: [{LONG}]", "trust[0]: expected at most 200 characters, found 300"),
    "a set": (
        "trust: !!set {a, b}",
        "trust: expected a text, a number, true or false, a list or a mapping, found a set",
    ),
    "bytes": ("trust: !!binary aGk=", "found a bytes"),
    "pairs": ("trust: !!pairs [a: 1]", "trust[0]: expected a text"),
    "keys that are numbers": ("1: a", "expected texts as keys, found 1"),
    "keys that are nothing": ("~: a", "expected texts as keys, found a NoneType"),
    "half a character": ('trust: ["\\uD800"]', "trust[0]: expected text, found the character \\ud800"),
    "NUL": ('trust: ["\\0"]', "trust[0]: expected text, found the character \\x00"),
    "NUL in a key": ('"a\\0": 1', "the key 'a\\x00' in the configuration: expected text"),
    "levels": (f"trust: {DEEP}", "expected at most 50 levels of lists and mappings, found hundreds"),
    "some levels": (f"trust: {'[' * 60}{']' * 60}", "expected at most 50 levels of lists and mappings, found more"),
    "aliases": (BOMB, "expected at most 500,000 values"),
    "itself": ("trust: &a [*a]", "expected at most 50 levels"),
    "dates": ("only: [2024-99-99]", "is not valid YAML: month must be in 1..12"),
    "UTF-16": ("trust: [a]".encode("utf-16"), "is not UTF-8 text: invalid start byte at byte 0; it looks like UTF-16"),
    "models": (
        f"experiments: [{{{EXPERIMENT}, seeds: [{', '.join(map(str, range(2_000)))}], "
        f"n_envs: [{', '.join(map(str, range(1, 1_001)))}]}}]",
        "expected at most 1,000,000 models in all, of all seeds and n_envs, found 2,000,000",
    ),
}


@pytest.mark.parametrize(("content", "message"), ODD.values(), ids=list(ODD))
def test_what_no_configuration_holds_is_refused_in_one_clear_message(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    (tmp_path / "mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as raised:
        resolved(read_yaml(tmp_path / "mine.yaml"))
    assert message in str(raised.value)
    assert len(str(raised.value)) < 10_000
    assert str(raised.value).isprintable() or "\n" in str(raised.value)


def unbounded(schema: dict[str, Any], where: str = "") -> list[str]:
    """Where a schema allows a number, a text, a list or a mapping of any size."""
    needed = {
        "integer": ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}),
        "number": ({"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}),
        "string": ({"maxLength", "enum"},),
        "array": ({"maxItems"},),
        "object": ({"maxProperties", "properties"},),
    }
    kinds = schema.get("type", [])
    found = [
        f"{where}: {kind}"
        for kind in ([kinds] if isinstance(kinds, str) else kinds)
        if any(not any_of & schema.keys() for any_of in needed.get(kind, ()))
    ]
    for key, inner in schema.items():
        for part, content in enumerate(inner if isinstance(inner, list) else [inner]):
            if isinstance(content, dict):
                found += unbounded(content, f"{where}.{key}{f'[{part}]' if isinstance(inner, list) else ''}")
    return found


@pytest.mark.parametrize("name", ["config", "models", "claims"])
def test_every_key_is_bounded(name: str) -> None:
    assert unbounded(read_yaml(ROOT / f"workflow/schemas/{name}.schema.yaml")) == []


_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])) | st.text(), _ANYTHING, max_size=3))
def test_any_configuration_is_resolved_or_refused(written: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigError):
        resolved(written)


@given(st.sampled_from(sorted(SCHEMA["$defs"]["experiment"]["properties"])), _ANYTHING)
def test_any_experiment_is_resolved_or_refused(key: str, value: Any) -> None:
    with contextlib.suppress(ConfigError):
        trained_models(resolved(config(experiment(**{key: value}))))
