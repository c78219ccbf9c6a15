"""Write a cause's fix for one model, so that all that it names is there: its files, its environment, its settings.

How a fix is written, and what it may name, stands at the head of ``causes.yaml``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import Template
from typing import Literal

from reload_audit.causes.finding import Detail
from reload_audit.causes.migrations import migrations
from reload_audit.reading.plain_values import is_object_name, names_object, takes_function
from reload_audit.reading.refusal import shown

Source = Literal["trained", "recorded", "table", "zoo", "hub", "folder"]
"""How a model came to be audited: trained by this workflow, or found, see ``ModelSource`` in ``records.specs``."""

Circumstance = Literal[
    "trained",
    "recorded",
    "with file",
    "with order",
    "with bounds",
    "with migration",
    "with limit",
    "with classes",
    "with trust",
    "with package",
    "of a class",
    "stacked",
    "of the VecEnv",
    "otherwise",
]
"""Where a fix differs, see ``causes.yaml``."""

CONTRIB = ("ARS", "CrossQ", "MaskablePPO", "QRDQN", "RecurrentPPO", "TQC", "TRPO")
"""Algorithms of sb3-contrib; all others are of stable-baselines3."""

_NAME = r"[A-Za-z_]\w*"
_CLASS = re.compile(rf"({_NAME}(?:\.{_NAME})*):({_NAME})")
_WRAPPER = re.compile(rf"({_NAME}(?:\.{_NAME})*)[.:]({_NAME})")
_NEW_ROW = """# Tell the audit, in a table under `models`:
#   name,algo,env,model,vecnormalize
#   {},,,{},"""
_ID = re.compile(r"[\w:./-]+")


@dataclass(frozen=True)
class ModelToFix:
    """What a fix may name of the model that it is for. As it is by default it is for no model in particular.

    :param source: how it came to be audited; None for no model in particular
    :param name: of the model in this audit
    :param group: the experiment, table or folder that it stems from
    :param zip: path of the model, relative to the working directory like every path here
    :param statistics: path of its VecNormalize statistics
    :param env: what its environment can be built from here: an id, ``module:Id-v0`` or ``package.module:EnvClass``
    :param env_named: what the user or its files call its environment
    :param wrappers: dotted names and arguments, innermost first
    :param vec_wrappers: around its VecEnv, as ``wrappers``; those of SB3 by their class names
    :param keys: those parts of a dictionary of observations that can be normalised; empty for other observations
    :param plain_load_error: what SB3's own ``load`` says of its files; empty where it works
    """

    source: Source | None = None
    name: str = "name-of-the-model"
    group: str = ""
    algo: str = "PPO"
    zip: str = "model.zip"
    statistics: str = "vecnormalize.pkl"
    env: str = "Your-Env-v0"
    env_named: str = "Your-Old-Env-v0"
    env_kwargs: Mapping[str, Detail] = field(default_factory=dict)
    wrappers: Sequence[tuple[str, Mapping[str, Detail]]] = ()
    vec_wrappers: Sequence[tuple[str, Mapping[str, Detail]]] = ()
    keys: Sequence[str] = ()
    plain_load_error: str = ""

    @property
    def env_id(self) -> str:
        """The id of its environment, without the module that registers it."""
        return self.env.rpartition(":")[2]

    def circumstances(self, details: Mapping[str, Detail]) -> set[str]:
        """Which of the :data:`Circumstance` are its own."""
        known = {
            "trained": self.source == "trained",
            "recorded": self.source == "recorded",
            "with file": bool(details.get("file")),
            "with order": bool(details.get("order")),
            **{f"with {name}": name in details for name in ("limit", "classes", "trust", "package")},
            "with bounds": None not in (details.get("low"), details.get("high")),
            "with migration": details.get("migration") in migrations(self.env_named, self.env_id),
            "of a class": _CLASS.fullmatch(self.env) is not None,
            "stacked": any(name == "VecFrameStack" for name, _ in self.vec_wrappers),
            "of the VecEnv": "set_on_vec_env" in details,
            "otherwise": True,
        }
        return {name for name, holds in known.items() if holds}


