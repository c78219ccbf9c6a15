"""Probe each distinct environment: what in it does reset(seed=...) not control, and why?

Input: the first of the models that were trained in it, whose own actions are tried besides random ones. Output: one file
with every contrast. An environment that cannot be built, crashes or hangs is a result that says so.
"""

probing = Asking(by("probe", PLAN.probing.request))


rule probe:
    input:
        by("probe", PLAN.probing.inputs),
    output:
        "<results>/probes/{probe}.json",
    log:
        "<logs>/probe/{probe}.log",
    priority: 2  # the longest of what runs towards the end: not last and alone
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=probing.mem_mb,
        runtime=probing.runtime,
        gpu=probing.gpu,
    params:
        environment=by("probe", PLAN.probing.environment),
        trained=by("probe", PLAN.probing.trained_model),
        external=by("probe", PLAN.probing.external_model),
        policy=by("probe", PLAN.probing.policy_of),
        probe=PLAN.probing.settings,
        code=by("probe", PLAN.probing.code_of),
    message:
        "Probing {wildcards.probe}"
    script:
        "../scripts/probe.py"
