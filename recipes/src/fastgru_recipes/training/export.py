"""Trained networks as files that run without PyTorch: the runtime's, and ONNX. Each is checked against the network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import fastgru
from fastgru.atomic_files import atomic_write
from fastgru.errors import ArgumentError, ConversionError, not_installed
from fastgru_recipes.errors import RunError
from fastgru_recipes.option_names import given
from fastgru_recipes.recipe import Recipe, State
from fastgru_recipes.training.run_directory import Trained, write_json

Format = Literal["fastgru", "onnx"]
ENDINGS: dict[str, Format] = {".safetensors": "fastgru", ".onnx": "onnx"}
TRACED, CHECKED = (2, 6), (3, 11)  # rows and steps of the example that is traced, and of the one that is compared
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-9}  # of results, relative to the largest one or 1
ONNX_EXTRA = "fastgru-recipes[onnx]"


class Part(NamedTuple):
    """A network, or a part of one, that becomes a file.

    Attributes:
        name: of the part; "" if it is the only one.
        module: its `forward` has the parameters that `axes` names, in their order.
        axes: for each input the names of its axes, such as ("batch", "steps"); sizes with a number are fixed.
        example: random inputs of a number of rows and steps.
        outputs: names of the results.
        about: for each input and output what it holds.
    """

    name: str
    module: nn.Module
    axes: Mapping[str, Sequence[str | int]]
    example: Callable[[int, int], tuple[Tensor, ...]]
    outputs: Sequence[str]
    about: Mapping[str, str]


class Exported(NamedTuple):
    """What was written.

    Attributes:
        files: one file, or several of a network that has parts.
        description: the JSON file beside them: what their inputs mean, and the vocabulary or scaler.
        difference: the largest difference from the network's results, relative to the largest one or 1.
        tolerance: the difference that was allowed.
    """

    files: tuple[Path, ...]
    description: Path
    difference: float
    tolerance: float


def export(run: Trained | Path | str, to: Path | str | None = None, format: Format | None = None) -> Exported:
    """Writes the network of a run to files that need no PyTorch, and a description of their inputs beside them.

    Args:
        run: a run directory, or a trained recipe.
        to: the file: `.safetensors` for `fastgru.runtime`, `.onnx` for ONNX. Default: in the run directory.
        format: "fastgru" or "onnx". Default: by the ending of `to`, or else "fastgru".

    Returns:
        What was written.

    Raises:
        ArgumentError: a ValueError, for a network that the format cannot hold, and for endings that do not fit.
        RunError: if results through the file differ from those of the network. Nothing is kept then.
        MissingExtra: if a package for ONNX is not installed.

    Example:
        >>> import tempfile
        >>> from fastgru import runtime
        >>> from fastgru_recipes import SequenceClassifier, export
        >>> model = SequenceClassifier(hidden=4, steps=4, linear_below=0).fit(["so good", "so bad"] * 8, [1, 0] * 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = export(model.trained_, f"{folder}/model.safetensors")
        ...     output, _ = runtime.load(found.files[0]).run(np.array([[4, 5, 6]]))
        >>> output.shape, found.description.name
        ((1, 2), 'model.json')
    """
    trained = run if isinstance(run, Trained) else Trained.load(run)
    path, kind = _target(run, to, format)
    recipe, model = _with_our_layers(trained, kind)
    module = import_module(f"{type(recipe).__module__.rpartition('.')[0]}.export")
    parts: list[Part] = module.parts(recipe, model, trained.state, kind)
    files = tuple(path.with_stem(f"{path.stem}-{part.name}") if part.name else path for part in parts)
    tolerance = TOLERANCES[recipe.dtype]
    differences = [_written(part, file, kind, tolerance) for part, file in zip(parts, files, strict=True)]
    description = path.with_suffix(".json")
    write_json(description, _description(recipe, trained.state, parts, files, kind, module.LEFT_OUT))
    return Exported(files, description, max(differences), tolerance)


def refused(recipe: Recipe[Any], reason: str, remedy: str = "") -> ArgumentError:
    """The error for a network that a format cannot hold. What helps is ONNX, if no other remedy is given."""
    remedy = remedy or f"Give {given('format', 'onnx')}"
    return ArgumentError(f"this run of {recipe.name} cannot be exported: {reason}. {remedy}.")


def _target(run: Trained | Path | str, to: Path | str | None, format: Format | None) -> tuple[Path, Format]:
    """The file to write, and its format."""
    if format not in (None, *get_args(Format)):
        raise ArgumentError(f"{given('format', format)} is neither 'fastgru' nor 'onnx'.")
    if to is None:
        if isinstance(run, Trained):
            raise ArgumentError("a trained recipe has no directory: give to='model.safetensors' or to='model.onnx'.")
        kind = format or "fastgru"
        return Path(run) / f"exported{next(end for end, each in ENDINGS.items() if each == kind)}", kind
    path = Path(to)
    kind = format or ENDINGS.get(path.suffix, "fastgru")
    if ENDINGS.get(path.suffix) != kind:
        ending = next(end for end, each in ENDINGS.items() if each == kind)
        raise ArgumentError(f"{path} does not end in {ending}, as a file of the format {kind} does. Name it so.")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no directory {path.parent}. Create it first.")
    return path, kind


def _with_our_layers(trained: Trained, kind: Format) -> tuple[Recipe[Any], nn.Module]:
    """The recipe and the network with our layers: they have the weights of torch's under the same names."""
    if trained.recipe.layer == "lstm":
        raise refused(trained.recipe, "its layers are LSTMs", f"Train with {given('layer', 'fastgru')}")
    if kind == "onnx" and trained.recipe.dtype == torch.float64:
        raise refused(
            trained.recipe, "GRUs of ONNX Runtime compute in 32 bits", f"Train with {given('precision', '32-true')}"
        )
    recipe = replace(trained.recipe, layer="fastgru")
    model = recipe.network(trained.state)
    model.load_state_dict(trained.model.state_dict())
    return recipe, model.eval()


def _written(part: Part, path: Path, kind: Format, tolerance: float) -> float:
    """Writes a part, runs the file on an example of another size, and returns the difference from the network."""
    with atomic_write(path) as partial:
        partial.touch()  # so that an error names this file, and comes before the work
        place = partial.with_name(f"{partial.name}{path.suffix}")
        try:
            (_write_onnx if kind == "onnx" else _write_own)(part, place)
            given = part.example(*CHECKED)
            with torch.no_grad():
                expected = part.module(*given)
            known = [expected] if isinstance(expected, Tensor) else list(expected)
            run = _run_onnx if kind == "onnx" else _run_own
            difference = max(map(_difference, run(part, place, given), [each.numpy() for each in known]))
            if not difference <= tolerance:
                raise RunError(
                    f"results through {path} differ from those of the network by {difference:.1g}, more than "
                    f"{tolerance:g}. The file is not kept; please report this."
                )
            partial.write_bytes(place.read_bytes())
        finally:
            place.unlink(missing_ok=True)
    return difference


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    size = max(1.0, float(np.abs(expected.astype(np.float64)).max(initial=0)))
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0)) / size


