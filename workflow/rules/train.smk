"""Train one model, save it, and measure at once what it earns: in place and as reference.

Output: a folder with model.zip, vecnormalize.pkl (if normalised), evaluations.json, steps.npz and manifest.json. An
experiment whose environment fails half-way leaves a manifest that says so: a finding, not a failed job.
"""


rule train:
    output:
        directory("<results>/trained/{model}"),
    log:
        "<logs>/train/{model}.log",
    conda:
        CONDA_ENV
    threads: threads_of(training)
    resources:
        mem_mb=memory_of(training),
        runtime=minutes_of(training),
        gpu=gpus_of(training),
    params:
        spec=spec_of,
        code=training_code,
        limits=AUDIT["training"],
    message:
        "Training {wildcards.model}"
    script:
        "../scripts/train.py"
