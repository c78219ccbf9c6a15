"""Reload one model in fresh processes, one per condition, and measure what it earns now.

Input: the model's folder. Output: one record with every episode, check and process.
"""


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
        mem_mb=memory_of(reloading),
        runtime=minutes_of(reloading),
        gpu=gpus_of(reloading),
    params:
        reload=RELOAD,
        verdict=AUDIT["verdict"],
        code=reload_code,
    message:
        "Reloading {wildcards.model}"
    script:
        "../scripts/reload.py"
