"""Train one model, save it, and measure at once what it earns: in place and as reference.

Output: a folder with model.zip, vecnormalize.pkl (if normalised), evaluations.json, steps.npz and manifest.json. An
experiment whose environment fails half-way leaves a manifest that says so: a finding, not a failed job.
"""

training = Asking(by("model", PLAN.training_request))


rule train:
    output:
        directory("<results>/trained/{model}"),
    log:
        "<logs>/train/{model}.log",
    conda:
        CONDA_ENV
    threads: training.threads
    resources:
        mem_mb=training.mem_mb,
        runtime=training.runtime,
        gpu=training.gpu,
    params:
        spec=by("model", PLAN.training_spec),
        code=by("model", PLAN.training_code),
        limits=PLAN.config["training"],
    message:
        "Training {wildcards.model}"
    script:
        "../scripts/train.py"
