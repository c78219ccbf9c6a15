"""Test whether an environment is reproducible: the same seeds and actions twice, with one thing changed.

May import: reading, processes, causes, records, environments, models, evaluation.
Imported by: jobs, results.
"""
