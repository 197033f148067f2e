"""The layers, and what belongs to them."""
