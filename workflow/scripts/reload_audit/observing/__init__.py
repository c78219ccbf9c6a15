"""Run a user's script as it is, and observe what it does with models and environments.

May import: reading, processes, records, planning.discovery, environments, remedies, models, forensics, evaluation.
Imported by: jobs.
"""
