"""The requests for actions that a script makes of models and policies, and which of them each of its steps follows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from reload_audit.observing.acting import (
    DISTRIBUTION,
    PARTS,
    Batch,
    as_array,
    as_it_is_now,
    has_one_mode,
    is_answer,
    is_as_in_training,
    is_copy,
)
from reload_audit.observing.keeping_out import careful
from reload_audit.observing.lines import UserLines
from reload_audit.observing.models_seen import ModelsSeen
from reload_audit.observing.parameters import Parameters
from reload_audit.observing.tracking import Acting, Watched

Flags = tuple[bool | None, bool, bool, bool, bool]

Request = tuple[Acting, Any, Any]
"""A model that is asked for actions, and how; what it is given; and what it answers."""

_NOT_GIVEN = object()


@dataclass(frozen=True, slots=True)
class _Plain:
    """A call of ``predict`` by the user's own code, with no more than ``deterministic``, as most scripts make it.

    :param mode: the argument ``deterministic``; :data:`_NOT_GIVEN` for none
    :param code: the code that makes the call, and ``at`` where in it
    """

    actor: Any
    mode: object
    code: CodeType
    at: int
    acting: Acting


class RequestsSeen:
    """The requests for actions of a script, of which the last is what its next step follows.

    :param lines: finds the user's own lines
    :param models: of the script
    :param failed: is told of an error of the observer's own
    :ivar acting: the model that was asked last, and how; None where none was since the last step
    :ivar given: the observation that it was given
    :ivar answer: what it answered last, before the script could change it
    :ivar begins: whether ``predict`` was told last that an episode begins
    :ivar masks_again: whether it was given the masks of the request before once more
    :ivar masks_are_new: whether the script has asked its environment for action masks since it gave some to ``predict``
    :ivar earlier: the requests that other models have answered since the last step
    """

    def __init__(self, lines: UserLines, models: ModelsSeen, failed: Callable[[Exception], None]) -> None:
        self._lines, self._models, self.failed = lines, models, failed
        self.acting: Acting | None = None
        self.given: Any = None
        self.answer: Any = None
        self.begins = self.masks_again = self.masks_are_new = False
        self.earlier: dict[int | None, Request] = {}
        self._batch = Batch()
        self._masks: Any = None
        self._masks_then: Any = None
        self._acting_before: Acting | None = None
        self._plain: _Plain | None = None

    def forget(self) -> None:
        """A model was made or trained: which one a request is made of has to be found anew."""
        self._plain = None

    # --- What a script asks for ---

    def is_repeated(self, actor: Any, args: Sequence[object], kwargs: Mapping[str, object]) -> bool:
        """Note a call of ``predict``, if it is made as the last one was and nothing else was asked since the last step.

        :return: False for another one, of which nothing is noted
        """
        plain = self._plain
        if plain is None or plain.actor is not actor or self.acting is not None or self.earlier or len(args) != 1:
            return False
        mode = kwargs.get("deterministic", _NOT_GIVEN)
        frame = sys._getframe(2)  # the first is the function in place of ``predict``
        if (
            mode is not plain.mode
            or len(kwargs) != (mode is not _NOT_GIVEN)
            or frame.f_lasti != plain.at
            or frame.f_code is not plain.code
        ):
            return False
        self.acting, self.given, self.begins = plain.acting, args[0], False
        self._batch.asked(plain.acting)
        return True

    def predicts(self, actor: Any, args: tuple[object, ...], kwargs: dict[str, object], parameters: Parameters) -> None:
        """``predict`` of a model, or of a policy, is called.

        :param parameters: of that method
        """
        try:
            given, of_model = parameters.read(args, kwargs), isinstance(actor, BaseAlgorithm)
            masks, mode, starts = given.get("action_masks"), given.get("deterministic"), given.get("episode_start")
            if masks is not None:
                self._masked(masks)
            mode = None if mode is None or has_one_mode(actor, of_model=of_model) else bool(mode)
            flags = (mode, given.get("state") is not None, starts is not None, masks is not None, False)
            self._asks(actor, "predict" if of_model else "policy.predict", parameters.first(args, kwargs), flags)
            self.begins = starts is not None and bool(np.any(starts))  # type: ignore[call-overload]
            self._keep_plain(actor, args, kwargs, sys._getframe(2))
        except Exception as error:
            self.failed(error)

    def _keep_plain(self, actor: Any, args: Sequence[object], kwargs: Mapping[str, object], frame: FrameType) -> None:
        """Keep a request that is made in this frame, if the next may be the same."""
        assert self.acting is not None
        file, _ = self.acting[1][1] or ("", 0)
        if len(args) == 1 and kwargs.keys() <= {"deterministic"} and file == frame.f_code.co_filename:
            mode = kwargs.get("deterministic", _NOT_GIVEN)
            self._plain = _Plain(actor, mode, frame.f_code, frame.f_lasti, self.acting)

    @careful
    def forwards(self, policy: Any, observation: Any, given: dict[str, object]) -> None:
        """A policy is called by itself, with tensors.

        :param given: what its parameters are given, by their names
        """
        mode, masked = given.get("deterministic"), given.get("action_masks") is not None
        mode = None if mode is None or has_one_mode(policy, of_model=False) else bool(mode)
        flags = (mode, False, False, masked, is_as_in_training(policy))
        self._asks(policy, "policy()", as_array(observation), flags)

    @careful
    def asks_part(self, policy: Any, observation: Any) -> None:
        """A method of a policy is called from whose result actions can be computed, outside a request for actions."""
        if self.acting is None and self._models.number_of(policy) is not None:
            shown = as_array(observation)
            self._asks(policy, PARTS, shown, (None, False, False, False, is_as_in_training(policy)))

    @careful
    def chose(self, answer: Any, deterministic: bool) -> None:
        """A distribution of the policy's was asked for an action."""
        if self.acting is not None and self.acting[1][0] in (PARTS, DISTRIBUTION):
            number, (how, _, before, *others) = self.acting
            mode = None if how == DISTRIBUTION and before != deterministic else deterministic  # asked both ways
            self.acting = (number, (DISTRIBUTION, self._lines.place(), mode, *others))  # type: ignore[assignment]
            self.answer = as_it_is_now(answer)

    def _asks(self, actor: Any, how: str, observation: Any, flags: Flags) -> None:
        """Actions are asked for.

        :param actor: a model or a policy
        :param observation: as it is given
        :param flags: whether deterministic, None where that is open or makes no difference; whether state, starts and
            masks are given; whether the network acts as in training
        """
        number = self._models.acts(actor)
        if self.acting is not None and self.acting[0] != number:
            self.earlier[self.acting[0]] = (self.acting, self.given, self.answer)
        self.earlier.pop(number, None)
        acting = (number, (how, self._lines.place(), *flags))
        self._acting_before = self.acting = self._acting_before if acting == self._acting_before else acting
        self.given = observation
        self._batch.asked(self.acting)

    def _masked(self, masks: Any) -> None:
        now = np.array(masks)
        is_same = masks is self._masks and np.array_equal(now, self._masks_then)
        self.masks_again = is_same and not self.masks_are_new  # an environment may give one array again and again
        self._masks, self._masks_then, self.masks_are_new = masks, now, False

    # --- What a step follows ---

    def row_of(self, watched: Watched) -> int | None:
        """Of the last answer, the row that is for a single environment; None where all of it is."""
        self.acting, row = self._batch.of(watched.number, self.acting, self.answer, watched.action_shape)
        return row

    def choose(self, watched: Watched, action: Any, others: Iterable[Watched]) -> dict[Acting, bool]:
        """Where several models were asked since the last step, let this one follow the request that it belongs to.

        Where another environment's observation was given, too, models act side by side, each in an environment of its
        own. Else the step is of the one model that was given this environment's, if its action is taken; where all were
        given it, of the one that has acted in it so far; and otherwise of the last one that was asked.

        :param watched: the environment that was stepped
        :param others: all other ones
        :return: of several models that were all given this environment's observation, and that of no other one, whether
            the action is the one that each gave; empty otherwise
        """
        asked = {**self.earlier}
        if self.acting is not None:
            asked[self.acting[0]] = (self.acting, self.given, self.answer)
        self.earlier.clear()
        before = None if watched.run is None else watched.run.model
        given_others = {model for other in others for model in _given_by(other, asked)}
        own, elsewhere = _given_by(watched, asked), [model for model in asked if model in given_others]
        several = len(own) == len(asked) > 1 and not elsewhere
        if own and elsewhere:
            chosen = min(own, key=lambda model: (model in elsewhere, model != before))
            self.earlier.update({model: asked[model] for model in elsewhere if model != chosen})
        elif len(own) == 1 and (self.acting is None or is_answer(action, asked[own[0]][2])):
            chosen = own[0]
        elif several:
            chosen = before if before in own else own[-1]
        else:
            return {}
        self.acting, self.given, self.answer = asked[chosen]
        return {acting: is_answer(action, answer) for acting, _, answer in asked.values()} if several else {}


def _given_by(watched: Watched, asked: Mapping[int | None, Request]) -> list[int | None]:
    """The models that were given what an environment returned last; where none was given just that, a copy of it."""
    same = [model for model, (_, given, _) in asked.items() if given is watched.returned]
    return same or [model for model, (_, given, _) in asked.items() if is_copy(given, watched.returned)]
