"""What Snakemake imports while it plans: configuration, the models there are, what a job asks for, digests of code."""
