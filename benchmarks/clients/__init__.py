"""Programs of others that build `torch.nn.GRU` themselves, each in an environment of its own."""
