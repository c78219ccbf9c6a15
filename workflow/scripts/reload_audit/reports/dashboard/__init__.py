"""The HTML report: one page that works offline.

May import: causes, records, judging, results, reports.
Imported by: scripts.
"""
