"""Whether what was found of a model can be handed on to jobs: written as JSON, named, searched for the user's code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from reload_audit.reading.refusal import unforeseen
from reload_audit.records.culprits import culprits
from reload_audit.records.probe_names import probe_name
from reload_audit.records.specs import ExternalSpec


def usable(
    models: Sequence[ExternalSpec], digest_of_code: Callable[[Iterable[tuple[Sequence[str], object]]], str]
) -> list[ExternalSpec]:
    """The models, those that planning cannot hand on with that as their problem.

    :param digest_of_code: gives the digest of the user's own code that models name, each with its folders of modules
    """

    def hand_on(some: Sequence[ExternalSpec]) -> None:
        data = [model.to_dict() for model in some]
        try:
            json.dumps(data, allow_nan=False).encode()
            # Most models share theirs with others.
            different = {json.dumps(model["environment"]): model["environment"] for model in data}
            digest_of_code((environment["python_path"], environment) for environment in different.values())
            for environment in different.values():
                probe_name(environment)
        except OSError as error:  # of a name that is no file's name: it is the model's fault, not the machine's
            raise ValueError(str(error)) from None

    try:
        hand_on(models)
    except Exception:
        faulty = culprits(models, hand_on)
        return [
            model.failed(f"its files cannot be used: {unforeseen(faulty[index])}") if index in faulty else model
            for index, model in enumerate(models)
        ]
    return list(models)
