"""What a model's zip says of the environment of training, where nothing but the script says which that was.

The zip has the spaces of actions and observations, and what the last episodes of training earned. Either may contradict
the environment that the script makes. Then training had another one, most likely that without some of what the script
adds: a wrapper, a time limit, arguments.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from reload_audit.forensics.traces import Traces, space_of, traces_of
from reload_audit.models.claims import find_claims
from reload_audit.observing.arguments import MODULE, may_be_same, shown
from reload_audit.observing.environment import environment_differences
from reload_audit.observing.spaces_seen import contains, spaces_of, takes_any_number
from reload_audit.observing.subject import Subject, can_be_built, is_set_anew
from reload_audit.planning.discovery.training_script import training_of
from reload_audit.processes.imports import ImportProblem, import_module
from reload_audit.reading.model_zip import read_model
from reload_audit.records.environment_spec import VEC_NORMALIZE, EnvironmentSpec, WrapperSpec
from reload_audit.records.observation import Line, ObservedEnvironment, ObservedWrapper, Spaces
from reload_audit.records.script_record import ScriptDifference
from reload_audit.records.specs import Claim, ExternalPolicy, ExternalSpec

_DISCRETE = ("Discrete", "Multi")


@dataclass(frozen=True)
class OfTraining:
    """What a zip says of training, as far as it matters for the environment of a script.

    :param claims: what the model earned in its last episodes of training
    :param remarks: which spaces of the script's environment are not those of training
    :param others: how the model is evaluated in environments that training may have had, each with what the script does
        otherwise then, the likeliest first
    :param excluded: whether the zip excludes the script's environment: by its spaces, or by longer episodes
    :param suspects: what of the script's environment may not be that of training, in words
    :param stated: the same as one of ``others`` for the environment that the model's repository says training had;
        None where it does not say it
    """

    claims: tuple[Claim, ...] = ()
    remarks: tuple[str, ...] = ()
    others: tuple[tuple[ExternalSpec, tuple[ScriptDifference, ...]], ...] = ()
    excluded: bool = False
    suspects: tuple[str, ...] = ()
    stated: tuple[ExternalSpec, tuple[ScriptDifference, ...]] | None = None


def of_training(subject: Subject, policy: ExternalPolicy, folder: str) -> OfTraining:
    """What the zip of a model says of training; nothing where the audit knows the model's environment otherwise.

    :param folder: takes modules of the repository that have to be taken out of others
    :raises Unreadable: the zip cannot be read
    """
    if subject.known:
        return OfTraining()
    saved = read_model(subject.spec.path, trusted=policy.trust, max_bytes=policy.max_bytes)
    actions = space_of(saved, "action_space")
    trained = spaces_of(actions, space_of(saved, "observation_space"))
    seen, ran = subject.environment, subject.spec.environment
    chains = {what: _chain(seen, what) for what in ("actions", "observations")}
    contradicting = dict(_contradicting(subject, trained, chains))
    remarks = tuple(
        f"its zip says that {evidence}"
        for what, evidence in contradicting.items()
        if not (what == "actions" and contains(chains[what][-1], trained.actions))
    )
    if not all(can_be_built(one.spec) for one in seen.vec_wrappers):  # so that nothing can be measured
        return OfTraining(remarks=remarks)
    stated = _as_stated(subject, policy, folder)
    is_trained_one = subject.path or subject.acting is None or not is_set_anew(subject.acting)
    found = find_claims(subject.spec, saved)[0] if is_trained_one else ()
    claims = tuple(one for one in found if one.kind == "training")
    registered = _registration(seen)
    longest = _longer_than_here(seen, traces_of(saved, subject.spec.algo, None))
    if contradicting:
        why = next(iter(contradicting.values()))
        environments = [
            *_with_spaces_of_training(
                ran, seen.vec_wrappers, trained, actions, {what: chains[what] for what in contradicting}
            )
        ]
    elif longest:
        why = f"an episode of training had {longest:,} steps"
        environments = [replace(ran, time_limit=longest)]
    else:
        why = "; ".join(map(claim_said, claims[:1]))
        environments = [*_as_registered(seen, ran, registered)]
    presumed = f" (so it is presumed, as its zip says that {why})"
    others = [(one, _differences(subject, one, presumed, policy)) for one in environments]
    known = tuple((replace(subject.spec, environment=one), found) for one, found in others if found)
    return OfTraining(
        claims, remarks, known, bool(contradicting or longest), tuple(_suspects(seen, registered)), stated
    )


def _as_stated(
    subject: Subject, policy: ExternalPolicy, folder: str
) -> tuple[ExternalSpec, tuple[ScriptDifference, ...]] | None:
    """How the model is evaluated as its repository says that it was trained, and what the script does otherwise."""
    if not subject.path:  # it is trained in the script itself
        return None
    script, spec = subject.script, subject.spec
    training = training_of(spec.path, script.script, script.cwd, folder)
    if training is None:
        return None
    built = training.environment
    environment = replace(built, python_path=(*built.python_path, *spec.environment.python_path))
    found = _differences(subject, environment, f" ({training.said})", policy)
    asked = subject.environment.asked
    return replace(spec, environment=environment), tuple(_where_asked(one, asked, training.said) for one in found)


def _where_asked(difference: ScriptDifference, asked: Line | None, said: str) -> ScriptDifference:
    """A difference with the script's own line, where training makes its environment on the same line of a module, too.

    :param asked: the script's line that asks for its environment
    :param said: where training makes its own
    """
    line = difference.line
    if line is None or asked is None or line == asked:
        return difference
    here = f"{PurePath(line.file).name}:{line.line}"
    is_shared = any(PurePath(one).name == here for one in said.split(", "))
    return replace(difference, line=asked, instead="") if is_shared else difference


def claim_said(claim: Claim) -> str:
    """``the last 100 episodes of training earned 104 ± 80 by its Monitor, which may have counted on another scale``."""
    episodes = "episodes" if claim.n is None else f"{claim.n:,} episodes"
    spread = "" if claim.std is None else f" ± {claim.std:.3g}"
    counted = "by its Monitor, which may have counted on another scale"
    return f"the last {episodes} of training earned {claim.mean:.4g}{spread} {counted}"


# --- Spaces ---


def _chain(seen: ObservedEnvironment, what: str) -> list[str]:
    """A space of the environment itself, and as each of its wrappers, and of those of the VecEnv, leaves it.

    A wrapper that takes any action, such as ClipAction, leaves the space of actions as it is.
    """
    chain: list[str] = []
    for one in seen.spaces_outwards:
        space: str = getattr(one, what)
        chain.append(chain[-1] if chain and what == "actions" and takes_any_number(space) else space)
    return chain


def _contradicting(subject: Subject, trained: Spaces, chains: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Which spaces, in which the model acts, are not those of training: ``actions`` or ``observations``, and in words.

    Bounds of observations may differ where no wrapper is to blame: environments have learned of theirs late. Actions
    that the script changes itself may be made for the other space.
    """
    run, seen = subject.run, subject.environment
    outermost = seen.spaces_outwards[-1]
    for what, chain in chains.items():
        own, found = getattr(trained, what), chain[-1]
        if not own or not found or own in (found, getattr(outermost, what)):
            continue
        discrete = own.startswith(_DISCRETE) or found.startswith(_DISCRETE)
        if what == "actions" and (run.changed or run.acts_by_itself or run.outside):
            continue
        if what == "observations" and (seen.stacks_frames or not (discrete or own in chain)):
            continue
        yield what, f"the {what} of training are {own}, and here they are {found}"


