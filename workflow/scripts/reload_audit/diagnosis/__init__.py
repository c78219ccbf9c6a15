"""Explain why a model earns something else: examine it, plan trials, and rank the causes that evidence speaks for.

May import: reading, processes, causes, records, judging, environments, models, evaluation, forensics.
Imported by: jobs, results.
"""
