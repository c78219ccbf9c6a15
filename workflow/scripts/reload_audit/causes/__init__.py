"""The catalogue of causes that the audit can name, and the findings of instruments that speak for them.

May import: reading.
Imported by: records, planning, environments, evaluation, forensics, probing, diagnosis, results, reports,
reports.dashboard.
"""
