"""What is written to disk and passed between jobs: specs, episodes, steps, records of models and probes."""
