"""One model while discovery looks it up: what its files say, what the user says, what neither says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reload_audit.planning.discovery.names import stochastic_by_custom
from reload_audit.planning.discovery.settings import RunSettings
from reload_audit.planning.discovery.tree import Folder
from reload_audit.planning.discovery.zips import Trained
from reload_audit.reading.refusal import shown, unforeseen
from reload_audit.records.environment_spec import (
    VEC_NORMALIZE,
    EnvironmentSpec,
    MonitorPlace,
    WrapperEntry,
    WrapperSpec,
    vec_wrappers_of,
    wrapper_spec,
)
from reload_audit.records.specs import Claim, ExternalSpec, ModelRole, ModelSource
from reload_audit.repository.setup import Setup

SET_BY_USER = (
    *("algo", "env", "env_kwargs", "wrappers", "monitor", "vec_env", "vec_wrappers", "frame_stack", "n_envs"),
    *("deterministic", "device", "classes", "python_path"),
)
"""What a user can say about models, in an entry of ``runs`` or a row of a table."""


@dataclass
class Candidate:
    """An external model that discovery is still looking up; empty texts stand for what is not known yet.

    Fields without a line below are those of ``specs.ExternalSpec``.

    :param real: the zip's path without any link
    :param run: the same text for all models of one training run: its folder, or the row of a table
    :param folder: where the zip lies; None for a model that only a table knows of
    :param trained: what the zip says of its training
    :param remarks: what the user should know of how its files were found
    :param claim_of_folder: what the user claims of every model in its folder; one of this very model counts more
    :param deterministic: None for what is usual with the environment
    :param env_by_name: whether only names of files and folders say which environment it is, or nothing at all
    :param spaces: what its zip says of its spaces, as plain values
    :param hyperparameters: numbers in its zip, by their names
    :param words: names that may speak of its environment, the nearest first
    :param repository: the folder that what its repository says of it is relative to
    :param setups: how its repository says that it is run, until that is settled
    :param said_by_user: the keys of what the user says of it
    :param open_questions: what only the user can answer, each with the keys that answer it
    """

    path: str
    real: str
    name: str
    source: ModelSource
    role: ModelRole
    run: str
    group: str = ""
    folder: Folder | None = None
    trained: Trained = field(default_factory=Trained)
    algo: str = ""
    env: str = ""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    wrappers: list[WrapperEntry] = field(default_factory=list)
    monitor: MonitorPlace = "env"
    vec_env: str | None = None
    vec_wrappers: list[WrapperEntry] = field(default_factory=list)
    frame_stack: int | None = None
    n_envs: int | None = None
    deterministic: bool | None = None
    device: str = "cpu"
    classes: dict[str, str] = field(default_factory=dict)
    python_path: list[str] = field(default_factory=list)
    normalized: bool | None = None
    statistics: str | None = None
    evaluations: str | None = None
    model_card: str | None = None
    results: str | None = None
    monitors: list[str] = field(default_factory=list)
    recording: str | None = None
    claim: Claim | None = None
    claim_of_folder: Claim | None = None
    claims: list[Claim] = field(default_factory=list)
    env_by_name: bool = False
    spaces: Mapping[str, object] = field(default_factory=dict)
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    words: Sequence[str] = ()
    repository: str = ""
    setups: Sequence[Setup] = ()
    said_by_user: frozenset[str] = frozenset()
    open_questions: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    problem: str | None = None
    remarks: list[str] = field(default_factory=list)

    def failed(self, error: BaseException) -> Candidate:
        """What stands for it where its files make discovery raise: what it is called, where it lies, and why."""
        problem = f"{shown(self.path)}: its files cannot be used: {unforeseen(error)}"
        return Candidate(
            path=self.path,
            real=self.real,
            name=self.name,
            source=self.source,
            role=self.role,
            run=self.run,
            group=self.group,
            problem=problem,
        )

    def take_settings(self, settings: RunSettings) -> None:
        """Take over what the files of a training run say. A problem that is known already stays."""
        self.algo, self.env, self.n_envs = settings.algo, settings.env, settings.n_envs
        self.env_kwargs, self.wrappers = settings.env_kwargs, settings.wrappers
        self.vec_wrappers = settings.vec_wrappers
        self.frame_stack, self.normalized = settings.frame_stack, settings.normalized
        self.open_questions = settings.open_questions
        self.problem = self.problem or settings.problem

    def take_from_user(self, said: Mapping[str, object]) -> None:
        """Take the user's word for it, whatever the files say.

        :param said: values of keys in ``SET_BY_USER``
        """
        for key, value in said.items():
            is_count = key in ("n_envs", "frame_stack")
            setattr(self, key, int(value) if is_count and isinstance(value, float) else value)
        self.answer(said.keys())
        self.said_by_user |= said.keys()
        if "vec_env" in said and "env" not in self.said_by_user:
            self.env = self.env or str(said["vec_env"])
            self.said_by_user |= {"env"}

    def answer(self, keys: Iterable[str]) -> None:
        """Drop the open questions that one of these keys answers."""
        answered = set(keys)
        self.open_questions = [(others, text) for others, text in self.open_questions if not answered & set(others)]

    def correct_algorithm(self) -> None:
        """Take the algorithm that the zip's own settings are of where the user says another one, and say so."""
        if "algo" in self.said_by_user and self.trained.contradicts(self.algo):
            found = self.trained.algo
            self.remarks.append(f"its zip is of {found} by its settings, though {self.algo} is said: {found} is taken")
            self.algo = found

    @property
    def named_by_user(self) -> tuple[str, ...]:
        """Which of the keys that name what is imported the user gave."""
        return tuple(key for key in ("env", "wrappers", "vec_wrappers", "vec_env") if key in self.said_by_user)

    def questions(self) -> list[str]:
        """What the user still has to say, in words; nothing where there is a problem already."""
        if self.problem:
            return []
        unknown = ["no algorithm"] * (not self.algo) + ["no environment"] * (not self.env)
        return [*unknown, *(text for _, text in self.open_questions)]

    def spec(self, model: str, python_path: Sequence[str]) -> ExternalSpec:
        """The external model as discovery leaves it. A path that is no Unicode text becomes its problem.

        :param model: its name in the audit
        :param python_path: folders of Python modules for all models
        """
        is_text = self._has_unicode_paths()
        statistics = self.statistics if is_text else None
        deterministic = self.deterministic
        if deterministic is None:
            deterministic = not stochastic_by_custom(self.env, self.wrappers)
        not_text = f"{shown(self.path)}: expected a path in UTF-8, found other bytes; rename it"
        return ExternalSpec(
            model=model,
            source=self.source,
            group=self.group if is_text else shown(self.group),
            role=self.role,
            algo=self.algo,
            device=self.device,
            deterministic=deterministic,
            path=self.path if is_text else shown(self.path),
            statistics=statistics,
            normalized=self.normalized,
            n_envs=self.n_envs,
            environment=EnvironmentSpec(
                env=self.env,
                env_kwargs=self.env_kwargs,
                wrappers=tuple(map(wrapper_spec, self.wrappers)),
                monitor=self.monitor,
                vec_wrappers=self._vec_wrappers(),
                vec_env=self.vec_env,
                python_path=(*self.python_path, *python_path),
            ),
            named_by_user=self.named_by_user,
            claims=tuple(self.claims) if is_text else (),
            claim=self.claim,
            evaluations=self.evaluations if is_text else None,
            model_card=self.model_card if is_text else None,
            results=self.results if is_text else None,
            monitors=tuple(self.monitors) if is_text else (),
            recording=self.recording if is_text else None,
            problem=self.problem if is_text else not_text,
            remarks=tuple(self.remarks),
            classes=self.classes,
        )

    def _vec_wrappers(self) -> tuple[WrapperSpec, ...]:
        """The wrappers around its VecEnv as far as they are said; VecNormalize only where its statistics are there."""
        wrappers = vec_wrappers_of(self.vec_wrappers, monitor=self.monitor, frame_stack=self.frame_stack)
        return tuple(one for one in wrappers if self.statistics is not None or one.name != VEC_NORMALIZE)

    def _has_unicode_paths(self) -> bool:
        """Whether all paths are Unicode, so that they can be handed on."""
        single = (self.statistics, self.evaluations, self.model_card, self.results, self.recording)
        paths = [self.path, self.group, *self.monitors, *(path for path in single if path is not None)]
        try:
            "".join(paths).encode()
        except UnicodeEncodeError:
            return False
        return True
