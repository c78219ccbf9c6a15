"""What jobs write to disk and read again: specs, episodes, steps, and records of models and probes.

May import: reading, processes, causes.
Imported by: planning, planning.discovery, judging, environments, remedies, models, evaluation, training, forensics,
probing, observing, diagnosis, jobs, results, reports, reports.dashboard, command,
scripts.
"""
