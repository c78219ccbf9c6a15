"""What all rules share: the resolved configuration, the models it names, and digests of the code behind each rule.

Nothing here is heavier than the standard library, a YAML reader and a schema validator: on a cluster every job
plans the workflow again.
"""

import json
import os

CONDA_ENV = "../envs/audit.yaml"
CONFIG_SOURCE = ", ".join(
    os.path.relpath(file) for file in workflow.overwrite_configfiles or [DEFAULT_CONFIG]
)


def resolved_config():
    """The configuration with defaults filled in, or one message with everything that is wrong with it."""
    schema = configuration.read_yaml(source("../schemas/config.schema.yaml"))
    try:
        resolved = configuration.resolve(config, schema, CONFIG_SOURCE)
        if workflow.is_main_process:
            for folder in ("<results>", "<logs>"):
                configuration.check_writable(workflow.pathvars.apply(folder))
        return resolved
    except configuration.ConfigError as error:
        raise WorkflowError(str(error)) from None


def locate_library(module):
    """The file of a module of the library; None for modules of others."""
    if module.partition(".")[0] == "reload_audit":
        path = module.replace(".", "/")
        for candidate in (f"{path}.py", f"{path}/__init__.py"):
            try:
                return source(candidate)
            except (OSError, WorkflowError):
                continue
    return None


def code_of(script, *data):
    """Digest of everything that a rule's script imports from the library, of its data files and the requirements."""
    files = [source(file) for file in ("../../requirements.txt", *data)]
    return code_digest(source(script), locate_library, files)


def external_models():
    """Models that others trained. They are looked for once, when the workflow starts; its jobs read what was found."""
    remembered = Path(workflow.pathvars.apply(EXTERNAL_MODELS))
    if not workflow.is_main_process and remembered.exists():
        return json.loads(remembered.read_text(encoding="utf-8"))
    schemas = [
        configuration.read_yaml(source(f"../schemas/{name}.schema.yaml"))
        for name in ("models", "claims")
    ]
    try:
        results = workflow.pathvars.apply("<results>")
        return discovery.find_models(AUDIT, *schemas, results=results)
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


AUDIT = resolved_config()
MODELS = configuration.trained_models(AUDIT)
EXTERNAL_MODELS = "<results>/external/models.json"
EXTERNAL = external_models()
BATCHES = discovery.batches(EXTERNAL, AUDIT["reload"]["batch"])
RELOAD = {key: value for key, value in AUDIT["reload"].items() if key != "batch"}
EXTERNAL_POLICY = {
    "evaluation": {**AUDIT["evaluation"], "looks": AUDIT["verdict"]["looks"]},
    "trust": AUDIT["trust"],
    "env_versions": AUDIT["env_versions"],
    "max_bytes": AUDIT["reload"]["memory"]
    * 2**18,  # a quarter of what a process may hold
}
TRAINING_CODE = code_of("train.py")
RELOAD_CODE = code_of("reload.py")
EXTERNAL_CODE = code_of("audit_external.py")

# A job holds what its processes may hold, and its own interpreter; it lasts as long as they may, one after the other.
OVERHEAD_MB = 500
OVERHEAD_MINUTES = 10
RELOAD_CONDITIONS = (
    1 + len(AUDIT["reload"]["n_envs"]) + AUDIT["reload"]["other_vec_env"]
)


def user_code(content):
    """Digest of the user's own code on python_path that names in the configuration lead to."""
    return named_code_digest(content, locate_in(map(Path, AUDIT["python_path"])))


TRUSTED_CODE = package_digest(AUDIT["trust"], map(Path, AUDIT["python_path"]))
USER_CODE = {
    experiment["name"]: user_code(experiment) for experiment in AUDIT["experiments"]
}


def spec_of(wildcards):
    return MODELS[wildcards.model]


def training_code(wildcards):
    return TRAINING_CODE + USER_CODE[spec_of(wildcards)["experiment"]]


def reload_code(wildcards):
    return RELOAD_CODE + USER_CODE[spec_of(wildcards)["experiment"]]


def models_of_batch(wildcards):
    return BATCHES[wildcards.batch]


def files_of_batch(wildcards):
    """What Snakemake watches. It reads braces and angle brackets in a path as its own."""
    return [file for file in _files(wildcards) if not set(file) & set("{}<>")]


def odd_files_of_batch(wildcards):
    """What Snakemake cannot watch: size and time of such files, which are then part of what decides the result."""
    odd = [file for file in _files(wildcards) if set(file) & set("{}<>")]
    return [[file, os.stat(file).st_size, os.stat(file).st_mtime_ns] for file in odd]


def _files(wildcards):
    return [
        file for model in models_of_batch(wildcards) for file in discovery.files(model)
    ]


def minutes_of_batch(wildcards):
    """As long as all its processes may last, one after the other."""
    processes = len(models_of_batch(wildcards)) * (RELOAD_CONDITIONS + 1)
    return AUDIT["reload"]["timeout"] * processes // 60 + OVERHEAD_MINUTES


def external_code(wildcards):
    named = [models_of_batch(wildcards), AUDIT["env_versions"]]
    return EXTERNAL_CODE + user_code(named) + TRUSTED_CODE


def show_summary():
    """The closing words of a finished audit, if they are about what is there now."""
    summary, audit = (
        Path(workflow.pathvars.apply(f"<results>/{name}"))
        for name in ("summary.txt", "audit.json")
    )
    if summary.exists() and summary.stat().st_mtime >= audit.stat().st_mtime:
        print("", summary.read_text(encoding="utf-8"), sep="\n")


wildcard_constraints:
    model=r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    batch=r"batch(-[01]+)?",
