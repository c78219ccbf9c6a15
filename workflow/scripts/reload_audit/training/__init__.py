"""Train a model, save it, and record what it earns before its process ends.

May import: reading, processes, records, environments, remedies, models, evaluation.
Imported by: jobs, reload_audit.
"""
