"""Rule summarize: write the summary as text and as Markdown, flagged models, JUnit XML, patches of model cards."""

from collections.abc import Sequence
from pathlib import Path

from reload_audit.processes.job_log import job_log
from reload_audit.records.storage import DamagedFileError, write_text
from reload_audit.reports import markdown, summary
from reload_audit.reports.audit import Audit, read_audit, with_stand_ins
from reload_audit.reports.flagged import write_flagged
from reload_audit.reports.hub_results import write_results
from reload_audit.reports.junit import write_junit
from reload_audit.reports.model_cards import FOLDER, about_cards, suggestions, write_patches


def main(audit: Path, failed_tests: Sequence[str] = ()) -> None:
    results = audit.parent
    report = str(results / "report.html")

    def write(content: Audit) -> None:
        cards = suggestions(content)
        write_patches(cards, results / FOLDER)
        write_results(content, results / FOLDER)
        write_flagged(results / "flagged.csv", content.models)
        write_junit(content, results / "junit.xml", failed_tests)
        write_text(results / "summary.txt", summary.summarize(content, report, about_cards(cards)))
        write_text(results / "summary.md", markdown.summarize(content, report, cards))

    with_stand_ins(read_audit(audit), write)


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=DamagedFileError):
        main(Path(snakemake.input[0]), snakemake.params.failed_tests)
