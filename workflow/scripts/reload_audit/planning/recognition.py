"""Try guesses of environments in a process of its own: planning itself imports no Gymnasium."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reload_audit.planning.resolved import Configuration
from reload_audit.processes.search_path import for_children, named_in_environment, with_library
from reload_audit.records.guesses import Guess, Tried


@dataclass(frozen=True)
class Recognition:
    """Tries guesses.

    :param script: ``workflow/scripts/recognise.py``
    :param log: takes what environments print
    """

    config: Configuration
    script: Path
    log: Path

    def __call__(self, guesses: Sequence[Guess]) -> list[Tried]:
        """What becomes of each guess; where that cannot be told, every id counts as known and fitting."""
        answers = self._answers(guesses) if guesses else []
        if answers is None:
            return [Tried((guess.env,) if guess.env else (), known=True) for guess in guesses]
        return [Tried.from_dict(answer) for answer in answers]

    def _answers(self, guesses: Sequence[Guess]) -> list[dict[str, object]] | None:
        if importlib.util.find_spec("gymnasium") is None:  # jobs bring their own software
            return None
        asked = {
            "guesses": [guess.to_dict() for guess in guesses],
            "trust": self.config["trust"],
            "env_versions": self.config["env_versions"],
        }
        done = subprocess.run(
            [sys.executable, str(self.script), str(self.log), str(self.config["reload"]["memory"])],
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **for_children(with_library(named_in_environment()))},
            text=True,
        )
        try:
            answers = json.loads(done.stdout)
        except ValueError:
            return None
        return answers if isinstance(answers, list) else None
