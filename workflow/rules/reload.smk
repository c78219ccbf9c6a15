"""Reload one model in fresh processes, one per condition, and measure what it earns now.

Input: the model's folder. Output: one record with every episode, check and process.
"""

reloading = Asking(by("model", PLAN.reload_request))


rule reload:
    input:
        "<results>/trained/{model}",
    output:
        "<results>/reloaded/{model}.json",
    log:
        "<logs>/reload/{model}.log",
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=reloading.mem_mb,
        runtime=reloading.runtime,
        gpu=reloading.gpu,
    params:
        reload=PLAN.reload_settings,
        verdict=PLAN.config["verdict"],
        code=by("model", PLAN.reload_code),
    message:
        "Reloading {wildcards.model}"
    script:
        "../scripts/reload.py"
