"""One sentence that answers an audit's question: do the models still earn what they earned?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from reload_audit.judging.criteria import NOTHING_LOST
from reload_audit.reports import since
from reload_audit.reports.audit import Audit
from reload_audit.reports.environments import environments_answer
from reload_audit.reports.scripts import scripts_answer

TRAIN_TIME, CLAIMED = "train-time reward", "claimed reward"


def headline(audit: Audit) -> str:
    """One sentence about the models of an audit, its scripts, environments and candidates, and what has changed."""
    changes = "" if audit.since is None else since.answer(audit.since)
    scripts, environments = scripts_answer(audit.scripts), environments_answer(audit.environments)
    if audit.models or not (audit.scripts or audit.environments):
        said = [_models_answer(audit), scripts, environments]
    elif audit.scripts:
        said = [scripts, environments]
    else:
        alone = environments_answer(audit.environments, alone=True)
        said = [alone[0].upper() + alone[1:]]
    said += [since.candidates_answer(audit.candidates), changes]
    return "; ".join(part.removesuffix(".") for part in said if part) + "."


def _models_answer(audit: Audit) -> str:
    models = audit.models
    counts = Counter[str](model.verdict for model in models)
    unclaimed = sum(model.obstacle == "no_claim" for model in models)
    suspect = sum(model.suspect for model in models)
    return answer(counts, reward_name(model.was_measured for model in models), unclaimed, suspect)


def answer(counts: Mapping[str, int], reward: str = TRAIN_TIME, unclaimed: int = 0, suspect: int = 0) -> str:
    """One sentence: how many models still earn the reward they are compared with, and what became of the others.

    :param reward: what that reward is called, see :func:`reward_name`
    :param unclaimed: how many of the inconclusive models nothing is claimed of
    :param suspect: how many of the inconclusive models are suspect
    """
    total = sum(counts.values())
    if total == 0:
        return "No models were audited."
    earning = sum(counts.get(verdict, 0) for verdict in (*NOTHING_LOST, "improved"))
    if earning == 0:
        return _answer_without_success(counts, total, reward, unclaimed, suspect)
    more = counts.get("improved", 0)
    if total == 1:
        subject, verb, whose = "The model", "earns", "its"
    elif earning == total:
        subject, verb, whose = "Both models" if total == 2 else f"All {total:,} models", "earn", "their"
    else:
        verb, whose = ("earns", "its") if earning == 1 else ("earn", "their")
        subject = f"{earning:,} of {total:,} models"
    extra = "" if more == 0 else ", and more" if more == earning else f", {more:,} of them more"
    others = _others(counts, suspect)
    return f"{subject} still {verb} {whose} {reward} after reload{extra}{'; ' if others else ''}{others}."


def reward_name(measured: Iterable[bool]) -> str:
    """What the reward is called that reloads are compared with.

    :param measured: for each model, whether it was measured at train time; otherwise somebody claims it
    """
    kinds = set(measured)
    return f"train-time or {CLAIMED}" if len(kinds) == 2 else CLAIMED if kinds == {False} else TRAIN_TIME


def _answer_without_success(counts: Mapping[str, int], total: int, reward: str, unclaimed: int, suspect: int) -> str:
    """The sentence where no model is known to earn its reward.

    An inconclusive or consistent model may well earn it: only ``degraded`` says that it does not.
    """
    if total == 1:
        models, all_are, earn = "the model", "it is", "earns its"
    else:
        models = "both models" if total == 2 else f"all {total:,} models"
        all_are, earn = ("both" if total == 2 else "all") + " are", "earn their"
    reward = f"{reward} after reload"
    if counts.get("degraded", 0) == total:
        return f"{models.capitalize()} no longer {earn} {reward}: {all_are} degraded."
    if counts.get("error", 0) == total:
        return f"{models.capitalize()} ended in an error: there is nothing to compare."
    if unclaimed == total:
        loads, it = ("loads and runs", "it") if total == 1 else ("load and run", "they")
        return f"{models.capitalize()} {loads}, but nothing says what {it} earned: {all_are} inconclusive."
    if counts.get("consistent", 0) == total:
        whose = (
            "it is consistent with its claim, which is" if total == 1 else f"{all_are} consistent with claims that are"
        )
        return f"Nothing speaks against {models}: {whose} too weak to show more."
    if counts.get("inconclusive", 0) == total:
        suspects = "" if not suspect else ", and suspect" if suspect == total else f", {suspect:,} of them suspect"
        return f"Whether {models} still {earn} {reward} is open: {all_are} inconclusive{suspects}."
    return f"None of the {total:,} models is known to still earn its {reward}: {_others(counts, suspect)}."


def _others(counts: Mapping[str, int], suspect: int) -> str:
    """``6 are degraded, 2 are suspect, 3 more are inconclusive and 1 ended in an error``."""
    more = "more " if suspect else ""
    said = (
        (counts.get("degraded", 0), "is degraded", "are degraded"),
        (suspect, "is suspect", "are suspect"),
        (counts.get("inconclusive", 0) - suspect, f"{more}is inconclusive", f"{more}are inconclusive"),
        (counts.get("consistent", 0), "is consistent with its claim", "are consistent with their claims"),
        (counts.get("error", 0), "ended in an error", "ended in an error"),
    )
    parts = [f"{n:,} {one if n == 1 else many}" for n, one, many in said if n]
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
