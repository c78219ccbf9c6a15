"""Rule report: write the HTML report, and its main plots as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reload_audit.processes.job_log import job_log
from reload_audit.records.replay import read_replays
from reload_audit.records.storage import DamagedFileError
from reload_audit.reports.audit import Audit, read_audit, with_stand_ins
from reload_audit.reports.dashboard.figures import write_figures
from reload_audit.reports.dashboard.history import read_history
from reload_audit.reports.dashboard.report import write_report


def main(
    audit: Path,
    episodes: Path,
    html: Path,
    figures: Path,
    folders: Mapping[str, str],
    history: Sequence[str] = (),
    replays: Sequence[str] = (),
) -> None:
    earlier = read_history(map(Path, history))
    filmed = {name: replay for file in replays for name, replay in read_replays(Path(file)).items()}

    def write(content: Audit) -> None:
        write_report(content, html, episodes, folders, earlier, filmed)
        write_figures(content, figures)

    with_stand_ins(read_audit(audit), write)


if __name__ == "__main__":
    with job_log(snakemake.log[0], expected=DamagedFileError):
        files = (snakemake.input.audit, snakemake.input.episodes, *snakemake.output)
        main(*map(Path, files), snakemake.params.folders, snakemake.input.history, snakemake.input.replays)
