"""What kind of thing a class of a repository is: an environment, a wrapper, ..."""

from __future__ import annotations

from reload_audit.repository.values import Class, External


def is_environment(found: Class) -> bool:
    """Whether a class of the repository is an environment."""
    bases = [base for base in found.lineage() if isinstance(base, External)]
    return not is_wrapper(found) and any(_is_of_gym(base) and not _is_space(base) for base in bases)


def is_wrapper(found: Class) -> bool:
    """Whether a class of the repository wraps environments or VecEnvs."""
    bases = [base for base in found.lineage() if isinstance(base, External)]
    return any(
        base.last.endswith("Wrapper") or base.name.startswith("gymnasium.wrappers.") or base.last.startswith("Vec")
        for base in bases
    )


def _is_of_gym(base: External) -> bool:
    return base.last.endswith("Env") or base.name.startswith("gymnasium.envs.")


def _is_space(base: External) -> bool:
    return ".spaces." in base.name or base.last == "VecEnv"


def has_libraries(found: Class) -> bool:
    return any(isinstance(base, External) and base.name != "builtins.object" for base in found.lineage())
