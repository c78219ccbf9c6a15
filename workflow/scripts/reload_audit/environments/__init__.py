"""Build environments from their specs, seed every episode in them, and record their steps.

May import: reading, processes, causes, records.
Imported by: models, evaluation, training, forensics, probing, observing, diagnosis, jobs, reload_audit.
"""
