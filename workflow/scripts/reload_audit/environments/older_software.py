"""Say of an error of an environment that older software would not raise it, and which line of whose code does."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

_SIGNS = {
    "numpy<1.24": r"was a deprecated alias for the builtin|setting an array element with a sequence.*inhomogeneous",
    "numpy<2": r"was removed in the NumPy 2|out of bounds for u?int\d+|only 0-dimensional arrays can be converted"
    r"|numpy\.core\.multiarray failed to import|'numpy\.ndarray' object has no attribute '(ptp|itemset|newbyteorder)'"
    r"|module 'numpy' has no attribute '(bool8|object0|int0|uint0|str0|bytes0|void0|product|cumproduct|sometrue|alltrue"
    r"|trapz|in1d|row_stack|msort|round_|asfarray|find_common_type)'",
    "gym<0.22": r"'numpy\.random\._generator\.Generator' object has no attribute '(rand|randn|randint|random_sample)'",
    "gym<0.26": r"to unpack \(expected 5, got 4\)|too many values to unpack \(expected 4",
}
"""What code was written for, by what newer software says of it."""

_NEWER = ("numpy", "gymnasium", "stable_baselines3", "sb3_contrib", "shimmy", "reload_audit")
"""Packages that are of today, so that a line of theirs is not what has to change."""


def needs_older_software(error: BaseException) -> str:
    """The line that an error comes from and the older software it was written for; empty for all other errors."""
    said = " ".join(str(error).split())
    wanted = next((software for software, sign in _SIGNS.items() if re.search(sign, said)), None)
    if wanted is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    if wanted == "gym<0.26" and not (frames and "step(" in (frames[-1].line or "")):
        return ""  # other things are unpacked, too
    lines = [frame for frame in frames if not _is_of_today(frame.filename)]
    where = f"{_shown(lines[-1].filename)}:{lines[-1].lineno} ({lines[-1].line}): " if lines else ""
    return (
        f"{where}{type(error).__name__}: {said[:500]}; this is code for {wanted}: change that line, or run this audit "
        "with a stack of older software, such as the one that the model was trained with"
    )


def _is_of_today(file: str) -> bool:
    return file.startswith("<") or not {*Path(file).parts}.isdisjoint(_NEWER) or _is_of_python(file)


def _is_of_python(file: str) -> bool:
    return Path(file).is_relative_to(sysconfig.get_path("stdlib")) and "site-packages" not in Path(file).parts


def _shown(file: str) -> str:
    """A file's path within its package or folder, which is the same on every machine."""
    parts = Path(file).parts
    installed = parts.index("site-packages") + 1 if "site-packages" in parts else len(parts) - 2
    return "/".join(parts[installed:])
