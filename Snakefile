"""What a bare `snakemake` in a clone finds: the workflow itself is workflow/Snakefile, as Snakemake's catalogue has it."""


include: "workflow/Snakefile"


SNAKEMAKE.make_by_default("all")
