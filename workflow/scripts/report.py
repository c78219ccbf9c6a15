"""Rule report: the HTML report and the closing summary."""

from pathlib import Path

from reload_audit.dashboard import write_report
from reload_audit.logs import job_log
from reload_audit.records import read_json, write_text
from reload_audit.summary import summarize


def main(audit: Path, html: Path, summary: Path) -> None:
    content = read_json(audit)
    write_report(content, html)
    write_text(summary, summarize(content, str(html)))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        main(Path(snakemake.input[0]), Path(snakemake.output.html), Path(snakemake.output.summary))
