"""Decide whether a reward is the same or lost: margin, tests, verdicts, and the wording of their reasons.

May import: reading, records.
Imported by: evaluation, diagnosis, jobs, results, reports, reports.dashboard, command, scripts, rules.
"""
