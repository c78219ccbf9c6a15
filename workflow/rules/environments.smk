"""Which distinct environments there are, which model stands for each, and what decides the result of its probe."""

from reload_audit.records.probe_names import probe_name, probed

PROBE_CODE = code_of("probe.py")
PROBE = AUDIT["probe"] | {key: RELOAD[key] for key in ("isolation", "memory")}


def first_models():
    """For each distinct environment the model that stands for it, trained here or by others.

    Models for which the user named the environment come before those whose files did: what a file names may not be
    imported.
    """
    first = {}
    for model in MODELS:
        environment = MODELS[model]["environment"]
        first.setdefault(probe_name(environment), {"trained": model})
    for entry in sorted(EXTERNAL, key=lambda entry: -len(entry["named_by_user"])):
        if entry["problem"] is None and entry["environment"]["env"]:
            first.setdefault(probe_name(entry["environment"]), {"found": entry})
    return first


PROBES = first_models()


def probed_environment(wildcards):
    model = PROBES[wildcards.probe]
    spec = model["found"] if "found" in model else MODELS[model["trained"]]
    return probed(spec["environment"])


def model_of_probe(wildcards):
    """A trained model's folder; of a model that others trained the files whose names Snakemake can read."""
    model = PROBES[wildcards.probe]
    if "trained" in model:
        return workflow.pathvars.apply(f"<results>/trained/{model['trained']}")
    files = discovery.files(model["found"])
    return [file for file, odd in watched(files) if odd is None]


# Of a model that others trained no claims: they decide nothing here.
OF_NO_CONCERN = {
    key: None for key in ("claim", "evaluations", "model_card", "results")
} | {"monitors": []}


def found_model_of_probe(wildcards):
    entry = PROBES[wildcards.probe].get("found")
    return None if entry is None else entry | OF_NO_CONCERN


def policy_of_probe(wildcards):
    return EXTERNAL_POLICY if "found" in PROBES[wildcards.probe] else None


def probe_code(wildcards):
    """With the lines of the user's code, which a probe names."""
    named = [probed_environment(wildcards), AUDIT["env_versions"]]
    return PROBE_CODE + user_code(named, with_lines=True) + TRUSTED_LINES


wildcard_constraints:
    probe=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
