"""All that a repository says of its models, and which of it is about one of them."""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.files import read_bytes
from reload_audit.reading.ini_text import parse_ini
from reload_audit.reading.plain_values import parse_json
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.toml_text import parse_toml
from reload_audit.reading.yaml_text import parse_yaml
from reload_audit.repository import rewards
from reload_audit.repository.describing import Beside, Describing
from reload_audit.repository.follow import Follower
from reload_audit.repository.kinds import is_environment
from reload_audit.repository.library import Library
from reload_audit.repository.named_options import named
from reload_audit.repository.paths import NO_MATCH, Match, match
from reload_audit.repository.places import Place
from reload_audit.repository.plugins import in_metadata
from reload_audit.repository.rewards import Reward, Subject
from reload_audit.repository.run_settings import run_settings
from reload_audit.repository.saved_spaces import contradict
from reload_audit.repository.scripts import Script, read_script
from reload_audit.repository.settings_files import in_commands, in_settings, mentioned
from reload_audit.repository.setup import Setup
from reload_audit.repository.sources import Source, chosen, folder_with
from reload_audit.repository.stated import Environment, Found, Model
from reload_audit.repository.told import Told, beside, choices, without_descriptions
from reload_audit.repository.training_arguments import doubts_about, that_trained
from reload_audit.repository.values import Value

_CHANGES = re.compile(
    r"\.(?:env_method|set_attr|set_wrapper_attr)\(|\.unwrapped(?:\.\w+)+(?:\[[^]]*\])?\s*[-+*/]?=(?!=)"
    r"|\bsetattr\(\s*[\w.]*\.unwrapped\b"
)
"""What changes environments after they are made: calls of a VecEnv, and assignments to what is inside wrappers."""


@dataclass(frozen=True)
class Asked:
    """A model that the repository is asked about.

    :param path: its file, relative to the repository's folder
    :param algo: empty where that is not known
    :param settings: what its zip says of itself
    :param hyperparameters: numbers in its zip, by their names
    :param env: the environment id in its name; empty for none
    """

    path: str
    algo: str
    settings: Mapping[str, object]
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    env: str = ""


@dataclass(frozen=True)
class Answer:
    """What a repository says of how a model is run.

    :param setups: one where that is clear
    :param by_path: whether a script says it of a file of that name
    :param deterministic: whether scripts evaluate it with deterministic actions; None where they do not say it
    :param statistics: paths that the script saves the model's statistics to, with holes, each with its place
    :param evaluations: paths that its training writes ``evaluations.npz`` to, as ``statistics``
    :param doubts: why the scripts that it is from may not be those that trained it, in words
    """

    setups: Sequence[Setup]
    by_path: bool
    statistics: Sequence[tuple[str, Place]]
    deterministic: bool | None = None
    evaluations: Sequence[tuple[str, Place]] = ()
    doubts: Sequence[str] = ()


