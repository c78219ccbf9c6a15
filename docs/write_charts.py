"""Write the charts of the report's page as its browser draws them, and those of the figures.

`make charts` runs it after charts.py was edited.
"""

from __future__ import annotations

from pathlib import Path

from reload_audit.reports.dashboard import charts, figures, report

if __name__ == "__main__":
    Path(report.__file__).with_name("page").joinpath(Path(report.CHARTS).name).write_text(charts.compiled(), "utf-8")
    Path(figures.__file__).with_name(figures.CHARTS).write_text(charts.for_figures(), "utf-8")
