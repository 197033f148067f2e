"""Recurrent reinforcement learning: acting step by step, training on sequences in which episodes end."""

import torch

import fastgru

torch.manual_seed(0)
steps, environments = 64, 8
policy = fastgru.GRU(input_size=6, hidden_size=32, learn_h0=True)
observations = torch.randn(steps, environments, 6)
is_new = torch.rand(steps, environments) < 0.1  # the step starts an episode
is_new[0] = True

# Acting: one step at a time, as observations arrive.
h, acted = None, []
with torch.no_grad():
    for observation, starts in zip(observations, is_new, strict=True):
        output, h = policy(observation[None], h, reset=starts[None])
        acted.append(output[0])
acted = torch.stack(acted)

# Training: the same sequence in one call. Gradients do not flow from one episode to another.
output, _ = policy(observations, reset=is_new)
output.square().mean().backward()

print(f"{int(is_new.sum())} episodes in {environments} rows of {steps} steps")
print("training sees what acting saw, to the bit:", torch.equal(acted, output.detach()))
print(f"the learned first state has a gradient of size {policy.h_0.grad.abs().mean():.1e}")
assert torch.equal(acted, output.detach())
