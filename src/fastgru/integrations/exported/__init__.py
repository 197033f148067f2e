"""Programs of `torch.export` as graphs of the runtime."""