def _with_spaces_of_training(
    ran: EnvironmentSpec,
    layers: Sequence[ObservedWrapper],
    trained: Spaces,
    actions: spaces.Space | None,
    chains: dict[str, list[str]],
) -> Iterator[EnvironmentSpec]:
    """The environment without the wrappers that change its spaces, or with one that gives it those of training.

    :param layers: the script's wrappers of the VecEnv
    :param chains: of the spaces that are not those of training
    """
    left_out = {place for what, chain in chains.items() for place in _after(chain, getattr(trained, what))}
    if left_out:
        inside = tuple(one for place, one in enumerate(ran.wrappers) if place not in left_out)
        around = {layers[place - len(ran.wrappers)].spec.name for place in left_out if place >= len(ran.wrappers)}
        layers_kept = tuple(one for one in ran.vec_wrappers if one.name not in around - {VEC_NORMALIZE})
        yield replace(ran, wrappers=inside, vec_wrappers=layers_kept)
    elif isinstance(actions, spaces.Box) and "actions" in chains:
        low, high = float(actions.low.min()), float(actions.high.max())
        bounds = {"min_action": low, "max_action": high}
        if (actions.low == low).all() and (actions.high == high).all():
            yield replace(ran, wrappers=(*ran.wrappers, WrapperSpec("gymnasium.wrappers:RescaleAction", bounds)))


