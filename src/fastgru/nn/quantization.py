"""What torch's dynamic quantization makes of our layers: it goes by exact types, and knows torch's alone."""

from __future__ import annotations

import warnings
from typing import Any

from fastgru import errors


class Quantizable:
    """A layer that tells when quantization passes it by, which would go unseen.

    Quantization sets `qconfig` on every layer of a model: to None on those that it leaves as they are.
    """

    @property
    def qconfig(self) -> Any:
        """What quantization left here; missing before."""
        try:
            return vars(self)["_qconfig"]
        except KeyError:
            raise AttributeError("qconfig") from None

    @qconfig.setter
    def qconfig(self, value: Any) -> None:
        if value is None:
            warnings.warn(errors.not_quantized(type(self).__name__), stacklevel=2)
        vars(self)["_qconfig"] = value

    @qconfig.deleter
    def qconfig(self) -> None:
        vars(self).pop("_qconfig", None)
