"""Models that others trained: which there are, in which batches, and what decides the result of each batch."""

import functools
import json
import time

NOW = time.time()


def all_models():
    """Models to train, and those that others trained, or those of them that the user wants alone.

    The latter are looked for once, when the workflow starts; its jobs read what was found.
    """
    remembered = Path(workflow.pathvars.apply(EXTERNAL_MODELS))
    try:
        if not workflow.is_main_process and remembered.exists():
            found = json.loads(remembered.read_text(encoding="utf-8"))
        else:
            schemas = [
                configuration.read_yaml(source(f"../schemas/{name}.schema.yaml"))
                for name in ("models", "claims")
            ]
            results = workflow.pathvars.apply("<results>")
            found = discovery.find_models(AUDIT, *schemas, results=results)
        return configuration.only(AUDIT["only"], MODELS, found, CONFIG_SOURCE)
    except configuration.ConfigError as error:
        raise WorkflowError(str(error)) from None


def remember_external_models():
    """Say how many there are, and write them down for the jobs."""
    remembered = Path(workflow.pathvars.apply(EXTERNAL_MODELS))
    if EXTERNAL:
        print(f"Models that others trained: {len(EXTERNAL)}", file=sys.stderr)
        remembered.parent.mkdir(parents=True, exist_ok=True)
        complete = remembered.with_suffix(".new")
        complete.write_text(json.dumps(EXTERNAL, indent=1), encoding="utf-8")
        complete.replace(remembered)
    else:
        remembered.unlink(missing_ok=True)  # those of another configuration


EXTERNAL_MODELS = "<results>/external/models.json"
MODELS, EXTERNAL = all_models()
BATCHES = discovery.batches(
    EXTERNAL, AUDIT["reload"]["batch"] or discovery.usual_size(len(EXTERNAL))
)
EXTERNAL_POLICY = {
    "evaluation": {**AUDIT["evaluation"], "looks": AUDIT["verdict"]["looks"]},
    "trust": AUDIT["trust"],
    "env_versions": AUDIT["env_versions"],
    # a quarter of what a process may hold
    "max_bytes": AUDIT["reload"]["memory"] * 2**18,
}
EXTERNAL_CODE = code_of("audit_external.py")
TRUSTED_CODE, TRUSTED_LINES = (
    package_digest(AUDIT["trust"], map(Path, AUDIT["python_path"]), with_lines)
    for with_lines in (False, True)
)


def models_of_batch(wildcards):
    return BATCHES[wildcards.batch]


def files_of_batch(wildcards):
    """What Snakemake watches."""
    return [file for file, odd in _files(wildcards.batch) if odd is None]


def odd_files_of_batch(wildcards):
    """What Snakemake cannot watch: size and time of such files, which are then part of what decides the result."""
    return [[file, *odd] for file, odd in _files(wildcards.batch) if odd is not None]


@functools.cache
def _files(batch):
    return [
        file for model in BATCHES[batch] for file in watched(discovery.files(model))
    ]


def watched(files):
    """Each with None, or with size and time if Snakemake cannot watch it.

    It reads braces and angle brackets in a path as its own, and refuses outputs that are older than an input.
    """
    for file in files:
        stat = os.stat(file)
        is_odd = set(file) & set("{}<>") or stat.st_mtime > NOW
        yield file, (stat.st_size, stat.st_mtime_ns) if is_odd else None


def external_code(wildcards):
    named = [models_of_batch(wildcards), AUDIT["env_versions"]]
    return EXTERNAL_CODE + user_code(named) + TRUSTED_CODE


wildcard_constraints:
    batch=r"batch(-[01]+)?",