# ---- formats


def _write_own(part: Part, path: Path) -> None:
    try:
        fastgru.save(part.module, path, args=part.example(*TRACED))
    except ConversionError as error:
        raise ArgumentError(f"the network cannot be exported for the runtime: {error}") from error


def _run_own(part: Part, path: Path, given: Sequence[Tensor]) -> list[NDArray[Any]]:
    arrays = {name: value.numpy() for name, value in zip(part.axes, given, strict=True)}
    lengths = arrays.pop("lengths", None)
    inputs = arrays if len(arrays) > 1 else next(iter(arrays.values()))
    found, _ = fastgru.runtime.load(path).run(inputs, lengths=lengths)
    return [found[name] for name in part.outputs] if isinstance(found, dict) else [found]


def _write_onnx(part: Part, path: Path) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(package)
        except ModuleNotFoundError as missing:
            raise not_installed(package, ONNX_EXTRA, "export to ONNX") from missing
    talk = logging.getLogger("torch.onnx")  # of packages that are not installed, and not needed
    level = talk.level
    talk.setLevel(logging.ERROR)
    try:
        fastgru.onnx.export(
            part.module,
            path,
            args=part.example(*TRACED),
            dynamic_shapes=_free_axes(part),
            input_names=list(part.axes),
            output_names=list(part.outputs),
        )
    finally:
        talk.setLevel(level)


def _free_axes(part: Part) -> tuple[dict[int, Any], ...]:
    """For each input the axes of any size. One that is as large as a named one before it has no name of its own."""
    named: set[str] = set()
    found = []
    for axes in part.axes.values():
        free = {place: name for place, name in enumerate(axes) if isinstance(name, str)}
        found.append({place: torch.export.Dim.AUTO if name in named else name for place, name in free.items()})
        named.update(free.values())
    return tuple(found)


def _run_onnx(part: Part, path: Path, given: Sequence[Tensor]) -> list[NDArray[Any]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    arrays = {name: value.numpy() for name, value in zip(part.axes, given, strict=True)}
    used = {each.name for each in session.get_inputs()}
    return list(session.run(None, {name: value for name, value in arrays.items() if name in used}))


# ---- what is not in the files


def _description(
    recipe: Recipe[Any], state: State, parts: Sequence[Part], files: Sequence[Path], kind: Format, left_out: str
) -> dict[str, Any]:
    return {
        "fastgru": fastgru.__version__,
        "format": kind,
        "recipe": recipe.name,
        "files": [_facts(part, file) for part, file in zip(parts, files, strict=True)],
        "not in the files": left_out,
        "options": asdict(recipe),
        "state": state,
    }


def _facts(part: Part, file: Path) -> dict[str, Any]:
    given = part.example(*TRACED)
    return {
        "file": file.name,
        "inputs": {
            name: {
                "axes": [axis if isinstance(axis, str) else int(axis) for axis in axes],
                "dtype": str(value.dtype).removeprefix("torch."),
                "holds": part.about[name],
            }
            for (name, axes), value in zip(part.axes.items(), given, strict=True)
        },
        "outputs": {name: part.about[name] for name in part.outputs},
    }
