"""What a model's files alone prove about why it earns something else; no episode is run.

May import: reading, causes, records, environments, models.
Imported by: evaluation, observing, diagnosis.
"""
