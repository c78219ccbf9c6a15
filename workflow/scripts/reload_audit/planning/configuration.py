"""Read the configuration: strict, with messages that say which key to change and to what.

Runs whenever the workflow is planned, on a cluster once a job: only the standard library, a YAML reader
and a JSON Schema validator are imported.
"""

from __future__ import annotations

import copy
import datetime
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from reload_audit.planning.plain_configuration import problems_of
from reload_audit.planning.resolved import Configuration, Experiment, Run
from reload_audit.planning.schema_messages import closest, explain, kind_of
from reload_audit.reading import limits, named
from reload_audit.reading.refusal import shown
from reload_audit.records.environment_spec import VEC_FRAME_STACK, VEC_NORMALIZE, vec_wrapper_spec
from reload_audit.records.specs import VEC_ENV_KINDS


class ConfigError(ValueError):
    """The configuration cannot be used; the message lists every problem, one a line."""


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, which lets a repeated key win silently, made to refuse it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # `<<: *base`, whose keys may well be overwritten
            if key_node.value in seen:
                problem = f"key {key_node.value!r} appears twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key_node.value if isinstance(key_node.value, str) else id(key_node))
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping.

    :raises ConfigError: the file is missing, is not YAML, repeats a key or holds no mapping
    """
    try:
        if Path(path).stat().st_size > limits.CONFIGURATION_BYTES:
            raise ConfigError(f"{path}: expected at most {limits.CONFIGURATION_BYTES:,} bytes, found more")
        text = Path(path).read_bytes().decode("utf-8-sig")
        content = yaml.load(text, Loader=_StrictLoader)  # a SafeLoader  # noqa: S506
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        utf_16 = "; it looks like UTF-16: save it as UTF-8" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise ConfigError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}{utf_16}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: is not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(
            f"{path}: expected at most {limits.PLAIN_LEVELS} levels of lists and mappings, found hundreds"
        ) from None
    except (ValueError, TypeError) as error:  # of a date that no calendar has, of an integer without end
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected keys and values at the top, found {kind_of(content)}")
    return content


def read_configuration(path: str | Path) -> dict[str, object]:
    """Read a file with a configuration, and check ``pathvars``: Snakemake takes that before a schema is looked at.

    :raises ConfigError: as :func:`read_yaml`, or ``pathvars`` are no names of folders
    """
    config: dict[str, object] = read_yaml(path)
    pathvars = config.get("pathvars", {})
    if not isinstance(pathvars, dict):
        raise ConfigError(f"{path}: pathvars: expected a mapping, found {kind_of(pathvars)}")
    problems = [
        f"{path}: pathvars.{key}: expected a string, found {kind_of(value)}"
        for key, value in pathvars.items()
        if not isinstance(value, str)
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def resolve(config: dict[str, Any], schema: dict[str, Any], source: str) -> Configuration:
    """The configuration with every default filled in.

    :param config: what the user wrote
    :param schema: the JSON Schema that says what may be written, and its defaults
    :param source: the file's name, for messages
    :raises ConfigError: it breaks the schema, or two experiments or two of their models share a name
    """
    import jsonschema  # slow to import, and not needed to read a file

    whole = _Schema(schema, schema.get("$defs", {}))
    problems = problems_of(config)
    if not problems:
        config = _named_by_vec_env(_as_data(config, whole))
        problems = problems_of(config)
    if problems:
        raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems))
    validator = jsonschema.Draft202012Validator(schema)
    problems = [explain(error) for error in sorted(validator.iter_errors(config), key=lambda e: list(map(str, e.path)))]
    if not problems:
        resolved: Configuration = _with_defaults(config, whole)
        problems = _inconsistencies(resolved)
    if problems:
        raise ConfigError("\n".join(f"{source}: {problem}" for problem in problems))
    return resolved


def check_writable(folder: str | Path) -> None:
    """Check that files can be written into a folder, or that it can be made.

    :raises ConfigError: they cannot
    """
    path = Path(folder).absolute()
    nearest = next(parent for parent in (path, *path.parents) if named.is_there(parent))
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror}: {nearest}; expected a folder to write into"
        ) from None


def on_python_path(folders: Sequence[str], workflow_folder: Path, *, is_own: bool = False) -> list[str]:
    """The folders of ``python_path``: relative to the working directory, else to the folder of this workflow.

    So the default configuration, which names a folder of examples, also works from another working directory.

    :param folders: as the user wrote them
    :param workflow_folder: the top folder of this workflow's repository; it need not be there
    :param is_own: whether they stand in this workflow's own configuration, whose folders are those of the workflow
        even where the working directory has others of that name
    """

    def found(folder: str) -> str:
        own = workflow_folder / folder
        another = not named.is_there(folder) or (is_own and own.resolve() != Path(folder).resolve())
        return str(own) if named.is_folder(own) and another else folder

    return [found(folder) for folder in folders]


def check_python_path(config: Configuration, source: str) -> None:
    """Check that there is a folder wherever ``python_path`` names one.

    :param config: its ``python_path`` as :func:`on_python_path` returns it
    :param source: the configuration's name, for messages
    :raises ConfigError: there is not; modules would be looked for in vain, or found elsewhere
    """
    folders = [(f"python_path[{k}]", folder) for k, folder in enumerate(config["python_path"])]
    for k, run in enumerate(config["runs"]):
        own = [] if isinstance(run, str) else run.get("python_path", [])
        folders += [(f"runs[{k}].python_path[{n}]", folder) for n, folder in enumerate(own) if "{" not in folder]
    problems = [
        f"{source}: {where}: expected a folder, found {found} at {shown(folder)}"
        for where, folder in folders
        for found in ["a file" if named.is_there(folder) else "nothing"]
        if not named.is_folder(folder)
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def check_only(wanted: Iterable[str], models: Iterable[str], source: str) -> None:
    """Check that there is a model for each name in ``only``, which restricts the audit to these models.

    :param wanted: names in the configuration's ``only``
    :param models: the names of all models
    :param source: the configuration's name, for messages
    :raises ConfigError: there is no model of a name
    """
    known = list(dict.fromkeys(models))
    unknown = [name for name in wanted if name not in set(known)]
    if unknown:
        raise ConfigError(
            "\n".join(f"{source}: only: there is no model {name!r}{closest(name, known)}" for name in unknown)
        )


def _named_by_vec_env(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with experiments that say no ``env`` called after a VecEnv of the user's own."""
    experiments = config.get("experiments")
    if not isinstance(experiments, list):
        return config
    return {**config, "experiments": [_with_env(experiment) for experiment in experiments]}


