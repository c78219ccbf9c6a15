"""The models of a script, and what becomes of them while it runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from reload_audit.observing.normalizations_seen import observed_samples
from reload_audit.records.digests import digest
from reload_audit.records.observation import Line, Made, ObservedModel


@dataclass
class _Model:
    """A model of the script. The object is kept, so that no other one gets its ``id()``."""

    model: BaseAlgorithm
    seen: ObservedModel
    set_from: list[str] = field(default_factory=list)


class ModelsSeen:
    """The models that a script has made, numbered in this order.

    :param folder: takes the weights that the script acted with
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: list[_Model] = []
        self._acting: dict[int, tuple[Any, int | None]] = {}

    def __getitem__(self, number: int) -> BaseAlgorithm:
        return self._models[number].model

    def number_of(self, actor: Any) -> int | None:
        """The number of a model, by itself or by its policy; the last one's, if several share it."""
        for number in range(len(self._models) - 1, -1, -1):
            model = self._models[number].model
            if actor is model:
                return number
            policy = getattr(model, "policy", None)
            parts = (getattr(policy, name, None) for name in ("actor", "q_net", "quantile_net"))
            if actor is policy or any(part is actor for part in parts):
                return number
        return None

    def made(self, model: BaseAlgorithm, made: Made, line: Line | None, path: str | None, loaded_on: Any) -> None:
        """A model was constructed, or loaded.

        :param line: of the script
        :param loaded_on: the model that ``load`` was called on; None where it was a class
        """
        number = None if loaded_on is None else self.number_of(loaded_on)
        seen = ObservedModel(type(model).__name__, made, line, path, number)
        self._acting.clear()
        self._models.append(_Model(model, replace(seen, weights=_weights_digest(model))))

    def parameters_set(self, model: BaseAlgorithm, source: Any, line: Line | None) -> None:
        """Parameters were put into a model: those of a file, or others, by a line of the script."""
        one, path = self._of(model), absolute(source, ".zip")
        if one is not None:
            one.set_from.append(path or "")
            if path is not None:
                one.seen = replace(one.seen, weights=_weights_digest(model), set_line=None)
            else:
                self.parameters_changed(model, line)

    def parameters_changed(self, actor: Any, line: Line | None) -> None:
        """A line of the script gave a model, or its policy, other parameters."""
        number = self.number_of(actor)
        if number is not None:
            one = self._models[number]
            again = bool(one.seen.weights_acting)
            one.seen = replace(one.seen, set_again_line=line) if again else replace(one.seen, set_line=line)

    def took_nothing(self, policy: Any, line: Line | None, kept_under: str) -> None:
        """A policy found none of its parameters in what it was given."""
        number = self.number_of(policy)
        if number is not None:
            one = self._models[number]
            one.seen = replace(one.seen, took_nothing=line, kept_under=kept_under)

    def saved(self, model: BaseAlgorithm, path: str) -> None:
        """A model was saved."""
        one = self._of(model)
        if one is not None:
            one.seen = replace(one.seen, saved=(*one.seen.saved, path))

    def learns(self, model: BaseAlgorithm) -> None:
        """A model is about to be trained."""
        one, normalize = self._of(model), model.get_vec_normalize_env()
        if one is not None:
            count = -1.0 if normalize is None else observed_samples(normalize)
            one.seen = replace(one.seen, learn_count=count)

    def learned(self, model: BaseAlgorithm, steps: int, line: Line | None) -> None:
        """A model was trained.

        One of the script's own that has acted before is another model from now on; of one that was loaded it does not
        count.
        """
        one = self._of(model)
        if one is not None and one.seen.weights_acting and one.seen.made == "constructed" and not one.set_from:
            one = _Model(model, replace(one.seen, learned=0, saved=(), weights_acting=""))
            self._models.append(one)
            self._acting.clear()
        if one is not None and not one.seen.weights_acting:
            learned, normalize = one.seen.learned + steps, model.get_vec_normalize_env()
            one.seen = replace(one.seen, learned=learned, learn_line=line, learn_statistics="")
            one.seen = replace(one.seen, weights_learned=_weights_digest(model))
            if normalize is not None:
                statistics = str(self._folder / f"trained{self.number_of(model)}.pkl")
                normalize.save(statistics)  # may raise
                one.seen = replace(one.seen, learn_statistics=statistics)

    def acts(self, actor: Any) -> int | None:
        """A model, or its policy, is asked for actions; its weights are kept when this is the first time.

        A policy that was loaded by itself is that of the last model with its parameters.

        :return: its number; None for a policy of none
        """
        known = self._acting.get(id(actor))
        if known is not None and known[0] is actor:
            return known[1]
        number = self.number_of(actor)
        number = self._of_parameters_of(actor) if number is None else number
        self._acting[id(actor)] = (actor, number)
        if number is None:
            return None
        one = self._models[number]
        if not one.seen.weights_acting:
            one.seen = replace(one.seen, weights_acting=_weights_digest(one.model))
            one.model.save(self._folder / f"model{number}.zip")
        return number

    def _of_parameters_of(self, policy: Any) -> int | None:
        own = digest(policy.state_dict()) if isinstance(policy, BasePolicy) else ""
        numbers = range(len(self._models) - 1, -1, -1)
        return next((number for number in numbers if own == _weights_digest(self._models[number].model) != ""), None)

    def record(self) -> list[ObservedModel]:
        """The models at the script's end; one that was trained, never saved, and never acts, is kept."""
        return [self._recorded(number, one) for number, one in enumerate(self._models)]

    def _recorded(self, number: int, one: _Model) -> ObservedModel:
        seen = replace(one.seen, set_from=tuple(one.set_from), weights_last=_weights_digest(one.model))
        if seen.learned and not seen.weights_acting and not seen.saved:
            kept = self._folder / f"trained{number}.zip"
            one.model.save(kept)
            seen = replace(seen, kept=str(kept))
        return seen

    def _of(self, model: BaseAlgorithm) -> _Model | None:
        number = self.number_of(model)
        return None if number is None else self._models[number]


def absolute(source: Any, ending: str) -> str | None:
    """The absolute path of a file that SB3 was asked to read, which adds the ending; None for what is no path."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source)
    with_ending = path if path.suffix else path.with_suffix(ending)
    return str(path.absolute() if path.is_file() else with_ending.absolute())


def _weights_digest(model: BaseAlgorithm) -> str:
    """A digest of a policy's parameters; empty for a model that has none yet."""
    policy = getattr(model, "policy", None)
    return "" if policy is None or not hasattr(policy, "state_dict") else digest(policy.state_dict())
