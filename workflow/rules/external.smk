"""Audit external models, a batch in each job: read them without executing anything, evaluate them, find claims.

Input: the files of a batch's models. Output: one file with the records of all of them. A model that cannot be read is a
record that says why.
"""

auditing = Asking(by("batch", PLAN.batch_request))


rule audit_external:
    input:
        by("batch", PLAN.batch_inputs),
    output:
        "<results>/external/{batch}.json",
    log:
        "<logs>/external/{batch}.log",
    priority: 1  # before any training: people see verdicts as they fall
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=auditing.mem_mb,
        runtime=auditing.runtime,
        gpu=auditing.gpu,
    params:
        models=by("batch", PLAN.batch_models),
        unwatched=by("batch", PLAN.batch_unwatched),
        policy=PLAN.external_policy,
        reload=PLAN.reload_settings,
        verdict=PLAN.config["verdict"],
        code=by("batch", PLAN.batch_code),
    message:
        "Auditing the models of {wildcards.batch}"
    script:
        "../scripts/audit_external.py"
