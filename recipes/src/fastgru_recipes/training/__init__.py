"""Training of recipes: batches, the Lightning module, checkpoints, run directories."""
