"""What kind of thing a class of a repository is: an environment, a wrapper, ..."""

from __future__ import annotations

import ast

from reload_audit.repository.values import Class, External, Function


def is_environment(found: Class) -> bool:
    """Whether a class of the repository is an environment."""
    if is_wrapper(found):
        return _wraps_what_it_makes(found)
    bases = [base for base in found.lineage() if isinstance(base, External)]
    return any(_is_of_gym(base) and not _is_space(base) for base in bases)


def is_wrapper(found: Class) -> bool:
    """Whether a class of the repository wraps environments or VecEnvs."""
    bases = [base for base in found.lineage() if isinstance(base, External)]
    return any(
        base.last.endswith("Wrapper") or base.name.startswith("gymnasium.wrappers.") or base.last.startswith("Vec")
        for base in bases
    )


def _wraps_what_it_makes(found: Class) -> bool:
    """Whether a wrapper is made without an environment: it makes the one that it wraps, as ``gym.make(...)``."""
    start = found.find("__init__")
    of_many = any(isinstance(base, External) and base.last.startswith("Vec") for base in found.lineage())
    if of_many or not isinstance(start, Function) or isinstance(start.node, ast.Lambda):
        return False
    given = {one.arg for one in (*start.node.args.posonlyargs, *start.node.args.args, *start.node.args.kwonlyargs)}
    made = {
        target.id
        for node in ast.walk(start.node)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(start.node):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
            above = node.args[0:1] if isinstance(node.func.value, ast.Call) else node.args[1:2]  # `super()`, or a class
            wrapped = next(iter([*above, *(one.value for one in node.keywords if one.arg in _WRAPPED)]), None)
            names = {one.id for one in ast.walk(wrapped) if isinstance(one, ast.Name)} if wrapped is not None else set()
            if isinstance(wrapped, ast.Name):
                return wrapped.id in made - given
            return isinstance(wrapped, ast.Call) and not names & given & _WRAPPED
    return False


_WRAPPED = {"env", "venv", "environment"}


def _is_of_gym(base: External) -> bool:
    return base.last.endswith("Env") or base.name.startswith("gymnasium.envs.")


def _is_space(base: External) -> bool:
    return ".spaces." in base.name or base.last == "VecEnv"


def has_libraries(found: Class) -> bool:
    return any(isinstance(base, External) and base.name != "builtins.object" for base in found.lineage())
