"""Read the files of ``--configfile`` before Snakemake does, which says neither which of them is wrong nor where.

usage: python configfiles.py ARGUMENTS_OF_SNAKEMAKE
"""

import argparse
import sys
from collections.abc import Sequence

from reload_audit.planning.configuration import ConfigError, read_configuration


def main(arguments: Sequence[str]) -> str | None:
    """What is wrong with the configuration files among Snakemake's arguments, as a message; None where nothing is."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", action="extend", default=[])
    problems = []
    for file in parser.parse_known_args(arguments)[0].configfile:
        try:
            read_configuration(file)
        except ConfigError as error:
            problems.append(str(error))
    return "\n".join(problems) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