def _after(chain: Sequence[str], expected: str) -> list[int]:
    """The places of wrappers that change a space after it was last as expected; none where it is never so."""
    last = max((place for place, one in enumerate(chain) if one == expected), default=len(chain))
    return [place - 1 for place in range(last + 1, len(chain)) if chain[place] != chain[place - 1]]


# --- What is registered ---


def _longer_than_here(seen: ObservedEnvironment, traces: Traces) -> int:
    """Steps of the longest of the last episodes of training, where the script's time limit excludes it; 0 otherwise.

    Where a wrapper may take several steps in one, steps of training cannot be compared with those here.
    """
    longest = max((episode.length for episode in traces.episodes), default=0)
    is_longer = seen.time_limit is not None and longest > seen.time_limit and seen.wrappers == []
    return longest if is_longer else 0


def _registration(seen: ObservedEnvironment) -> EnvSpec | None:
    """How an environment is registered; None where it is not, or only by the script itself.

    The module of its class is the user's own, or one that the script imports.
    """
    module = seen.env_class.partition(":")[0]
    if seen.env_id and seen.env_id not in gym.registry and module not in ("", "__main__", MODULE):
        with contextlib.suppress(ImportProblem):
            import_module(module)
    return gym.registry.get(seen.env_id)


def _as_registered(
    seen: ObservedEnvironment, ran: EnvironmentSpec, registered: EnvSpec | None
) -> Iterator[EnvironmentSpec]:
    """The environment as it is registered, with no wrappers but those that give it the spaces of training."""
    chain = [seen.spaces, *(one.spaces for one in seen.wrappers or ())]
    needed = {place - 1 for place in range(1, len(chain)) if chain[place] != chain[place - 1]}
    inside = tuple(one for place, one in enumerate(ran.wrappers) if place in needed)
    plainer = replace(ran, wrappers=inside)
    if registered is not None:
        is_named = ran.env == seen.env_id
        env = ran.env if is_named else f"{seen.env_class.partition(':')[0]}:{seen.env_id}"
        plainer = replace(plainer, env=env, time_limit=None)
    yield plainer
    if registered is not None and seen.env_kwargs and not may_be_same(seen.env_kwargs, dict(registered.kwargs)):
        yield replace(plainer, env_kwargs={})


def _differences(
    subject: Subject, environment: EnvironmentSpec, source: str, policy: ExternalPolicy
) -> tuple[ScriptDifference, ...]:
    """What a script does otherwise, if its model was trained in this environment.

    :param source: why it is taken for that of training, in words that follow what the script does
    """
    supposed = replace(subject, known=True, spec=replace(subject.spec, environment=environment))
    return tuple(replace(one, evidence=f"{one.evidence}{source}") for one in environment_differences(supposed, policy))


def _suspects(seen: ObservedEnvironment, registered: EnvSpec | None) -> Iterator[str]:
    """What a script adds to an environment that may have been otherwise in training."""
    for wrapper in seen.wrappers or ():
        name = wrapper.spec.name.rpartition(":")[2]
        yield name if wrapper.line is None else f"{name} ({wrapper.line})"
    if registered is not None and seen.time_limit != registered.max_episode_steps:
        limit = "no time limit" if seen.time_limit is None else f"a time limit of {seen.time_limit}"
        yield f"{limit} (registered: {registered.max_episode_steps})"
    given = seen.env_kwargs or {}
    usual = {} if registered is None else dict(registered.kwargs)
    for key, value in given.items():
        if key not in usual or not may_be_same(value, usual[key]):
            yield f"{key}={shown(value)}"
