"""Find external models in folders and tables, and what is known about them, without executing anything.

May import: reading, planning.
Imported by: jobs, rules.
"""
