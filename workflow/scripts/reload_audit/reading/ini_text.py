"""Read INI files that anybody may have written, bounded in size."""

from __future__ import annotations

import configparser

from reload_audit.reading import limits


def parse_ini(text: str) -> dict[str, dict[str, str]]:
    """The options of each section; those of ``[DEFAULT]`` are in all, and it is one itself. Names keep their capitals.

    :raises ValueError: it is no INI file, or a very large one
    """
    if len(text) > limits.INI_CHARACTERS or any(len(line) > limits.INI_LINE for line in text.splitlines()):
        raise ValueError(f"more than {limits.INI_CHARACTERS:,} characters, or {limits.INI_LINE:,} in a line")
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # names keep their capitals
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(str(error)) from None
    if len(parser.defaults()) * len(parser.sections()) > limits.YAML_VALUES:
        raise ValueError(f"more than {limits.YAML_VALUES:,} values")
    return {name: dict(section) for name, section in parser.items() if section}