def _with_env(experiment: Any) -> Any:
    vec_env = experiment.get("vec_env") if isinstance(experiment, dict) else None
    own = isinstance(vec_env, str) and vec_env not in VEC_ENV_KINDS
    return {"env": vec_env, **experiment} if own else experiment


_EXPONENT = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")


class _Schema:
    """A part of a JSON Schema.

    :param part: what is written there, which may be a reference to a definition
    :param definitions: what the whole schema has under ``$defs``
    """

    def __init__(self, part: Mapping[str, Any], definitions: Mapping[str, Any]) -> None:
        self.part = definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        self._definitions = definitions

    def below(self, key: str, name: str | None = None) -> _Schema:
        """The part under a key, or under a name there; one that allows everything where nothing is said."""
        part = self.part.get(key, {})
        return _Schema(part if name is None else part.get(name, {}), self._definitions)


def _as_data(value: Any, schema: _Schema) -> Any:
    """Read ``3e-4`` and ``1e6`` as the numbers they are (YAML 1.1 takes them for texts), and dates as texts."""
    if isinstance(value, dict):
        return {key: _as_data(item, schema.below("properties", key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_data(item, schema.below("items")) for item in value]
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str) and schema.part.get("type") != "string" and _EXPONENT.match(value):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


def _with_defaults(value: Any, schema: _Schema) -> Any:
    """The value with the defaults of all keys that it does not have, and with integers where they are expected."""
    if isinstance(value, dict) and "properties" in schema.part:
        filled = dict(value)
        for key in schema.part["properties"]:
            of_key = schema.below("properties", key)
            if key not in filled and "default" in of_key.part:
                filled[key] = copy.deepcopy(of_key.part["default"])
            if key in filled:
                filled[key] = _with_defaults(filled[key], of_key)
        return filled
    if isinstance(value, list) and "items" in schema.part:
        return [_with_defaults(item, schema.below("items")) for item in value]
    if "integer" in schema.part.get("type", "") and isinstance(value, float):
        return int(value)  # 1e6 is an integer for JSON Schema too
    return copy.deepcopy(value)


def _inconsistencies(config: Configuration) -> list[str]:
    """What the JSON Schema cannot say: there is nothing to audit, looks do not increase, Python is trusted, ..."""
    problems = []
    audited: tuple[Any, ...] = (config["experiments"], config["models"], config["runs"], config["scripts"])
    if not any((*audited, config["environments"])):
        problems.append(
            "nothing to audit; expected entries under experiments (models to train), models (tables of models), "
            "runs (folders with models), scripts (your own, which evaluate a model) or environments (to probe)"
        )
    if "regressed" in config["gate"]["fail_on"] and config["baseline"] is None:
        problems.append(
            "gate.fail_on: regressed: expected something to compare with; set baseline: path/to/audit.json, or "
            "baseline: last"
        )
    candidates = [word for word in config["gate"]["fail_on"] if word.startswith("candidate")]
    if candidates and not config["compare"]:
        problems.append(
            f"gate.fail_on: {candidates[0]}: expected models to compare; set "
            "compare: [{candidate: NAME, shipping: NAME}]"
        )
    verdict = config["verdict"]
    for key, looks in (("looks", verdict["looks"]), ("further_looks", verdict["further_looks"])):
        if looks != sorted(looks):
            problems.append(f"verdict.{key}: expected increasing numbers, found {looks}")
    problems += [
        f"trust: {package}: expected a package of environments or policies, found {_not_ones_own(package)}"
        for package in config["trust"]
        if _not_ones_own(package)
    ]
    problems += [
        f"classes: {name}: expected a class of your own or of a library, found {_not_ones_own(target)}: {target}"
        for name, target in config["classes"].items()
        if _not_ones_own(target)
    ]
    first_with: dict[str, int] = {}
    for index, experiment in enumerate(config["experiments"]):
        # Names become file names, and some file systems do not tell case apart.
        first = first_with.setdefault(experiment["name"].lower(), index)
        if first != index:
            problems.append(
                f"experiments[{index}].name: {experiment['name']!r} is already the name of experiments[{first}]; "
                "expected names that differ"
            )
        problems += said_twice(f"experiments[{index}]", experiment)
    for index, run in enumerate(config["runs"]):
        problems += said_twice(f"runs[{index}]", {} if isinstance(run, str) else run)
    trained = sum(len(experiment["seeds"]) * len(experiment["n_envs"]) for experiment in config["experiments"])
    if trained > limits.TRAINED_MODELS:
        problems.append(
            f"experiments: expected at most {limits.TRAINED_MODELS:,} models in all, of all seeds and n_envs, "
            f"found {trained:,}"
        )
    return problems


def said_twice(where: str, said: Experiment | Run | dict[str, Any]) -> list[str]:
    """A problem for each wrapper of a VecEnv that ``vec_wrappers`` name and a short key asks for, too.

    :param where: what to call the place in a message
    :param said: an experiment, an entry of ``runs``, or a row of a table
    """
    named = {vec_wrapper_spec(wrapper).name for wrapper in said.get("vec_wrappers", ())}
    short = {"normalize": VEC_NORMALIZE, "frame_stack": VEC_FRAME_STACK}
    return [
        f"{where}: {key}: {name} stands among vec_wrappers, too; expected it once, with its arguments there"
        for key, name in short.items()
        if said.get(key) not in (None, False) and name in named
    ]


def _not_ones_own(name: str) -> str:
    """What a dotted name leads to, where that is nothing that could be trusted; empty where it may be."""
    parts = name.replace(":", ".").split(".")
    if "__main__" in parts:
        return (
            "a script: the one that trained a model is not here, and a program is never imported; move what the model "
            "needs from it into a module, and configure classes: {__main__.Name: module.Name}"
        )
    return "one of Python's own modules" if parts[0] in sys.stdlib_module_names else ""
