"""What a model's files show by themselves of why it earns something else: nothing is executed, no episode is run.

May import: reading, causes, records, models.
Imported by: diagnosis.
"""