class Repository:
    """What the scripts of a repository say, followed once.

    :param files: all files that there are
    :param root: the repository's folder
    """

    def __init__(self, files: Iterable[Source], root: str) -> None:
        sources = chosen(files)
        self._contents: dict[str, Any] = {}
        self._files = {source.path: source.file for source in sources}
        scripts = _scripts(sources)
        told = Told(self._settings)
        library = Library(told)
        follower = Follower(scripts, library)
        self._plugins = [one for path in self._files for one in in_metadata(path, self._metadata(path))]
        follower.follow_all(partial(library.plugin, follower, plugin) for plugin in self._plugins)
        self._set: list[Environment] | None = None
        self._texts: dict[str, Any] = {}
        self._speaking: dict[str, set[int]] = {}
        self._stated: dict[str, Mapping[str, Value]] = {}
        self._follower, self._found = follower, library.found
        self._found.classes = follower.classes
        self._describing = Describing(library.found, follower.modules, partial(folder_with, root))
        self.scripts: Mapping[str, Script] = follower.modules.scripts
        self._told, self._left, self._with = told, follower.left, dict[str, Found]()
        others = [self._followed(one) for one in choices(told, list(self._files), self._settings)]
        if told.is_missing and any(other.models for other in others):
            made = library.found.outermost.items()
            library.found.outermost = {key: one for key, one in made if one.is_known}
            library.found.models = [
                model for model in library.found.models if model.environment and model.environment.is_known
            ]
        for other in others:
            library.found.models += other.models
            library.found.outermost |= other.outermost

    def _followed(
        self,
        assumed: Mapping[str, Value] | None,
        options: Mapping[str, Value] | None = None,
        *,
        decides: bool = False,
    ) -> Found:
        """What scripts say that are started with some settings, or with some options.

        :param decides: whether these are taken to decide which branches of scripts are run
        """
        key = repr([assumed, options, decides])
        if key not in self._with:
            library = Library(Told(self._settings, assumed, options, keeps=self._told.is_missing))
            follower = Follower(self.scripts.values(), library, self._left, decides=decides)
            follower.follow_all(partial(library.plugin, follower, plugin) for plugin in self._plugins)
            self._left, self._with[key] = max(follower.left, 0), library.found
            self._found.registrations |= {**library.found.registrations, **self._found.registrations}
            self._found.parts += library.found.parts
        return self._with[key]

    def _of(self, asked: Asked, *, decides: bool = False) -> Found:
        """What scripts say, started with the settings beside a model, or with the options that its path tells."""
        options = named(self._told.offered, asked.path, asked.algo, asked.env)
        for file in beside(asked.path, list(self._files)) if self._told.is_asked else ():
            content = self._settings(file)
            if isinstance(content, dict) and content:
                found = self._followed(content, options, decides=decides)
                if found.models or found.environments:
                    return found
        if options:
            found = self._followed(None, options, decides=decides)
            if found.models or found.environments:
                return found
        return self._followed(None, decides=True) if decides else self._found

    def setups(self, asked: Asked) -> Answer:
        """How a model may be run, by what speaks for it most; one where the repository leaves no doubt.

        First counts the script that saves or loads a file of that name, then scripts with models of the same algorithm,
        then whatever environments scripts make, at last environments that are only defined. Where several are left, the
        branches that scripts take with what is known decide.
        """
        answer = self._answer(asked, self._of(asked))
        if len(answer.setups) < 2:
            return answer
        decided = self._answer(asked, self._of(asked, decides=True))
        is_one = len(decided.setups) == 1 and decided.setups[0].key in {setup.key for setup in answer.setups}
        return decided if is_one else answer

    def training(self, asked: Asked) -> Setup | None:
        """How the script that saves a file of a model's name trains it; None where scripts leave that open.

        It is open, too, where they give the algorithm other numbers than are in the zip, or change environments after
        they have made them, as for a curriculum.
        """
        if any(_CHANGES.search(cell.text) for script in self.scripts.values() for cell in script.cells):
            return None
        left = self._left_beside(asked.path)
        for found in (self._of(asked), self._of(asked, decides=True), self._found):
            trained = [model for model in found.models if model.trained]
            models = that_trained(_best(trained, lambda model: _match(asked.path, model, saved=True)), asked)
            described = [self._describing.of_model(model, left) for model in models]
            setups = self._distinct([setup for setup in described if setup is not None], asked, left)
            if len(setups) == 1 and None not in described:
                (setup,) = setups
                return None if setup.gaps or setup.vec_wrappers or doubts_about(models, asked) else setup
        return None

    def _answer(self, asked: Asked, found_here: Found) -> Answer:
        models = found_here.models
        by_path = _best(models, lambda model: _match(asked.path, model))
        same = [model for model in models if model.algo == asked.algo or not asked.algo]
        classes = [defined for defined in self._found.classes if is_environment(defined)]
        above = {id(base) for defined in classes for base in defined.bases}
        described, left = self._describing, self._left_beside(asked.path)
        logs = [(f"{log}/evaluations.npz", place) for model in by_path for log, place in model.logs]
        ways = {evaluation.deterministic for model in by_path for evaluation in model.evaluations}
        deterministic = next(iter(ways)) if len(ways) == 1 else None
        possible: list[list[Setup | None]] = [
            [described.of_model(model, left) for model in that_trained(by_path, asked)],
            [described.of_model(model, left) for model in self._in_its_own_id(that_trained(same, asked), asked.path)],
            [described.of_model(model, left) for model in that_trained(same, asked)],
            [described.of_model(model, left) for model in that_trained(models, asked)],
            [described.setup(environment, left) for environment in found_here.environments],
            [described.setup(environment, left) for environment in self._in_settings(asked.algo)],
            [described.of_class(defined, left) for defined in classes if id(defined) not in above],
            self._mentioned(),
        ]
        doubts = doubts_about(by_path or same, asked)
        for strength, setups in enumerate(possible):
            found = self._distinct([setup for setup in setups if setup is not None], asked, left)
            if found:
                around = [model.environment for model in by_path if model.environment is not None]
                statistics = [file for one in around for file in (*one.saved, *one.loaded)]
                own = statistics if strength == 0 else []
                return Answer(found, strength == 0, own, deterministic, logs, doubts if strength < 3 else ())
        return Answer([], False, [], deterministic, logs)

    def _in_its_own_id(self, models: Sequence[Model], path: str) -> list[Model]:
        """Models as scripts make them, in the id that the repository registers and that a model's path names."""
        ids = [env for env in self._found.registrations if _short_name(env) and _short_name(env) in _letters(path)]
        made = [model for model in models if model.environment is not None and model.environment.env]
        return [
            replace(model, environment=replace(model.environment, env=env))
            for model in made
            if model.environment is not None and model.environment.env not in ids
            for env in ids
        ]

    def registered(self, env: str) -> Setup | None:
        """How to make an environment whose id the repository itself registers; None where it does not."""
        return self._describing.of_id(env)

    def rewards(self, subject: Subject) -> list[Reward]:
        """What is said that a model earns, the strongest first."""
        found: list[Reward] = []
        for model in _best(self._found.models, lambda model: _match(subject.path, model)):
            for evaluation in model.evaluations:
                found += rewards.in_outputs(self.scripts[evaluation.place.path], [evaluation])
        written_of = self._written_of(subject)
        for path, file in self._files.items():
            is_about = posixpath.basename(path) in written_of
            found += self._in_file(path, file, replace(subject, alone=True) if is_about else subject)
        return [*found, *rewards.in_name(subject.path)]

    def _written_of(self, subject: Subject) -> str:
        """The text of scripts that evaluate this model and no other: files that they name are about it."""
        own, others = self._speaking_of(subject.path), set[int]()
        for path, _ in subject.among:
            others |= self._speaking_of(path) if path != subject.path else set()
        evaluated: dict[str, set[int]] = {}
        for model in self._found.models:
            for evaluation in model.evaluations:
                evaluated.setdefault(evaluation.place.path, set()).add(id(model))
        scripts = [path for path, models in evaluated.items() if models & own and not models & others]
        return "\n".join(cell.text for path in scripts for cell in self.scripts[path].cells)

    def _speaking_of(self, path: str) -> set[int]:
        """The models of scripts that are a file, as far as paths tell."""
        if path not in self._speaking:
            best = _best(self._found.models, lambda model: _match(path, model))
            self._speaking[path] = {id(model) for model in best}
        return self._speaking[path]

    def _in_file(self, path: str, file: str, subject: Subject) -> Sequence[Reward]:
        if path not in self._texts:
            self._texts[path] = _text(path, file)
        text = self._texts[path]
        if path.endswith((".md", ".rst", ".txt")):
            return rewards.in_text(path, text, subject)
        found = list(rewards.in_results(path, text, subject) if path.endswith(".json") else [])
        found += rewards.in_table(path, text, subject) if path.endswith(".csv") else []
        return found[:1] if len({reward.mean for reward in found}) == 1 else ()  # several are those of a training

    def _left_beside(self, path: str) -> Beside | None:
        """The settings that a model's training left beside it, and whether no script reads such settings."""
        for file in beside(path, list(self._files)):
            content = self._settings(file)
            if isinstance(content, dict) and content:
                text = read_bytes(self._files[file]).decode("utf-8", "replace")
                return run_settings(file, text, content), not self._told.is_asked
        return None

    def _distinct(self, setups: Sequence[Setup], asked: Asked, left: Beside | None = None) -> list[Setup]:
        """Those that differ and are not refuted by the model's spaces; of several those nearest to its file."""
        possible = [setup for setup in setups if not self._contradicts(setup, asked)]
        different = list({setup.key: setup for setup in reversed(possible)}.values())[::-1]
        whole = {setup.env for setup in different if not setup.gaps}
        different = [setup for setup in different if not setup.gaps or setup.env not in whole]
        if len(different) > 1 and left is not None:
            different = [setup for setup in different if left[0].names(setup.env.rpartition(":")[2])] or different
        if len(different) > 1:
            different = _nearest(different, asked.path)
        if len(different) > 1:
            different = _named(different, asked.path)
        return different

    def _contradicts(self, setup: Setup, asked: Asked) -> bool:
        is_whole = all(name.endswith(".TimeLimit") for name, _ in setup.wrappers)
        plain = is_whole and not setup.vec_wrappers and not setup.frame_stack
        return plain and setup.made_by is not None and contradict(self._spaces(setup), asked.settings)

    def _spaces(self, setup: Setup) -> Mapping[str, Value]:
        """What the class of an environment of the repository says of its spaces."""
        if setup.key not in self._stated and setup.made_by is not None:
            instance = self._follower.instance(setup.made_by, setup.made_with)
            self._stated[setup.key] = {**setup.made_by.scope.names, **instance.attributes}
        return self._stated[setup.key]

    def _in_settings(self, algo: str) -> list[Environment]:
        """Environments in settings and commands that no script is seen to read; of RL Zoo's, those of the algorithm."""
        if self._set is None:
            self._set = [one for path, file in self._files.items() for one in _environments(path, file)]
        of_algo = [
            one for one in self._set if algo and posixpath.splitext(one.place.path)[0].lower().endswith(algo.lower())
        ]
        return of_algo or self._set

    def _mentioned(self) -> list[Setup | None]:
        """Registered environments that texts speak of."""
        texts = [(path, _text(path, file)) for path, file in self._files.items() if path.endswith((".md", ".rst"))]
        found = (self._describing.setup(one) for path, text in texts for one in mentioned(path, text))
        return [replace(setup, is_mentioned=True) for setup in found if setup is not None]

    def _metadata(self, path: str) -> Any:
        """What ``pyproject.toml`` or ``setup.cfg`` holds; nothing for any other file."""
        name = posixpath.basename(path)
        return _content(path, self._files[path]) if name in ("pyproject.toml", "setup.cfg") else None

    def _settings(self, path: str) -> Any:
        """The content of a file of settings by the path that a script has; nothing where it cannot be read."""
        wanted = posixpath.normpath(path)
        ends = [own for own in self._files if own == wanted or own.endswith(f"/{posixpath.basename(wanted)}")]
        for own in sorted(ends, key=lambda own: (own != wanted, own.count("/"))):
            if own not in self._contents:
                self._contents[own] = _content(own, self._files[own])
            if self._contents[own] is not None:
                return copy.deepcopy(self._contents[own])  # scripts change what they have read
        return {}


