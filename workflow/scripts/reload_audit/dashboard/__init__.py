"""The HTML report: a self-contained page that answers whether saved models still earn their train-time reward."""

from reload_audit.dashboard.figures import write_figures
from reload_audit.dashboard.report import write_report

__all__ = ["write_figures", "write_report"]
