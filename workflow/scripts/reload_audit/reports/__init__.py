"""What people read of an audit: console, Markdown, JUnit XML, corrections of model cards.

May import: reading, causes, records, judging, results.
Imported by: reports.dashboard, progress, command, scripts, rules.
"""
