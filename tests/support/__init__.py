"""What the tests share: builders of small inputs, real workflow runs, browsers, a Slurm."""
