"""Write the charts of the report's page as its browser draws them. `make charts` runs it after charts.py was edited."""

from __future__ import annotations

from pathlib import Path

from reload_audit.reports.dashboard import charts, report

if __name__ == "__main__":
    Path(report.__file__).with_name("page").joinpath(Path(report.CHARTS).name).write_text(charts.compiled(), "utf-8")
