"""GRU layers of other makers, and ours, behind one function each: `make(case, weights, x, d_output, threads)`."""
