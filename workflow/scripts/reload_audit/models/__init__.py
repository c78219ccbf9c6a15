"""Save, load and describe models, and find what they are claimed to have earned.

May import: reading, processes, records, environments.
Imported by: evaluation, training, forensics, probing, observing, diagnosis, jobs.
"""
