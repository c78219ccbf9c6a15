"""Settle how models are run that only their repository, or names, speak of: take it over, or keep it for a question."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from reload_audit.planning.discovery.candidate import Candidate
from reload_audit.reading.refusal import shown
from reload_audit.records.guesses import Guess, Tried
from reload_audit.repository.saved_spaces import saved_shape
from reload_audit.repository.setup import Setup
from reload_audit.repository.values import is_plain

Recognise = Callable[[Sequence[Guess]], Sequence[Tried]]
"""Tries guesses in a process of its own."""


def settle(models: Sequence[Candidate], recognise: Recognise) -> None:
    """Take over what is clear and runs no code of a repository; the rest is asked, with all that is known.

    Environments of Gymnasium are tried first: spaces in a model's zip confirm or refute them.
    """
    open_ones = [model for model in models if model.env_by_name and "env" not in model.said_by_user]
    asked: dict[str, Guess] = {}
    for model in open_ones:
        asked |= {_key(guess): guess for guess in _guesses(model) if not model.problem}
    tried = dict(zip(asked, recognise(list(asked.values())), strict=True))
    for model in open_ones:
        if not model.problem:
            _settle(model, tried)
    of_training: dict[tuple[float | None, str], list[Candidate]] = defaultdict(list)
    for model in models:
        of_training[model.trained.started, model.algo].append(model)
    for model in open_ones:
        if not (model.env or model.setups or model.problem):
            _settle_by_training(model, of_training[model.trained.started, model.algo])
    for model in models:
        if "env" in model.said_by_user and len(model.setups) == 1 and not model.problem:
            model.remarks += _other_arguments(model, model.setups[0])


def _guesses(model: Candidate) -> list[Guess]:
    """The guesses to try to find out how a model is run."""
    by_names = [_by_names(model)] if _is_named_at_most(model) else []
    return by_names + [_by_setup(model, setup) for setup in model.setups if _can_be_tried(setup)]


def _is_named_at_most(model: Candidate) -> bool:
    """Whether only names, or ids that texts mention, say in which environment a model is run; no script and no user."""
    return not model.env and all(setup.is_mentioned for setup in model.setups)


def _can_be_tried(setup: Setup) -> bool:
    return not (setup.runs_own_code or setup.gaps)


def _by_setup(model: Candidate, setup: Setup) -> Guess:
    guess = _by_names(model)
    observed = None if setup.frame_stack or setup.vec_wrappers else guess.observations
    wrappers = tuple((name, dict(kwargs)) for name, kwargs in setup.wrappers)
    return Guess(setup.env, setup.env_kwargs, wrappers, (), observed, guess.actions)


def _other_arguments(model: Candidate, setup: Setup) -> Iterator[str]:
    """Remarks on arguments that the user gives the environment, and its repository others."""
    if setup.gaps or setup.env.rpartition(":")[2] != model.env.rpartition(":")[2]:
        return
    usual = {} if setup.made_by is None else setup.made_by.defaults()
    for key, value in setup.env_kwargs.items():
        given = model.env_kwargs.get(key, usual.get(key))
        if is_plain(value) and given != value:
            ours = f"with {shown(repr(given))}" if key in model.env_kwargs else "without it"
            said = f"its repository makes that environment with {key}={shown(repr(value))}"
            yield f"{said} ({setup.said_where().get('env_kwargs', setup.said_where()['env'])}), the audit {ours}"


def _by_names(model: Candidate) -> Guess:
    shapes = (saved_shape(model.spaces.get(key)) for key in ("observation_space", "action_space"))
    return Guess("", {}, (), tuple(model.words), *shapes)


def _key(guess: Guess) -> str:
    return json.dumps(guess.to_dict())


def _settle(model: Candidate, tried: Mapping[str, Tried]) -> None:
    if _is_named_at_most(model):
        ids = tried[_key(_by_names(model))].ids
        if ids or not model.setups:
            _settle_by_names(model, ids)
            return
    possible, misfits, clear = [], [], True
    for setup in model.setups:
        outcome = tried[_key(_by_setup(model, setup))] if _can_be_tried(setup) else Tried(known=True)
        if outcome.misfit:
            misfits.append(f"{outcome.misfit} ({setup.sources['env']})")
        elif outcome.known or not setup.is_mentioned:
            possible.append(setup if outcome.known else setup.registered_elsewhere())
            clear = clear and not (possible[-1].runs_own_code or possible[-1].gaps or outcome.needs_consent)
    if len(possible) == 1 and clear:
        _take(model, possible[0])
    elif model.setups:
        model.env, model.setups = "", possible
        model.open_questions += [(("env",), misfit) for misfit in misfits if not possible]


def _settle_by_names(model: Candidate, ids: Sequence[str]) -> None:
    """Take an environment that names speak of and that has the model's spaces; several are asked."""
    guess = _by_names(model)
    if len(ids) == 1 and (guess.observations or guess.actions):
        (model.env,) = ids
        model.remarks.append(f"it is run in {ids[0]}, of which its name speaks, and which has its spaces")
    else:
        model.setups = [Setup.of_id(env, f"a name, {shown(model.name)}, and the spaces in the zip") for env in ids]


def _settle_by_training(model: Candidate, of_training: Sequence[Candidate]) -> None:
    """Run a model that nothing speaks of as those of the same training are run: SB3 saves when it began.

    :param of_training: the models of its algorithm whose training began when its own did
    """
    if not model.trained.started:
        return
    others = [other for other in of_training if other.env]
    alike = others and all(_how_run(other) == _how_run(others[0]) for other in others)
    if alike and _by_names(others[0]).observations == _by_names(model).observations:
        for key, value in _how_run(others[0]).items():
            if key not in model.said_by_user:
                setattr(model, key, value)
        model.remarks.append(f"it is run as {shown(others[0].name)}, which is of the same training: {shown(model.env)}")


def _how_run(model: Candidate) -> dict[str, object]:
    keys = ("env", "env_kwargs", "wrappers", "monitor", "vec_env", "vec_wrappers", "frame_stack", "n_envs")
    return {key: copy.copy(getattr(model, key)) for key in keys}


def _take(model: Candidate, setup: Setup) -> None:
    settings = {
        "env": setup.env,
        "env_kwargs": dict(setup.env_kwargs),
        "wrappers": [{name: dict(kwargs)} if kwargs else name for name, kwargs in setup.wrappers],
        "monitor": setup.monitor,
        "vec_wrappers": [{name: dict(kwargs)} if kwargs else name for name, kwargs in setup.vec_wrappers],
        "frame_stack": setup.frame_stack,
        "n_envs": model.n_envs or setup.n_envs,
    }
    for key, value in settings.items():
        if key not in model.said_by_user:
            setattr(model, key, value)
    model.setups = ()
    where = ", ".join(dict.fromkeys(setup.said_where().values()))
    model.remarks.append(f"it is run as its repository says ({where}): {shown(setup.env)}")
