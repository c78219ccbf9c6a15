"""Whether a reward is the same or lost: margin, tests and verdict of one model, and the wording of its reason."""
