"""Build environments from their specs, seed every episode in them, and record their steps.

May import: reading, processes, records.
Imported by: models, evaluation, training, forensics, probing, diagnosis.
"""
