"""GRUs of other libraries and ours, each behind the same function: `make(case, weights, x, d_output, threads)`."""