def _content(path: str, file: str) -> Any:
    """What a YAML, JSON, TOML or INI file holds, or the text of another; None where it cannot be read."""
    try:
        held = _parsed(path, read_bytes(file))
    except (Unreadable, ValueError):
        return None
    return without_descriptions(held)


def _parsed(path: str, content: bytes) -> Any:
    """What a YAML, JSON, TOML or INI file holds, or the text of another.

    :raises ValueError: it cannot be used
    """
    if path.endswith(".json"):
        return parse_json(content)
    if path.endswith(".toml"):
        return parse_toml(content)
    text = content.decode("utf-8", "replace")
    if path.endswith((".ini", ".cfg")):
        return parse_ini(text)
    return parse_yaml(text) if path.endswith((".yaml", ".yml")) else text


def _environments(path: str, file: str) -> list[Environment]:
    """Environments in a file of settings, or in commands of a text; none where it cannot be read."""
    try:
        if path.endswith((".yaml", ".yml", ".json", ".toml", ".ini")):
            text = read_bytes(file).decode("utf-8", "replace")
            return list(in_settings(path, text, _parsed(path, text.encode())))
        if path.endswith((".md", ".rst", ".txt", ".sh", ".ipynb", "Makefile")):
            content = read_bytes(file, limits.NOTEBOOK_BYTES).decode("utf-8", "replace")
            return list(in_commands(path, content))
    except (Unreadable, ValueError):
        pass
    return []


