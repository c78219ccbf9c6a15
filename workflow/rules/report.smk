"""Put all models together: result tables, verdicts, report. `gate` turns verdicts into an exit status.

Input: one record per model, one probe per environment. Output: episodes, conditions, models, processes; audit.json; report.html and summary.txt.
"""

DASHBOARD = [
    f"reload_audit/dashboard/{name}"
    for name in ("report.html.j2", "macros.html.j2", "report.css", "report.js")
]


rule aggregate:
    input:
        records=expand("<results>/reloaded/{model}.json", model=MODELS)
        + expand("<results>/external/{batch}.json", batch=BATCHES),
        probes=expand("<results>/probes/{probe}.json", probe=PROBES),
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
        mem_mb=2000,
        runtime=30,
    params:
        settings={key: AUDIT[key] for key in ("evaluation", "verdict")}
        | {"reload": RELOAD},
        code=code_of("aggregate.py", "reload_audit/causes.yaml"),
    message:
        "Comparing train time and reload"
    script:
        "../scripts/aggregate.py"


rule report:
    input:
        "<results>/audit.json",
    output:
        html="<results>/report.html",
        summary="<results>/summary.txt",
    log:
        "<logs>/report.log",
    conda:
        CONDA_ENV
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_of("report.py", *DASHBOARD),
    message:
        "Writing {output.html}"
    script:
        "../scripts/report.py"


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
        fail_on=AUDIT["gate"]["fail_on"],
    message:
        "Looking for verdicts that must not pass: {params.fail_on}"
    script:
        "../scripts/gate.py"
