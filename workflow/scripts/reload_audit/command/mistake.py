"""What the user of the command has to change."""


class Mistake(Exception):
    """The command cannot do what it is told; the message says what was expected, what was found, and what to change."""
