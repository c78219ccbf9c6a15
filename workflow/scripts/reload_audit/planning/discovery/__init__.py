"""Find external models in folders and tables, and what is known about them, without executing anything.

May import: reading, records, planning.
Imported by: planning.
"""