ANY_MODEL = ModelToFix()


def written_fix(
    texts: Mapping[Circumstance, str], model: ModelToFix, details: Mapping[str, Detail], defaults: Mapping[str, Detail]
) -> str:
    """A fix for a model, with details filled in as values only, so that none (a file's name, say) can add code to it.

    ``$name`` is the identifier at the end of ``attribute``: ``doors`` of ``Corridor.doors[3]``.

    :param details: of the finding or the trial that speaks for the cause
    :param defaults: for details that it does not have
    """
    text = next(text for circumstance, text in texts.items() if circumstance in model.circumstances(details))
    known = {**defaults, **{key: value for key, value in details.items() if value is not None}}
    model = _in_order(model, known.get("order"))
    named = re.search(r"(\w+)(\[.*)?$", str(details.get("attribute") or ""))
    if named and named[1].isidentifier():
        known["name"] = named[1]
    values = {**{key: _written(value) for key, value in known.items()}, **_of_model(model)}
    values["migrated"] = _migrated(model, details)
    values["order"] = _order(model, known.get("order"))
    key = str(details.get("key") or "")
    values |= {
        "key_argument": f', key="{_written(key)}"' * bool(key),
        "key_yaml": f', key: "{_written(key)}"' * bool(key),
    }
    lines = list(_lines(text, values))
    if model.plain_load_error and ".load(" in text:
        lines.insert(1, f"# SB3's own load does not work with these files: {shown(model.plain_load_error)}")
    return "\n".join(lines) + "\n"


def _in_order(model: ModelToFix, order: Detail) -> ModelToFix:
    """A model with its wrappers in another order, where a detail says which.

    :param order: ``wrappers`` or ``vec_wrappers``, each with names and arguments, innermost first
    """
    if not isinstance(order, Mapping):
        return model
    wrappers, around = order.get("wrappers"), order.get("vec_wrappers")
    return replace(
        model,
        wrappers=model.wrappers if wrappers is None else _pairs(wrappers),
        vec_wrappers=model.vec_wrappers if around is None else _pairs(around),
    )


def _pairs(wrappers: Detail) -> list[tuple[str, Mapping[str, Detail]]]:
    entries = wrappers if isinstance(wrappers, list | tuple) else []
    pairs = [pair for pair in entries if isinstance(pair, list | tuple) and len(pair) == 2]
    return [(str(name), given) for name, given in pairs if isinstance(given, Mapping)]


def _lines(text: str, values: Mapping[str, str | None]) -> Iterator[str]:
    """The lines of a fix, without those that name what the model has not, and every import once."""
    imports = set()
    for line in text.splitlines():
        named = {name: values[name] for name in re.findall(r"\$(\w+)", line)}
        if None in named.values():
            continue
        for part in Template(line).substitute(named).split("\n"):
            if part not in imports:
                yield part
            if part.startswith(("import ", "from ")):
                imports.add(part)


def _of_model(model: ModelToFix) -> dict[str, str | None]:
    """The placeholders for what every fix may name; None for what the model has not."""
    algo = model.algo if re.fullmatch(r"[A-Z]\w*[0-9A-Z]", model.algo) else "PPO"
    evaluation = "sb3_contrib.common.maskable" if algo == "MaskablePPO" else "stable_baselines3.common"
    trained, group = model.source == "trained", shown(model.group)
    where = {None: "in an experiment, under `runs` or in a table", "trained": f"in the experiment {group}"}
    set_where = where.get(model.source, f"under `runs`, for the folder {group}")
    claim_where = "in a table under `claims`"
    if model.source == "table":
        set_where = claim_where = f"in its row of {group}"
    values = {
        "algo": algo,
        "library": "sb3_contrib" if algo in CONTRIB else "stable_baselines3",
        "evaluation": f"{evaluation}.evaluation",
        "zip": _written(model.zip),
        "statistics": _written(model.statistics),
        "norm_obs_keys": f", norm_obs_keys={[*model.keys]!r}" if model.keys else "",
        "set_where": set_where,
        "set_where_external": None if trained else set_where,
        "claim_where": None if trained else claim_where,
        "name_in_table": _cell(model.name),
        "own_row": set_where if model.source == "table" else None,
        "new_row": None if trained or model.source == "table" else _NEW_ROW.format(_cell(model.name), _cell(model.zip)),
        "env_named": _written(model.env_named),
        **_environment(model),
    }
    return values | _stack(model, values)


