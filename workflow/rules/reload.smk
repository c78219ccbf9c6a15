"""Reload the models of a batch in fresh processes, one per condition, and measure what they earn now.

Input: what says that all are trained. Output: a file that says that all are reloaded. Each model has a record of its own,
<results>/reloaded/<model>.json, with every episode, check and process; one that an earlier run of the job has finished
stays as it is.
"""

reloading = Asking(by("batch", PLAN.training.reload_request))


rule reload:
    input:
        "<results>/trained/.batches/{batch}.json",
    output:
        "<results>/reloaded/.batches/{batch}.json",
    log:
        "<logs>/reload/{batch}.log",
    priority: 1  # before any training: people see verdicts as they fall
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=reloading.mem_mb,
        runtime=reloading.runtime,
        gpu=reloading.gpu,
    params:
        models=by("batch", PLAN.training.members),
        codes=by("batch", PLAN.training.reload_codes),
        reload=PLAN.reload_settings,
        verdict=PLAN.config["verdict"],
        compared=by("batch", PLAN.compared_of_batch),
    message:
        "Reloading {wildcards.batch}"
    script:
        "../scripts/reload.py"
