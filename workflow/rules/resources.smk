"""What each rule's jobs ask a cluster for, and more of it at each further attempt."""

# To examine a model that has lost its reward, to try conditions, and to end the last of them.
DIAGNOSIS = 3
RELOAD_PROCESSES = (
    1 + len(AUDIT["reload"]["n_envs"]) + AUDIT["reload"]["other_vec_env"] + DIAGNOSIS
)

# Contrasts, and what goes after those that differ; most take a second.
PROBE_PROCESSES = 30
PROBE_LIMITS = AUDIT["reload"] | {"timeout": AUDIT["probe"]["timeout"]}

GIVEN_RESOURCES = {
    experiment["name"]: experiment["resources"] for experiment in AUDIT["experiments"]
}


def training(wildcards):
    spec = spec_of(wildcards)
    given = GIVEN_RESOURCES[spec["experiment"]]
    return job_requests.training_request(spec, AUDIT["training"], given)


def reloading(wildcards):
    device = spec_of(wildcards)["device"]
    return job_requests.reload_request(device, AUDIT["reload"], RELOAD_PROCESSES)


def auditing(wildcards):
    """One process more for each model: what a random policy earns."""
    devices = [model["device"] for model in models_of_batch(wildcards)]
    processes = len(devices) * (RELOAD_PROCESSES + 1)
    return job_requests.batch_request(devices, AUDIT["reload"], processes)


def probing(wildcards):
    ((source, model),) = PROBES[wildcards.probe].items()
    device = model["device"] if source == "found" else MODELS[model]["device"]
    return job_requests.reload_request(device, PROBE_LIMITS, PROBE_PROCESSES)


def aggregating(wildcards):
    """All records at once."""
    mem_mb = job_requests.OVERHEAD_MB + 1000 + (len(MODELS) + len(EXTERNAL)) // 5
    return job_requests.Request(mem_mb, 30, most_mem_mb=8 * mem_mb, most_runtime=240)


def threads_of(request):
    def threads(wildcards):
        return request(wildcards).threads

    return threads


def memory_of(request):
    def mem_mb(wildcards, attempt):
        return request(wildcards).memory(attempt)

    return mem_mb


def minutes_of(request):
    def runtime(wildcards, attempt):
        return request(wildcards).minutes(attempt)

    return runtime


def gpus_of(request):
    def gpu(wildcards):
        return request(wildcards).gpu

    return gpu
