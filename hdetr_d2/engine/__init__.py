"""Training and evaluation: the config is read here and nowhere else."""
