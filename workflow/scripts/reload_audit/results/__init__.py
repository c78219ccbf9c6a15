"""Turn the records of all models into the result tables and audit.json.

May import: reading, processes, causes, records, judging, remedies, probing, diagnosis.
Imported by: reports, reports.dashboard, command, scripts.
"""
