"""Train a model, save it, and record what it earns before its process ends."""
