"""Run a model's episodes, at train time and after a reload, and find where two runs diverge.

May import: reading, processes, causes, records, judging, environments, remedies, models, forensics.
Imported by: training, probing, observing, diagnosis, jobs, reload_audit.
"""
