"""What a model's files show by themselves of why it earns something else; nothing in them is executed.

May import: reading, causes, records, environments, models.
Imported by: diagnosis.
"""
