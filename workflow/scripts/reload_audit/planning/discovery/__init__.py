"""Find external models in folders and tables, and what is known about them, without executing anything.

May import: reading, repository, records, planning.
Imported by: planning, observing, command.
"""
