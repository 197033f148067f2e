"""The layers, their parameters and their arguments."""
