"""Hooks on layers and tensors: the same calls with the same values as with torch's layer."""

from __future__ import annotations

import functools

import pytest
import torch
from torch.nn.modules import module as every_module

from layer_pairs import FORMS, everything, example, of_form, results
from tolerance import assert_agrees

every_form = pytest.mark.parametrize(("kind", "options"), FORMS, ids=str)


def tensors_of(value):
    """What a hook was given, without what is no tensor."""
    return [None if t is None else t.detach().clone() for t in value] if isinstance(value, tuple) else [value.detach()]


def add_to_everything(register, told):
    """All hooks of a module, which tell and change what passes; `register` has a method for each."""

    def hook(name, changed):
        def told_and_doubled(module, *values):
            told.append((name, [tensors_of(value) for value in values]))
            value = values[changed]
            return tuple(None if t is None else 2 * t for t in value) if isinstance(value, tuple) else 2 * value

        return told_and_doubled

    return [
        register.forward_pre(hook("forward pre", 0)),
        register.forward(hook("forward", 1)),
        register.full_backward_pre(hook("full backward pre", 0)),
        register.full_backward(hook("full backward", 0)),
    ]


class OnModule:
    def __init__(self, module):
        for name in ("forward_pre", "forward", "full_backward_pre", "full_backward"):
            setattr(self, name, getattr(module, f"register_{name}_hook"))


class OnEveryModule:
    forward_pre = staticmethod(every_module.register_module_forward_pre_hook)
    forward = staticmethod(every_module.register_module_forward_hook)
    full_backward_pre = staticmethod(every_module.register_module_full_backward_pre_hook)
    full_backward = staticmethod(every_module.register_module_full_backward_hook)


def flat(told):
    """What hooks told, as named tensors in the order of the calls."""
    return {
        f"{i} {name} {j} {k}": torch.zeros(()) if t is None else t
        for i, (name, values) in enumerate(told)
        for j, tensors in enumerate(values)
        for k, t in enumerate(tensors)
    }


@every_form
@pytest.mark.parametrize("where", ["the module", "every module"])
def test_hooks_of_modules_see_and_change_what_they_do_with_torch(kind, options, where):
    outcomes = []
    for layer in of_form(kind, **options):
        told = []
        handles = add_to_everything(OnModule(layer) if where == "the module" else OnEveryModule, told)
        try:
            found = everything(layer, example(kind))
        finally:
            for handle in handles:
                handle.remove()
        assert [name for name, _ in told] == ["forward pre", "forward", "full backward pre", "full backward"]
        outcomes.append(found | flat(told))
    assert_agrees(*outcomes)


def test_hooks_with_keyword_arguments():
    found = []
    for layer in of_form("GRU"):
        layer.register_forward_pre_hook(lambda _, args, kwargs: (args, {"hx": 2 * kwargs["hx"]}), with_kwargs=True)
        layer.register_forward_hook(lambda _, args, kwargs, result: result[0] + kwargs["hx"], with_kwargs=True)
        output = layer(example("GRU"), hx=torch.ones(1, 4, 5, dtype=torch.float64))
        found.append({"output": output.detach()})
    assert_agrees(*found)


@every_form
def test_hooks_of_tensors_see_and_change_gradients(kind, options):
    found = []
    for layer in of_form(kind, **options):
        told, x = {}, example(kind)

        def tell(name, grad, told=told):
            told[name] = told.get(name, 0) + grad  # a second call would double what is compared
            return 3 * grad

        def tell_all(grads, told=told):
            told.update({f"all of them, {i}": grad for i, grad in enumerate(grads)})

        outcome = results(layer(x))
        for name, t in {"x": x, **{f"result {i}": t for i, t in enumerate(outcome)}}.items():
            t.register_hook(functools.partial(tell, name))
        outcome[0].retain_grad()
        torch.autograd.graph.register_multi_grad_hook(
            tuple(layer.parameters()),
            lambda grads, told=told: told.update({f"multi {i}": g for i, g in enumerate(grads)}),
        )
        sum(t.sin().sum() for t in outcome).backward()
        grads = {n: p.grad for n, p in layer.named_parameters()}
        found.append({**told, **grads, "gradient of x": x.grad, "of result": outcome[0].grad})
    assert_agrees(*found)


@every_form
def test_an_optimizer_may_step_as_soon_as_a_gradient_is_there(kind, options):
    """Hooks on accumulated gradients, in which a program updates the parameter and lets go of the gradient."""
    found = []
    for layer in of_form(kind, **options):
        calls = []

        def step(parameter, calls=calls):
            calls.append(id(parameter))
            with torch.no_grad():
                parameter.sub_(parameter.grad, alpha=0.1)
            parameter.grad = None

        for parameter in layer.parameters():
            parameter.register_post_accumulate_grad_hook(step)
        for _ in range(3):
            sum(t.square().sum() for t in results(layer(example(kind)))).backward()
        assert sorted(calls) == sorted(3 * [id(p) for p in layer.parameters()])
        found.append({n: p.detach() for n, p in layer.named_parameters()})
    assert_agrees(*found)
