"""What pyproject.toml cannot say: a wheel holds the library, and the workflow that uses it in ``reload_audit/project``.

That folder is as the repository: ``Snakefile``, ``workflow`` without the library, ``config``, ``profiles``, ...
"""

from setuptools import find_packages, setup

LIBRARY = "workflow/scripts"

PROJECT = [
    "Snakefile",
    "requirements.txt",
    "config/*.*",
    "examples/*.py",
    "profiles/*/*",
    "workflow/Snakefile",
    "workflow/*/*.*",
]

setup(
    packages=[*find_packages(LIBRARY), "reload_audit.project"],
    package_dir={"": LIBRARY, "reload_audit.project": "."},
    package_data={
        "reload_audit": ["**/*.j2", "**/*.css", "**/*.js", "**/*.json", "**/*.LICENSE", "**/*.yaml"],
        "reload_audit.project": PROJECT,
    },
    include_package_data=False,
)
