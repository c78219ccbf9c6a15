"""Files that are broken or mean harm become models with a problem: nothing runs, hangs or stops the others."""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reload_audit.planning.watched_files import files_of
from reload_audit.reading import limits
from reload_audit.reading.literals import literal
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.yaml_text import parse_yaml, read_yaml
from reload_audit.records.specs import ExternalSpec
from support.builders import ROOT
from support.external_audits import external_plan
from support.published_layouts import PPO_SETTINGS, by_name, hub_repository, ordered, recording, sb3_zip, text, zoo_run


def odd_pipe(path: Path) -> None:
    os.mkfifo(path)


def odd_folder(path: Path) -> None:
    (path / "inner").mkdir(parents=True)


def odd_dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def odd_loop(path: Path) -> None:
    path.symlink_to(path.name)


def odd_outside(path: Path) -> None:
    path.symlink_to(sb3_zip(path.parents[1] / "outside/secret.zip"))


def odd_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def odd_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


ODD: list[tuple[Callable[[Path], None], str]] = [
    (odd_pipe, "a named pipe"),
    (odd_folder, "a folder"),
    (odd_dangling, "which is not there"),
    (odd_loop, "not there"),
    (odd_outside, "which is outside of it"),
    (odd_device, "a link to a device"),
    (odd_socket, "a socket"),
]


@pytest.mark.parametrize(("make", "problem"), ODD)
def test_a_path_that_is_no_file_is_a_problem_of_that_model_alone(
    tmp_path: Path, make: Callable[[Path], None], problem: str
) -> None:
    sb3_zip(tmp_path / "runs/CartPole-v1.zip")
    make(tmp_path / "runs/odd.zip")
    found = by_name(runs=[str(tmp_path / "runs")])
    assert found["odd"]["problem"].startswith(f"{tmp_path}/runs/odd.zip: expected a file")
    assert problem in found["odd"]["problem"]
    assert found["CartPole-v1"]["problem"] is None


@pytest.mark.parametrize(("make", "problem"), ODD)
def test_settings_that_are_no_regular_file_are_a_problem_of_their_run(
    tmp_path: Path, make: Callable[[Path], None], problem: str
) -> None:
    run = zoo_run(tmp_path / "ppo/CartPole-v1_1")
    (run / "CartPole-v1/args.yml").unlink()
    make(run / "CartPole-v1/args.yml")
    zoo_run(tmp_path / "ppo/CartPole-v1_2")
    found = by_name(runs=[str(tmp_path / "ppo")])
    if make is odd_folder:
        assert found["CartPole-v1_1"]["problem"] is None, "then there are no such settings"
    else:
        assert problem in found["CartPole-v1_1"]["problem"] or make is odd_outside
    assert found["CartPole-v1_2"]["problem"] is None


def test_statistics_that_are_no_regular_file_are_a_problem(tmp_path: Path) -> None:
    run = zoo_run(tmp_path / "ppo/CartPole-v1_1", config={"normalize": True})
    odd_pipe(run / "CartPole-v1/vecnormalize.pkl")
    (found,) = by_name(runs=[str(tmp_path)]).values()
    assert found["problem"].endswith("vecnormalize.pkl: expected a file, found a named pipe")
    assert files_of(ExternalSpec.from_dict(found))[0].endswith(".zip")


def test_evaluations_and_monitor_files_that_are_no_regular_files_are_ignored(tmp_path: Path) -> None:
    run = hub_repository(tmp_path / "runs")
    (run / "results.json").unlink()
    odd_pipe(run / "results.json")
    odd_pipe(run / "evaluations.npz")
    odd_pipe(run / "0.monitor.csv")
    (found,) = by_name(runs=[str(run)]).values()
    assert (found["problem"], found["results"], found["evaluations"], found["monitors"]) == (None, None, None, [])


# --- Zips --------------------------------------------------------------------------------------------------------


def many_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(30_000):
            archive.writestr(f"{index:040}", b"")


def large_settings(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("data", "w") as member:
        for _ in range(65):
            member.write(b" " * 2**20)


def lzma_settings(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("data", "{}")


def damaged(path: Path) -> None:
    content = sb3_zip(path).read_bytes()
    path.write_bytes(content.replace(b"clip_range", b"clip_rangX", 1))


def directory_elsewhere(path: Path) -> None:
    path.write_bytes(b"PK\x06\x07" + struct.pack("<LQL", 0, 2**62, 1) + b"PK\x05\x06" + b"\xff" * 18)


def two_directories(path: Path) -> None:
    """A large table of contents that only Python finds: the locator of the 64-bit record leads to a small one."""
    content = sb3_zip(path).read_bytes()
    end = content.rindex(b"PK\x05\x06")
    directory = content[content.index(b"PK\x01\x02") : end]
    many = directory * 30_000
    record = b"PK\x06\x06" + struct.pack(
        "<QHHLLQQQQ", 44, 45, 45, 0, 0, 30_000, 30_000, len(many), end - len(directory)
    )
    small = b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 1, 1, len(directory), 0)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 1)
    last = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(small + content[len(small) : end - len(directory)] + many + record + locator + last)


