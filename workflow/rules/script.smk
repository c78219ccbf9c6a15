"""Observe each script of the user's: run it as it is, see what it does, and measure what that costs.

Input: the files of the models that it may be about. Output: one record of what was seen and measured. A script that raises, or
does not end, is a result that says so.
"""

observing = Asking(by("script", PLAN.script_request))


rule observe:
    input:
        by("script", PLAN.script_inputs),
    output:
        "<results>/scripts/{script}.json",
    log:
        "<logs>/observe/{script}.log",
    priority: 1  # before any training: people see verdicts as they fall
    conda:
        CONDA_ENV
    threads: 1
    resources:
        mem_mb=observing.mem_mb,
        runtime=observing.runtime,
    params:
        script=by("script", PLAN.script_spec),
        models=by("script", PLAN.script_models),
        unwatched=by("script", PLAN.script_unwatched),
        policy=PLAN.external_policy,
        verdict=PLAN.config["verdict"],
        reload=PLAN.reload_settings,
        code=by("script", PLAN.script_code),
    message:
        "Observing {wildcards.script}"
    script:
        "../scripts/observe.py"
