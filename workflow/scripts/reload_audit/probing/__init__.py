"""Whether an environment is reproducible: the same seeds and actions twice, with one thing changed."""