def many_settings(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", '{"a": [' + "[]," * 4_000_000 + "1]}")


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x05\x06"),
        lambda path: path.write_text("no zip"),
        lambda path: sb3_zip(path) and path.write_bytes(path.read_bytes()[:-30]),
        lambda path: sb3_zip(path) and path.write_bytes(b"\0" * 50 + path.read_bytes()[40:]),
        many_members,
        large_settings,
        lzma_settings,
        damaged,
        directory_elsewhere,
        two_directories,
        many_settings,
    ],
)
def test_a_zip_that_cannot_be_read_is_a_problem(tmp_path: Path, make: Callable[[Path], None]) -> None:
    sb3_zip(tmp_path / "CartPole-v1.zip")
    make(tmp_path / "odd.zip")
    found = by_name(runs=[str(tmp_path)])
    assert "expected a zip that Stable-Baselines3 saved, found" in found["odd"]["problem"]
    assert found["CartPole-v1"]["problem"] is None


@pytest.mark.parametrize("data", ["[]", "{", "[" * 200_000, '{"policy_class": {":serialized:": "***"}}', "\xff"])
def test_settings_in_a_zip_may_be_anything(tmp_path: Path, data: str) -> None:
    with zipfile.ZipFile(tmp_path / "PPO-CartPole-v1.zip", "w") as archive:
        archive.writestr("data", data.encode("latin-1"))
    (found,) = by_name(runs=[str(tmp_path)]).values()
    assert found["problem"] or found["algo"] == "PPO"


def test_all_zips_together_have_no_more_settings_than_planning_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PLANNED_BYTES", 3_000_000)
    for index in range(4):
        sb3_zip(tmp_path / f"{index}/CartPole-v1.zip", {**PPO_SETTINGS, "a": "x" * 2_000_000})
    for index in range(4, 20):
        sb3_zip(tmp_path / f"{index}/CartPole-v1.zip", {**PPO_SETTINGS, "a": "x" * 500_000})
    problems = [model["problem"] for _, model in sorted(by_name(runs=[str(tmp_path)]).items())]
    assert len(problems) == 20
    assert sum(problem is None for problem in problems) == 19
    assert "all models together have at most 3,000,000 bytes" in next(filter(None, problems))


def test_all_yaml_files_together_have_no_more_values_than_planning_has_time_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PLANNED_YAML_VALUES", 10_000)
    for index in range(20):  # each has what a file may have, in as few bytes as can be
        folder = tmp_path / f"ppo/CartPole-v1_{index + 1}"
        sb3_zip(folder / "CartPole-v1.zip")
        text(folder / "CartPole-v1/args.yml", f"a{index}: [{'1,' * (limits.YAML_VALUES - 20)}1]\nalgo: ppo\n")
        text(folder / "CartPole-v1/config.yml", "n_envs: 1\n")
    problems = [model["problem"] for model in by_name(runs=[str(tmp_path)]).values()]
    assert len(problems) == 20
    assert sum(problem is None for problem in problems) == 2
    assert "all YAML files together have at most 10,000 values" in next(filter(None, problems))


@pytest.mark.parametrize(
    "content", ["1", "- 1\n- - 2", "{a: 1, ? b : 2}", "a: 1\rb: 2", "'a': [[]]", "[x: y, ? z]", "- a: b"]
)
def test_a_text_of_yaml_is_never_taken_to_hold_less_than_it_does(tmp_path: Path, content: str) -> None:
    def held(value: object) -> int:
        inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        return 1 + sum(map(held, inner))

    text(tmp_path / "a.yml", content)
    counted: list[int] = []
    assert held(read_yaml(tmp_path / "a.yml", counted.append)) <= counted[0]


@pytest.mark.parametrize("depth", [51, 491, 100_000])
def test_a_manifest_that_is_nested_deeply_is_a_problem(tmp_path: Path, depth: int) -> None:
    folder = recording(tmp_path / "deep", {"algo": "PPO"})
    text(folder / "manifest.json", '{"spec": {}, "acts_on": ' + "[" * depth + "]" * depth + "}")
    recording(tmp_path / "flat", {"algo": "PPO", "environment": {"env": "CartPole-v1", "x": "[{" * 1_000}})
    found = by_name(runs=[str(tmp_path)])
    assert found["deep"]["problem"].endswith("manifest.json: expected JSON, found: more than 50 levels")
    assert found["flat"]["problem"] is None