def _migrated(model: ModelToFix, details: Mapping[str, Detail]) -> str:
    """The keys of the configuration that carry out a migration of a model's environment."""
    migration = migrations(model.env_named, model.env_id).get(str(details.get("migration")))
    if migration is None:
        return "`env_kwargs` and `wrappers`"
    wrappers = [{f"reload_audit.{name}": {"at": at}} for name, at in migration.wrappers]
    keys = {"env_kwargs": {**model.env_kwargs, **migration.env_kwargs}, "wrappers": wrappers}
    return " and ".join(f"`{key}: {json.dumps(value)}`" for key, value in keys.items() if value)


def _order(model: ModelToFix, order: Detail) -> str:
    """The key of the configuration that says a model's wrappers in the order that a detail has."""
    of = "wrappers" if isinstance(order, Mapping) and "wrappers" in order else "vec_wrappers"
    wrappers = model.wrappers if of == "wrappers" else model.vec_wrappers
    return f"`{of}: {json.dumps([{name: given} if given else name for name, given in wrappers])}`"


def _environment(model: ModelToFix) -> dict[str, str | None]:
    """The placeholders for the environment, which stands in a fix as code: only of names that can be nothing else."""
    of_class = _CLASS.fullmatch(model.env)
    wrappers = [(name, arguments) for dotted, arguments in model.wrappers if (name := _WRAPPER.fullmatch(dotted))]
    if (of_class is None and not _ID.fullmatch(model.env)) or len(wrappers) < len(model.wrappers):
        return _environment(ANY_MODEL)
    imports = [f"from {of_class[1]} import {of_class[2]}"] if of_class else []
    code, function = (of_class[2], of_class[2]) if of_class else (f'"{model.env}"', "gym.make")
    argument, functions = "" if of_class else code, []
    made = f"{function}({argument})"
    if model.env_kwargs:
        imports += [] if of_class else ["import gymnasium as gym"]
        arguments = ", ".join(filter(None, [argument, f"**{{{repr(dict(model.env_kwargs))[1:-1]}, **kwargs}}"]))
        functions.append(f"\ndef make_env(**kwargs):\n    return {function}({arguments})")
        code, made = "make_env", "make_env()"
    if wrappers:
        imports += [f"from {name[1]} import {name[2]}" for name, _ in wrappers]
        imports += [line for _, given in wrappers for line in _imports_of_objects(given)]
        wrapped = "env"
        for name, given in wrappers:
            wrapped = f"{name[2]}({', '.join([wrapped, *_keywords(given)])})"
        functions.append(f"\ndef wrap(env):\n    return {wrapped}")
        code, made = f"{code}, wrapper_class=wrap", f"wrap({made})"
    return {
        "env": model.env,
        "env_code": code,
        "env_made": made,
        "env_import": "\n".join([*imports, *functions]) or None,
        "env_recorded": ", ".join([f'"{model.env}"', *_recorded(model)]),
    }


