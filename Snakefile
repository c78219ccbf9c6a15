"""Audit saved Stable-Baselines3 models: do they still earn what they earned when they were trained?

train (one job per model) -> reload (one job per model, fresh processes) -> aggregate -> report, summarize -> gate
models that others trained -> audit_external (some at a time) ---------------^
"""

from snakemake.utils import min_version

min_version("9.27")


report: "workflow/report/workflow.rst"


include: "workflow/rules/library.smk"


if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/found.smk"
include: "workflow/rules/environments.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/intact.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/reload.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/probe.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "<results>/report.html",
        "<results>/audit.json",
        "<results>/summary.txt",
        "<results>/summary.md",
        "<results>/junit.xml",
        "<results>/flagged.csv",
        "<results>/model_cards",


onstart:
    remember_external_models()
    check_experiments()
    LEDGER.close()
    plan_only_when_jobs_end()


onsuccess:
    LEDGER.write(results_of_audit())
    show_summary()


onerror:
    LEDGER.write(results_of_audit())
