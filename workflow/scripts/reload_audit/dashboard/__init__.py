"""The HTML report of an audit: one file that works offline, from ``audit.json`` alone."""

from reload_audit.dashboard.report import write_report

__all__ = ["write_report"]
