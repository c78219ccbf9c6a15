"""Train the models of a batch one after the other, save each, and measure at once what it earns: in place and as reference.

Output: a file that says that all are trained. Each model has a folder of its own, <results>/trained/<model>, with
model.zip, vecnormalize.pkl (if normalised), evaluations.json, steps.npz and manifest.json; one that an earlier run of the
job has finished stays as it is. An experiment whose environment fails half-way leaves a manifest that says so: a finding,
not a failed job.
"""

training = Asking(by("batch", PLAN.training.request))


rule train:
    output:
        "<results>/trained/.batches/{batch}.json",
    log:
        "<logs>/train/{batch}.log",
    priority: by("batch", PLAN.training.priority)
    conda:
        CONDA_ENV
    threads: training.threads
    resources:
        mem_mb=training.mem_mb,
        runtime=training.runtime,
        gpu=training.gpu,
    params:
        specs=by("batch", PLAN.training.specs),
        codes=by("batch", PLAN.training.codes),
        limits=PLAN.training.limits,
    message:
        "Training {wildcards.batch}"
    script:
        "../scripts/train.py"
