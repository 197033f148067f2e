"""Ways to compute a GRU: our kernels, torch's operator, the reference."""
