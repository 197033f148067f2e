"""A fuzzer of the entry points: strange arguments to each of them, each batch of cases in its own process.

Run it by `scripts/fuzz-doors`. A case has a name that says all of it, such as `layer.12` or `layer.12.x.zero_tensor`:
the entrance, a seed, and, where only one argument is to be strange, which and how. The same name makes the same case
again on the same sources.

strange.py      tensors that nobody should pass, by name
misfits.py      those of wrong values and sizes, and what is no tensor
subclasses.py   those of other classes
draw.py         what a case draws from its seed
sides.py        ours, torch's layer, and our reference: what builds the layers of a case
entrances/      what a case does with a layer, an operator, a stepper; registry.py has the table of them
meanwhile.py    what happens to the arguments during a call, or between forward and backward pass
oracle.py       what came of a case on two sides, and whether that is right
exemptions.py   where the two may differ, with a reason each
worker.py       runs cases one by one in a child, and says so
driver.py       forks a child for each batch and survives whatever becomes of it
"""
