"""The command ``reload-audit``: it writes a configuration, starts the workflow on it, and ends as ``gate`` would.

May import: reading, processes, records, planning, planning.discovery, judging, results, reports.
Imported by: nothing.
"""