# --- YAML --------------------------------------------------------------------------------------------------------

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MERGE_BOMB = f"a0: &a0 {{{', '.join(f'x{i}: 1' for i in range(100))}}}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
)
HOSTILE = {
    "runs code": "!!python/object/apply:os.system ['touch pwned']",
    "runs code inside": "!!python/object/apply:collections.OrderedDict\n- - - algo\n    - !!python/name:os.system ''",
    "makes an object": "x: !!python/object/new:subprocess.Popen [[touch, pwned]]",
    "imports": "x: !!python/module:antigravity ''",
    "tuple": "x: !!python/tuple [1]",
    "merge bomb": MERGE_BOMB,
    "alias bomb": BOMB + "env_kwargs: *a11\n",
    "alias bomb for an id": BOMB + "env: *a11\n",
    "alias bomb for wrappers": BOMB + "env_wrapper: *a11\n",
    "alias bomb for a wrapper": BOMB + "env_wrapper: [[*a11], *a11]\n",
    "brackets": "[" * 500_000,
    "braces": "{a: " * 200_000,
    "indented": "".join(" " * i + "a:\n" for i in range(1_000)),
    "contains itself": "env_kwargs: &a [*a]",
    "directives": "".join(f"%TAG !a{i}! tag:yaml.org,2002:\n" for i in range(20_000)),
    "too large": "a: " + "x" * 2**20,
    "many values": "[" + "1," * 60_000 + "]",
    "broken": "a: [",
    "tab": "a:\n\tb: 1",
    "a list": "- 1",
    "a text": "text",
    "a list for a key": "{[1]: 2}",
    "no pairs": "!!python/object/apply:collections.OrderedDict [[1, 2, 3]]",
    "control characters": "a: \0",
    "environment is a list": "{algo: ppo, env: [1]}",
    "environment of two lines": '{algo: ppo, env: "a\\nb"}',
    "wrapper is a number": "{env_wrapper: 3}",
    "frames are a text": "{frame_stack: many}",
    "arguments are a text": "{env_kwargs: text}",
    "arguments call": "{env_kwargs: \"dict(a=open('x'))\"}",
    "argument is no number": "{env_kwargs: {a: .nan}}",
    "argument is no text": '{env_kwargs: {a: "\\uD800"}}',
    "argument of thousands of digits": '{env_kwargs: "dict(a=0x' + "f" * 5_000 + ')"}',
    "argument of hundreds of bits": "{env_kwargs: {a: 123456789012345678901234567890}}",
    "argument of many parts": "{env_kwargs: {a: '" + "a." * 90_000 + "b'}}",
    "wrapper of many letters": "{env_wrapper: '" + "a" * 300 + ".B'}",
    "environment of many letters": "{env: '" + "a" * 300 + "'}",
    "a long text by many names": "{env_kwargs: {a: &a '" + "x" * 5_000 + "', b: [" + "*a, " * 50 + "]}}",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_settings_are_a_problem_of_their_run(
    tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = zoo_run(tmp_path / "runs/ppo/CartPole-v1_1", args=content, config=content)
    sb3_zip(run / "best_model.zip")
    zoo_run(tmp_path / "runs/ppo/CartPole-v1_2")
    start = time.process_time()
    found = by_name(runs=["runs"])

    assert time.process_time() - start < 5
    assert found["ppo/CartPole-v1_1"]["problem"]
    assert found["ppo/CartPole-v1_1/best_model"]["problem"] == found["ppo/CartPole-v1_1"]["problem"]
    assert len(found["ppo/CartPole-v1_1"]["problem"]) < 1000
    assert " at 0x" not in found["ppo/CartPole-v1_1"]["problem"], "it must be the same in every run"
    assert found["ppo/CartPole-v1_2"]["problem"] is None
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [BOMB, "[" * 500_000, "&a [*a]", "!!python/name:os.system ''", "model-index: 3"])
def test_a_hostile_model_card_is_ignored(tmp_path: Path, content: str) -> None:
    folder = hub_repository(tmp_path / "ppo-CartPole-v1")
    text(folder / "README.md", f"---\n{content}\n---\n")
    (found,) = by_name(runs=[str(tmp_path)]).values()
    assert (found["algo"], found["environment"]["env"], found["problem"]) == ("PPO", "CartPole-v1", None)


def test_random_text_is_read_or_refused_and_raises_nothing_else(tmp_path: Path) -> None:
    noise = random.Random(0)
    good = ordered({"algo": "ppo", "env": "CartPole-v1", "env_kwargs": {"a": [1, 2.5, None, "x"]}}).encode()
    for _ in range(300):
        content = bytearray(good)
        for _ in range(noise.randrange(1, 6)):
            content[noise.randrange(len(content))] = noise.randrange(256)
        (tmp_path / "noise.yml").write_bytes(content)
        try:
            read_yaml(str(tmp_path / "noise.yml"))
        except Unreadable as error:
            assert "noise.yml" in str(error)  # noqa: PT017


def damaged_file(content: bytes, noise: random.Random) -> bytes:
    """A file of which some bytes are changed, repeated or cut off, or that holds a piece of something hostile."""
    damaged = bytearray(content)
    for _ in range(noise.choice((1, 2, 5))):
        at = noise.randrange(len(damaged) + 1)
        piece = noise.choice((*HOSTILE_PIECES, bytes(noise.randrange(256) for _ in range(4))))
        damaged[at : at + noise.choice((0, 0, 1, 40))] = piece * noise.choice((1, 1, 1, 100))
    return bytes(damaged[: noise.choice((len(damaged), len(damaged), noise.randrange(len(damaged) + 1)))])


HOSTILE_PIECES = (
    *(b"[", b"]", b"{", b"}", b",", b":", b'"', b"\n", b"&a ", b"*a ", b"!!set ", b"<<: ", b"---\n", b"\0", b"\xff"),
    *(b".nan", b".inf", b"1e999", b"0x" + b"f" * 5_000, b"9" * 5_000, b"null", b"true", b"''", b"a." * 500),
    *(b"\\uD800", b"\xe2\x80\xae", b"\x1b[2J", b"dict(a=", b"1900-01-01", b"PK\x05\x06", b"PK\x01\x02"),
)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_in_the_files_each_model_is_a_row(tmp_path: Path, seed: int) -> None:
    """Files are damaged one after the other, none is repaired; what the user says answers all questions."""
    run = zoo_run(
        tmp_path / "runs/ppo/CartPole-v1_1", args={"env_kwargs": {"a": [1]}}, config={"normalize": "dict(a=1)"}
    )
    hub, recorded = hub_repository(tmp_path / "runs/hub"), recording(tmp_path / "runs/recorded", {"algo": "PPO"})
    healthy = zoo_run(tmp_path / "runs/ppo/CartPole-v1_2")
    said = {"algo": "PPO", "env": "CartPole-v1", "wrappers": [], "frame_stack": None, "n_envs": 1}
    entry = {"folder": str(tmp_path / "runs"), **said}
    files = [file for folder in (run, hub, recorded) for file in sorted(folder.rglob("*")) if file.is_file()]
    files.remove(hub / "ppo-CartPole-v1.zip")  # without settings it is a zip of something else, and no row
    whole = {file: file.read_bytes() for file in files}
    noise = random.Random(seed)
    for _ in range(40):
        file = noise.choice(files)
        file.write_bytes(damaged_file(noise.choice((whole[file], file.read_bytes()[:10_000])), noise))
        found = external_plan(tmp_path / "results", runs=[entry]).external
        assert len(found) >= 4, file
        sane = next(model for model in found.values() if model.path == f"{healthy}/CartPole-v1.zip")
        assert sane.problem is None, file
        json.dumps([model.to_dict() for model in found.values()], allow_nan=False).encode()


def test_plain_yaml_is_read_as_yaml_reads_it() -> None:
    content = "{a: 1, b: 1.5, c: 1e3, d: true, e: no, f: ~, g: 'x', h: \"1\", i: [1], j: 0x1f, k: !!str 1, l: 1.0e+2}"
    assert parse_yaml(content) == {
        "a": 1,
        "b": 1.5,
        "c": "1e3",
        "d": True,
        "e": False,
        "f": None,
        "g": "x",
        "h": "1",
        "i": [1],
        "j": 31,
        "k": "1",
        "l": 100.0,
    }
    assert parse_yaml("- &a [1]\n- *a\n- since: 2024-01-01\n") == [[1], [1], {"since": "2024-01-01"}]
    merged = parse_yaml("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {z: 3, <<: [*a, *b]}\nd:\n  <<: *b\n")
    assert (merged["c"], merged["d"]) == ({"x": 1, "y": 1, "z": 3}, {"y": 2, "z": 2})
    assert parse_yaml("") is None


@pytest.mark.parametrize("text", ["dict(a=1, b=dict(c='x'))", "{'a': 1, 'b': {'c': 'x'}}", "dict(a=1, b={'c': 'x'})"])
def test_python_literals_are_read(text: str) -> None:
    assert literal(text) == {"a": 1, "b": {"c": "x"}}


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "dict(a=open('x'))",
        "dict(**{})",
        "dict([1])",
        "a",
        "{**{}}",
        "(" * 5000,
        "9" * 9000,
        "{[]: 1}",
        "\0",
    ],
)
def test_anything_but_a_python_literal_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        literal(text)


def test_discovery_imports_no_heavy_library() -> None:
    code = (
        "import sys, reload_audit.planning.discovery.find_models;"
        "print({'numpy', 'torch', 'gymnasium', 'stable_baselines3'} & {*sys.modules})"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow/scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
