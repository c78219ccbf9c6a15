"""What ``audit.json`` says of a script, and reports show."""

from __future__ import annotations

from dataclasses import dataclass

from reload_audit.records.plain_data import PlainData


@dataclass(frozen=True)
class ScriptCause(PlainData):
    """A line of a script that does otherwise than training did.

    :param where: ``file:line``; empty where no line of the user's code does it
    :param evidence: one sentence, with the numbers
    :param instead: what to write in place of the line; empty where that is not known
    :param cost: mean reward that it costs alone; None where that was not measured
    :param restores: mean reward that comes back when it alone is put right; None where that was not measured
    :param share: the larger of both as part of the gap; None where that was not measured
    :param together_with: causes without which it costs nothing: the numbers are then of all of them
    """

    cause: str
    where: str
    code: str
    evidence: str
    instead: str
    cost: float | None = None
    restores: float | None = None
    share: float | None = None
    together_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScriptEntry(PlainData):
    """A script, as reports show it.

    :param mean: the reward that it gives its user; None where it finished no episode
    :param std: of these rewards; None where ``mean`` is a number that it makes otherwise of them
    :param earned: mean reward of the same episodes in the environment
    :param model_mean: what its model earns, evaluated as an audit does; None where it cannot be
    :param reproduced: mean reward under the condition with everything that the script does otherwise
    :param agrees: whether that is what the script earned, as far as episodes can tell; None where not measured
    :param gap: what the model earns more than the script's episodes did; where that may be chance, what it earns more
        than under the conditions of the script
    :param differs: whether the gap is more than chance
    :param causes: the dearest first
    :param harmless: what it does otherwise, too, without a cost that can be seen
    :param model_n: episodes of ``model_mean``
    :param shown: what is to be said of the number that it prints, where that is not the mean of its episodes
    :param together: what all that it does otherwise costs together; None where not measured
    :param contradicted: what the model's zip says that it earned in training, where it earns less here for no reason
        that is known; empty otherwise
    """

    name: str
    model: str
    mean: float | None
    std: float | None
    n: int | None
    where: str
    earned: float | None
    model_mean: float | None
    model_std: float | None
    reproduced: float | None
    agrees: bool | None
    gap: float | None
    differs: bool
    causes: tuple[ScriptCause, ...]
    harmless: tuple[ScriptCause, ...]
    problem: str
    raised: str
    raised_at: str
    stopped: str
    remarks: tuple[str, ...]
    together: float | None = None
    model_n: int | None = None
    shown: str = ""
    contradicted: str = ""
