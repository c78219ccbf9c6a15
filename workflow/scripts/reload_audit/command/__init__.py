"""The command ``reload-audit``: it writes a configuration, starts the workflow on it, and ends as ``gate`` would.

May import: reading, processes, planning, planning.discovery, reports.
Imported by: nothing.
"""
