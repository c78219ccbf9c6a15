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
        mem_mb=AUDIT["reload"]["memory"] + OVERHEAD_MB,
        runtime=AUDIT["reload"]["timeout"] * (RELOAD_CONDITIONS + DIAGNOSIS) // 60
        + OVERHEAD_MINUTES,
    params:
        reload=RELOAD,
        verdict=AUDIT["verdict"],
        code=reload_code,
    message:
        "Reloading {wildcards.model}"
    script:
        "../scripts/reload.py"
