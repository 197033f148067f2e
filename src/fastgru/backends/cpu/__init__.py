"""Our own kernels on the CPU."""
