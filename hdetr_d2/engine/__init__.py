"""Training and evaluation. Configs are read in this room only."""
