"""Start fresh processes, and report what went wrong in them: crashes, time, memory, full disks.

May import: reading.
Imported by: records, planning, environments, models, evaluation, training, probing, observing, diagnosis, jobs,
results, progress, command, rules, scripts.
"""
