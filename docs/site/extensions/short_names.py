"""References by the names that docstrings use, such as `ShapeError` for `fastgru.errors.ShapeError`.

A class is defined in one module and public in another, and signatures name it by the first or without a module.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.intersphinx import resolve_reference_detect_inventory

import fastgru
from fastgru import errors

# In the text of pages: `fastgru.GRU`, `torch.compile(fullgraph=True)`.
_NAME = re.compile(r"^((?:fastgru|fastgru_recipes|torch)(?:\.\w+)+)(?:\([^()]*\))?$")
# Names without an entry of their own, and what stands for them on our pages.
_ALIASES = {
    "Array": "numpy.ndarray",
    "Figure": "matplotlib.figure.Figure",
    "NDArray": "numpy.ndarray",
    "NotFittedError": "sklearn.exceptions.NotFittedError",
    "Path": "pathlib.Path",
    "Sequence": "collections.abc.Sequence",
    "nn.Module": "torch.nn.Module",
    "np.float32": "numpy.float32",
    "np.ndarray": "numpy.ndarray",
    "pd.DataFrame": "pandas.DataFrame",
    "Tensor": "torch.Tensor",
    "PackedSequence": "torch.nn.utils.rnn.PackedSequence",
    "Model": "fastgru.runtime.Model",
    "State": "fastgru.runtime.State",
    "fastgru_recipes.forecast.recipe.Forecast": "fastgru_recipes.forecast.Forecast",
    "SequencesLike": "collections.abc.Sequence",
    "torch.nn.modules.module.Module": "torch.nn.Module",
    "torch.nn.modules.rnn.GRU": "torch.nn.GRU",
    "torch.nn.modules.rnn.GRUCell": "torch.nn.GRUCell",
    "torch.onnx.OnnxExporterError": "torch.onnx.errors.OnnxExporterError",
}


def targets() -> dict[str, str]:
    """Name in a docstring or signature -> the name that has an entry."""
    named = {name: f"fastgru.errors.{name}" for name, value in vars(errors).items() if inspect.isclass(value)}
    for name in fastgru.__all__:
        value = getattr(fastgru, name)
        if inspect.isclass(value):
            named |= {name: f"fastgru.{name}", f"{value.__module__}.{value.__qualname__}": f"fastgru.{name}"}
    return named | _ALIASES


def _resolve(app: Sphinx, env: Any, node: Any, shown: nodes.Node) -> nodes.Node | None:
    target = app.config.short_names.get(node.get("reftarget"))
    if node.get("refdomain") != "py" or target is None:
        return None
    found = env.get_domain("py").resolve_any_xref(env, node["refdoc"], app.builder, target, node, shown)
    if found:
        return found[0][1]
    node["reftarget"] = target
    return resolve_reference_detect_inventory(env, node, shown)


def _link(app: Sphinx, doctree: nodes.document) -> None:
    """Makes code in the text of pages that is a name of ours or torch's a reference, unless it stands in a link."""
    for code in list(doctree.findall(nodes.literal)):
        match = _NAME.match(code.astext())
        if match is None or not isinstance(code.parent, (nodes.paragraph, nodes.entry, nodes.strong)):
            continue
        reference = addnodes.pending_xref("", refdomain="py", reftype="obj", reftarget=match[1], refexplicit=True)
        reference["refdoc"], reference["py:module"], reference["py:class"] = app.env.docname, None, None
        code.replace_self(reference)
        reference += code


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the handler of references that Sphinx does not find."""
    app.add_config_value("short_names", targets(), "env")
    app.connect("doctree-read", _link)
    app.connect("missing-reference", _resolve, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
