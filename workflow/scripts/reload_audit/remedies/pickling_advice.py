"""What to do instead of pickling a stack of environments: the wording, and the code to paste.

No code that measures imports this module, so that rewording it makes no job run again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reload_audit.records.unpicklable_part import UnpicklablePart, Way

_SAVE_STATISTICS = """\
from reload_audit import NormalizeAsTrained, save_statistics

model.save("model.zip")
save_statistics(model, "statistics.npz")  # numbers only: no environment is pickled
# later: env = NormalizeAsTrained(gym.make("YourEnv-v0"), "statistics.npz")"""


@dataclass(frozen=True)
class Advice:
    """What to do about a part that cannot be pickled.

    :param remedy: one sentence
    :param code: to paste
    """

    remedy: str
    code: str


_STATISTICS_ONLY: dict[Way, Advice] = {
    "monitor environments": Advice(
        "Monitor each environment instead of the VecEnv, which make_vec_env does by itself, "
        "and save only the statistics.",
        f"""\
venv = VecNormalize(make_vec_env("YourEnv-v0", n_envs=8))  # with a Monitor inside, and no VecMonitor
...
{_SAVE_STATISTICS}""",
    ),
    "new wrapper": Advice(
        "Do not pickle the wrapper: save only the statistics, and put a new wrapper around new environments.",
        _SAVE_STATISTICS,
    ),
    "new processes": Advice(
        "Processes and pipes cannot move: save only the statistics, and start new processes from the same functions.",
        _SAVE_STATISTICS,
    ),
    "new environments": Advice(
        "Do not pickle the environments: save only the statistics, and build new environments where they are needed.",
        _SAVE_STATISTICS,
    ),
}


def advice(part: UnpicklablePart) -> Advice:
    """What to do instead of pickling a part."""
    if part.way == "move to module":
        return _move(part)
    if part.way in ("leave out", "leave out lock"):
        return _leave_out(part)
    return _STATISTICS_ONLY[part.way]


def _move(part: UnpicklablePart) -> Advice:
    word, keyword = ("function", "def") if part.kind == "function" else ("class", "class")
    name = part.name if part.name.isidentifier() else "a_name_of_its_own"
    return Advice(
        f"Move the {word} to the top level of a module, where pickle finds it by its name.",
        f"# my_module.py, at the top level\n{keyword} {name}(...): ...",
    )


def _leave_out(part: UnpicklablePart) -> Advice:
    attribute = re.split(r"[.\[{]", part.attribute)[0]
    made = "threading.Lock()" if part.way == "leave out lock" else "...  # as in __init__"
    return Advice(
        f"Leave the {part.kind} out when {part.layer} is pickled and make a new one afterwards, "
        "or do not pickle the environments.",
        f"""\
class {part.layer}(...):
    def __getstate__(self):
        return {{**self.__dict__, "{attribute}": None}}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.{attribute} = {made}""",
    )