def _text(path: str, file: str) -> Any:
    """What a file holds in which rewards may be told; nothing where it cannot be read."""
    if not path.endswith((".json", ".csv", ".md", ".rst", ".txt")) or path.endswith("monitor.csv"):
        return ""
    try:
        content = read_bytes(file)
        return parse_json(content) if path.endswith(".json") else content.decode("utf-8-sig", "replace")
    except (Unreadable, ValueError):
        return ""


def _scripts(sources: Sequence[Source]) -> list[Script]:
    scripts, left = [], limits.REPOSITORY_BYTES
    for source in sources:
        if source.is_one_of(".py", ".ipynb") and left > 0:
            try:
                script = read_script(source.path, source.file)
            except Unreadable:
                continue
            left -= sum(len(cell.text) for cell in script.cells)
            scripts.append(script)
    return scripts


def _match(path: str, model: Model, *, saved: bool = False) -> Match:
    """How well the best of a model's files fits a path.

    :param saved: whether only files count that it is saved to
    """
    files = [*model.files, *model.best, *model.checkpoints, *([] if saved else model.loaded)]
    return max((match(path, file) for file, _ in files), default=NO_MATCH)


def _best(models: Sequence[Model], score: Callable[[Model], Match]) -> list[Model]:
    scores = [score(model) for model in models]
    most = max(scores, default=NO_MATCH)
    return [model for model, one in zip(models, scores, strict=True) if one == most] if most > NO_MATCH else []


def _nearest(setups: Sequence[Setup], path: str) -> list[Setup]:
    """Those that are said nearest to a file: in its folder, or in the first folder above that has any."""

    def shared(setup: Setup) -> int:
        one, other = _folder(setup.sources["env"]), posixpath.dirname(path)
        common = posixpath.commonpath([one or ".", other or "."]) if one and other else ""
        return common.count("/") + 1 if common else 0

    most = max(map(shared, setups))
    return [setup for setup in setups if shared(setup) == most]


def _folder(place: Place | str) -> str:
    return posixpath.dirname(place.path) if isinstance(place, Place) else ""


def _named(setups: Sequence[Setup], path: str) -> list[Setup]:
    """Those whose environment is named in a file's path; all where none is."""
    letters = _letters(path)
    fitting = [setup for setup in setups if _short_name(setup.env) and _short_name(setup.env) in letters]
    return fitting or list(setups)


def _letters(path: str) -> str:
    return re.sub(r"[^a-z0-9]", "", path.lower())


def _short_name(env: str) -> str:
    name = re.sub(r"-v\d+$", "", env.rpartition(":")[2].rpartition("/")[2])
    return _letters(name).removesuffix("env")
