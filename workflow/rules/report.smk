"""Put all models together: result tables, verdicts, report, summaries. `gate` turns verdicts into an exit status.

Input: one record per model, one probe per environment. Output: episodes, conditions, models, processes; audit.json;
replays.json where it is asked for; report.html; summary.txt, summary.md, junit.xml and patches of model cards.
"""

aggregation = Asking(always(PLAN.aggregation_request))
filming = Asking(always(PLAN.replay_request))


# They read one JSON file: the queue of a cluster would take longer.
localrules:
    summarize,
    gate,


rule aggregate:
    input:
        models=model_records,
        probes=always(PLAN.probe_records),
        scripts=always(PLAN.script_records),
        baseline=PLAN.baseline_files,
    output:
        episodes="<results>/episodes.parquet",
        conditions="<results>/conditions.parquet",
        models="<results>/models.parquet",
        models_csv="<results>/models.csv",
        processes_csv="<results>/processes.csv",
        audit="<results>/audit.json",
    log:
        "<logs>/aggregate.log",
    conda:
        CONDA_ENV
    resources:
        mem_mb=aggregation.mem_mb,
        runtime=aggregation.runtime,
    params:
        records=always(PLAN.model_records),
        settings=PLAN.aggregation_settings,
        passed_over=PLAN.passed_over,
        baseline=PLAN.baseline_settings,
        compare=PLAN.compared_pairs,
        code=always(PLAN.code.of_script_with_data, "aggregate.py"),
    message:
        "Comparing train time and reload"
    script:
        "../scripts/aggregate.py"


# Runs where the configuration has `replay: true`.
rule replay:
    input:
        "<results>/audit.json",
    output:
        "<results>/replays.json",
    log:
        "<logs>/replay.log",
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=filming.mem_mb,
        runtime=filming.runtime,
        gpu=filming.gpu,
    params:
        records=always(PLAN.model_records),
        trained=PLAN.training.folder(""),
        policy=PLAN.external_policy,
        reload=PLAN.reload_settings,
        verdict=PLAN.config["verdict"],
        code=always(PLAN.code.of_script, "replay.py"),
    message:
        "Filming where reloads part from what was before"
    script:
        "../scripts/replay.py"


rule report:
    input:
        audit="<results>/audit.json",
        episodes="<results>/episodes.parquet",
        history=PLAN.history_files,
        replays=PLAN.replay_files,
    output:
        html=report(
            "<results>/report.html",
            caption="../report/dashboard.rst",
            category="Reload audit",
            labels={"result": "dashboard", "models": "all"},
        ),
        figures=report(
            directory("<results>/figures"),
            patterns=["{figure}.svg"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
    log:
        "<logs>/report.log",
    conda:
        CONDA_ENV
    resources:
        mem_mb=aggregation.mem_mb,
        runtime=aggregation.runtime,
    params:
        folders={"results": FOLDERS.results, "logs": FOLDERS.logs},
        code=always(PLAN.code.of_script_with_data, "report.py"),
    message:
        "Writing {output.html}"
    script:
        "../scripts/report.py"


rule summarize:
    input:
        "<results>/audit.json",
    output:
        text=report(
            "<results>/summary.txt",
            caption="../report/summary.rst",
            category="Reload audit",
            labels={"result": "summary", "models": "the worst"},
        ),
        markdown="<results>/summary.md",
        junit="<results>/junit.xml",
        flagged=report(
            "<results>/flagged.csv",
            caption="../report/flagged.rst",
            category="Reload audit",
            labels={"result": "table", "models": "flagged"},
        ),
        model_cards=directory("<results>/model_cards"),
    log:
        "<logs>/summarize.log",
    conda:
        CONDA_ENV
    params:
        failed_tests=[
            word
            for word in (
                *("suspect", "environment", "script", "regressed"),
                *("candidate", "candidate_open"),
            )
            if word in PLAN.config["gate"]["fail_on"]
        ],
        code=always(PLAN.code.of_script_with_data, "summarize.py"),
    message:
        "Writing {output.text}, {output.markdown} and {output.junit}"
    script:
        "../scripts/summarize.py"


rule gate:
    input:
        audit="<results>/audit.json",
        summary="<results>/summary.txt",
    log:
        "<logs>/gate.log",
    retries: 0
    conda:
        CONDA_ENV
    params:
        fail_on=PLAN.config["gate"]["fail_on"],
    message:
        "Looking for verdicts that must not pass: {params.fail_on}"
    script:
        "../scripts/gate.py"
