"""Probe each distinct environment: what in it does reset(seed=...) not control, and why?

Input: the first of the models that were trained in it, whose own actions are used besides random ones. Output: one file
with every contrast. An environment that cannot be built, crashes or hangs is a result that says so.
"""


rule probe:
    input:
        model_of_probe,
    output:
        "<results>/probes/{probe}.json",
    log:
        "<logs>/probe/{probe}.log",
    priority: 1  # the longest of what runs towards the end: not last and alone
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=memory_of(probing),
        runtime=minutes_of(probing),
        gpu=gpus_of(probing),
    params:
        environment=probed_environment,
        found=found_model_of_probe,
        policy=policy_of_probe,
        probe=PROBE,
        code=probe_code,
    message:
        "Probing {wildcards.probe}"
    script:
        "../scripts/probe.py"
