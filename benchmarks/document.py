"""Tables of simulations: printed, and written into a document between their marks."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path


def write_tables(about: str | None, trials: int, simulate: Callable[[int], Mapping[str, str]]) -> None:
    """Do what the command line says: ``[--trials N] [--write DOCUMENT]``.

    :param about: the description of the program
    :param trials: as many as are simulated where the command line does not say
    :param simulate: from a number of trials to tables by their names, as they stand in the document's marks
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=trials)
    parser.add_argument("--write", type=Path, metavar="DOCUMENT", help="takes the tables")
    options = parser.parse_args()
    tables = simulate(options.trials)
    for name, table in tables.items():
        print(f"{name}\n\n{table}\n")
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        for name, table in tables.items():
            begin, end = f"<!-- simulated: {name} -->\n", f"\n<!-- /simulated: {name} -->"
            text = f"{text.partition(begin)[0]}{begin}{table}{end}{text.partition(end)[2]}"
        options.write.write_text(text, encoding="utf-8")
