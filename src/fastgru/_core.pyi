"""The native core of fastgru: a stacked, bidirectional GRU on raw memory."""

class Core:
    """Sizes and element type of a layer."""

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, num_directions: int, bias: bool, is_double: bool
    ) -> None: ...
    def saved_values(self, steps: int, rows: int, batch_sizes: int, recomputes: bool) -> int:
        """How many values a training forward leaves for the backward pass."""

    def forward(
        self,
        steps: int,
        rows: int,
        batch_sizes: int,
        input: int,
        step_stride: int,
        row_stride: int,
        h_0: int,
        parameters: object,
        output: int,
        h_n: int,
        saved: int,
        recomputes: bool,
        threads: int,
    ) -> None:
        """Writes output and h_n, and what backward needs where `saved` is given."""

    def forward_tensors(
        self, input: object, h_0: object | None, parameters: object, saved: int, recomputes: bool, threads: int
    ) -> object:
        """Output and h_n, or None where a tensor is not plain. What backward needs goes to the address `saved`."""

    def backward_tensors(
        self,
        input: object,
        h_0: object | None,
        parameters: object,
        output: object,
        saved: int,
        recomputes: bool,
        d_output: object | None,
        d_h_n: object | None,
        wanted: object,
        threads: int,
    ) -> object:
        """Gradients of input, h_0 and parameters, None for those not wanted; or None as above."""

    def backward(
        self,
        steps: int,
        rows: int,
        batch_sizes: int,
        input: int,
        step_stride: int,
        row_stride: int,
        h_0: int,
        parameters: object,
        output: int,
        saved: int,
        recomputes: bool,
        d_output: int,
        d_step_stride: int,
        d_row_stride: int,
        d_h_n: int,
        d_input: int,
        d_h_0: int,
        d_parameters: object,
        threads: int,
    ) -> None:
        """Writes the gradients whose address is not 0."""

class Packed:
    """Parameters packed once for many calls."""

    def __init__(self, core: Core, parameters: tuple[object, ...], watches: tuple[object, ...]) -> None: ...
    def is_current(self) -> bool:
        """False when a parameter was written to since."""

    def forward_tensors(self, input: object, h_0: object | None, parameters: dict[str, object], threads: int) -> object:
        """As forward_tensors of Core. None also for other parameters, False where one was written to since."""

class Stepper:
    """One step after another, with nothing left to prepare."""

    def __init__(self, packed: object, state: object, output: object, threads: int) -> None: ...
    def step(self, input: object) -> object:
        """Advances the state in place; the output, or None where the input is not plain, dense and of its size."""

class Block:
    """Memory from the pool, as a writable buffer."""

    def __init__(self, bytes: int) -> None: ...

MOST_CELLS: int = 256

def load_tensors(types: tuple[type, ...]) -> bool:
    """Makes calls on tensors of these types usable; False when this torch lacks the table of functions for it."""

def levels() -> list[tuple[str, bool]]:
    """Instruction-set levels of this build, best first: (name, available on this machine)."""

def active_level() -> str: ...
def set_active_level(name: str) -> bool:
    """False when the level cannot run here."""

def pooled_bytes() -> int:
    """Bytes of scratch memory that wait for the next call."""

def set_poison(is_on: bool) -> None:
    """Hand scratch memory out full of NaN, for tests."""

def activation(is_tanh: bool, is_double: bool, x: int, y: int, n: int) -> None:
    """Sigmoid or tanh of n values, by the kernels of the active level."""

def fma_chains(is_double: bool, rounds: int) -> float:
    """Independent multiply-adds at the active level; returns how many, exactly for up to 2**24 rounds."""

def read_all(values: int, n: int, repeats: int) -> float:
    """Reads n float32 `repeats` times at the active level; returns their sum."""
