"""Programs of other people that build `torch.nn.GRU` themselves, each in its own environment."""