def _stack(model: ModelToFix, values: Mapping[str, str | None]) -> dict[str, str | None]:
    """The placeholders for the VecEnv: what stands inside VecNormalize and outside; as in RL Zoo if it is not named."""
    made, needless = values["env_code"], ("VecMonitor", "VecTransposeImage")  # make_vec_env and SB3 see to these
    layers = [(name, arguments) for name, arguments in model.vec_wrappers if name not in needless]
    names = [name for name, _ in layers]
    if any(not (re.fullmatch(_NAME, name) or _WRAPPER.fullmatch(name)) for name in names):
        layers, names = [], []
    usual = names.index("VecFrameStack") if "VecFrameStack" in names else len(names)
    place = names.index("VecNormalize") if "VecNormalize" in names else usual
    inner, outer = layers[:place], [layer for layer in layers[place:] if layer[0] != "VecNormalize"]
    normalize, statistics = [layer for layer in layers if layer[0] == "VecNormalize"], values["statistics"]
    in_order = [
        f"venv = {_around(f'make_vec_env({made})', inner)}",
        *([f'venv = VecNormalize.load("{statistics}", venv)', _FROZEN] if normalize else []),
        *([f"venv = {_around('venv', outer)}"] if outer else []),
    ]
    return {
        "venv_in_order": "\n".join(in_order),
        "order_import": _imports([*normalize, *inner, *outer]),
        "venv_made": _around(f"make_vec_env({made})", inner),
        "venvs_made": _around(f"make_vec_env({made}, n_envs=8)", inner),
        "inner_import": _imports(inner),
        "stacked_venv": _around("venv", outer),
        "stack_import": _imports(outer),
        "env_alone": None if inner else values["env_made"],
    }


_FROZEN = "venv.training = venv.norm_reward = False"


def _around(code: str, layers: Sequence[tuple[str, Mapping[str, Detail]]]) -> str:
    for name, arguments in layers:
        code = f"{re.split('[.:]', name)[-1]}({', '.join([code, *_keywords(arguments)])})"
    return code


def _imports(layers: Sequence[tuple[str, Mapping[str, Detail]]]) -> str | None:
    found = [re.fullmatch(r"(?:(.+)[.:])?(\w+)", name) for name, _ in layers]
    lines = [f"from {one[1] or 'stable_baselines3.common.vec_env'} import {one[2]}" for one in found if one]
    return "\n".join([*lines, *(line for _, given in layers for line in _imports_of_objects(given))]) or None


def _recorded(model: ModelToFix) -> list[str]:
    """How an environment differs from what its id or class makes, as arguments of ReferenceRecorder."""
    wrappers: list[Detail] = [{name: arguments} for name, arguments in model.wrappers]
    given = {"env_kwargs": model.env_kwargs, "wrappers": wrappers, **_recorded_stack(model)}
    return _keywords({name: value for name, value in given.items() if value})


def _recorded_stack(model: ModelToFix) -> dict[str, Detail]:
    """The usual order in short: VecNormalize, which the recorder sees, inside VecFrameStack."""
    names = [name for name, _ in model.vec_wrappers]
    if names in ([], ["VecNormalize"]):
        return {}
    if names in (["VecFrameStack"], ["VecNormalize", "VecFrameStack"]):
        return {"frame_stack": model.vec_wrappers[-1][1].get("n_stack")}
    around: list[Detail] = [{name: arguments} if arguments else name for name, arguments in model.vec_wrappers]
    return {"vec_wrappers": around}


def _keywords(arguments: Mapping[str, Detail]) -> list[str]:
    if not all(re.fullmatch(_NAME, name) for name in arguments):
        return [f"**{dict(arguments)!r}"]
    return [f"{name}={_object(name, value)[1] or repr(value)}" for name, value in arguments.items()]


def _imports_of_objects(arguments: Mapping[str, Detail]) -> list[str]:
    found = (_object(name, value) for name, value in arguments.items())
    return [f"from {module} import {name}" for module, name in found if name]


def _object(argument: str, value: Detail) -> tuple[str, str]:
    """Module and name of the function, class or other object that an argument stands for; empty where it is a value."""
    named = value["object"] if names_object(value) and isinstance(value, Mapping) and len(value) == 1 else value
    if not isinstance(named, str) or not is_object_name(named) or not (named is not value or takes_function(argument)):
        return "", ""
    module, _, name = named.partition(":")
    return module, name


def _cell(text: str) -> str:
    """A text as a cell of a CSV file."""
    return shown('"{}"'.format(text.replace('"', '""')))


def _written(value: Detail) -> str:
    """A value as a fix shows it, in code or a comment; a text escaped to stand between double quotes, in one line."""
    if isinstance(value, str):
        return shown(value.replace("\\", "\\\\").replace('"', '\\"'))
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:_}" if type(value) is int else repr(value)
