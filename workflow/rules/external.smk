"""Audit models that others trained, some at a time: read them without executing anything, evaluate them, find claims.

Input: the files of a batch's models. Output: one file with the records of all of them. A model that cannot be read is a
record that says why.
"""


rule audit_external:
    input:
        files_of_batch,
    output:
        "<results>/external/{batch}.json",
    log:
        "<logs>/external/{batch}.log",
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=memory_of(auditing),
        runtime=minutes_of(auditing),
        gpu=gpus_of(auditing),
    params:
        models=models_of_batch,
        unwatched=odd_files_of_batch,
        policy=EXTERNAL_POLICY,
        reload=RELOAD,
        verdict=AUDIT["verdict"],
        code=external_code,
    message:
        "Auditing the models of {wildcards.batch}"
    script:
        "../scripts/audit_external.py"
