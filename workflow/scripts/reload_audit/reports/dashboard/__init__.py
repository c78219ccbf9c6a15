"""The HTML report: one page that works offline.

May import: causes, records, judging, reports.
Imported by: scripts.
"""
