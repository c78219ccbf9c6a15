"""Reload one model in fresh processes, one a condition, and measure what it earns now.

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
        mem_mb=3000,
        runtime=240,
    params:
        reload=AUDIT["reload"],
        verdict=AUDIT["verdict"],
        code=reload_code,
    message:
        "Reloading {wildcards.model}"
    script:
        "../scripts/reload.py"
