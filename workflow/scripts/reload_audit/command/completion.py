"""What completes commands, options and files in a shell, as that shell's own code."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from types import MappingProxyType

SHELLS = ("bash", "zsh", "fish", "tcsh")

_PATH_FIRST: Mapping[str, str] = MappingProxyType(
    {
        "bash": """
_reload_audit() {{
  case "${{COMP_WORDS[1]}}" in
    {either} | -*) ;;
    *)
      if [ "$COMP_CWORD" -gt 1 ]; then
        COMP_WORDS=(reload-audit {audit} "${{COMP_WORDS[@]:1}}")
        COMP_CWORD=$((COMP_CWORD + 1))
      fi
      ;;
  esac
  _shtab_reload_audit "$@"
}}
complete -o bashdefault -o default -F _reload_audit reload-audit
""",
        "zsh": """
functions[_reload_audit_commands]=$functions[_shtab_reload_audit_commands]
_shtab_reload_audit_commands() {{
  _reload_audit_commands
  _files
}}
_reload_audit() {{
  if (( CURRENT > 2 )) && [[ $words[2] != ({either}|-*) ]]; then
    words=(reload-audit {audit} "${{(@)words[2,-1]}}")
    (( CURRENT += 1 ))
  fi
  _shtab_reload_audit "$@"
}}
compdef _reload_audit -N reload-audit
""",
        "fish": """
function _shtab_reload_audit_using
  _shtab_reload_audit_scan
  if test -z "$_shtab_reload_audit_cmdpath" -a $_shtab_reload_audit_npos -gt 0
    set -g _shtab_reload_audit_cmdpath {audit}
  end
  test "$_shtab_reload_audit_cmdpath" = "$argv"
end
complete -c reload-audit -n '_shtab_reload_audit_using; and test $_shtab_reload_audit_npos -eq 0' \\
  -ka "(__fish_complete_path (commandline -ct))"
""",
    }
)
"""By shell: a path may stand where a command does, and the options of {audit} follow it. To be formatted."""


def completion(
    shell: str,
    parser: argparse.ArgumentParser,
    commands: Mapping[str, argparse.ArgumentParser],
    files: Iterable[argparse.Action],
    audit: str,
) -> str:
    """The code.

    :param shell: of ``SHELLS``
    :param parser: of the whole command line
    :param commands: the parsers of its commands by their names
    :param files: the arguments that take a path
    :param audit: the command that is meant where none is named
    :raises ImportError: shtab is missing, which knows the shells
    """
    import shtab

    for action in files:
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    rest = _PATH_FIRST.get(shell, "").format(either="|".join(commands), audit=audit)
    return f"{shtab.complete(parser, shell=shell)}\n{rest}"
