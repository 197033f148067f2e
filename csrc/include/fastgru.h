// The whole C++ API: a stacked, bidirectional GRU on raw memory, forward and backward.
//
// Nothing here allocates, throws, prints or aborts, or depends on Python or torch. The caller must have checked
// all sizes. Shapes are in brackets: T steps, B batch rows, N = sum of the batch sizes over all steps, I inputs,
// H hidden units, L layers, D directions. All memory is row-major; output buffers may not overlap inputs.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/kernel_table.h"

namespace fastgru {

struct Spec {
    ptrdiff_t input_size, hidden_size, num_layers, num_directions;
    // n = tanh(W x + b + r * (U h + c)); otherwise n = tanh(W x + b + U (r * h) + c): the reset comes before the
    // product.
    bool reset_after = true;

    ptrdiff_t cells() const { return num_layers * num_directions; }
    // Features that layer `layer` reads.
    ptrdiff_t width(ptrdiff_t layer) const { return layer == 0 ? input_size : num_directions * hidden_size; }
};

// A batch of sequences, all with T steps unless one of the two arrays gives their ends. With batch_sizes the rows
// are packed like torch's PackedSequence; with lengths they are in padded memory, in any order.
struct Batch {
    ptrdiff_t steps, rows;                 // T, B
    const int64_t* batch_sizes = nullptr;  // [T], not increasing
    const int64_t* lengths = nullptr;      // [B], 0 .. T

    bool is_ragged() const { return batch_sizes != nullptr || lengths != nullptr; }
    ptrdiff_t total() const {  // N
        if (!is_ragged()) return steps * rows;
        ptrdiff_t sum = 0;
        for (ptrdiff_t i = 0; i < (lengths == nullptr ? steps : rows); ++i)
            sum += lengths == nullptr ? batch_sizes[i] : lengths[i];
        return sum;
    }
    // Vectors in memory.
    ptrdiff_t slots() const { return batch_sizes == nullptr ? steps * rows : total(); }
    // Steps with work to do; at least 1, because kernels do not support empty sequences.
    ptrdiff_t longest() const {
        ptrdiff_t most = lengths == nullptr ? steps : 1;
        for (ptrdiff_t b = 0; lengths != nullptr && b < rows; ++b) most = lengths[b] > most ? lengths[b] : most;
        return most;
    }
};

// How threads divide a layer. All partitions give the same bits.
enum class Partition {
    best,     // the fastest by the estimate of host/plan.cpp
    alone,    // one thread does everything
    rows,     // each computes batch rows for all steps, without synchronization
    columns,  // each computes hidden units of every row, with a barrier after every step
    ahead,    // the first computes the steps, the others project inputs of later ones; not backward
    layers,   // each computes layers of a stack, a chunk of steps behind the layer before; not backward
};

// Parameters of one layer and direction, with rows r, z, n. A call has them in torch's order: for each layer, for
// each direction. There are no defaults here, because calls make large arrays of cells.
template <class S>
struct Cell {
    const S* weight_ih;  // [3H][width]
    const S* weight_hh;  // [3H][H]
    const S* bias_ih;    // [3H], null: none
    const S* bias_hh;    // [3H], null: none
};

template <class T>
struct CellGradients {  // same shapes; each may be null: not needed
    T *weight_ih, *weight_hh, *bias_ih, *bias_hh;

    bool any() const { return weight_ih || weight_hh || bias_ih || bias_hh; }
};

// Vectors of type T, parameters stored as S. Vectors of 16 bits are widened first and results rounded last, and
// outputs are contiguous.
template <class T, class S = T>
struct Forward {
    using Value = T;
    static constexpr size_t value_bytes = sizeof(Sum<T>);  // of sums

    Spec spec;
    Batch batch;
    Sequence<const T> input;  // [T][B][I] with any strides between vectors, or [N][I]
    const T* h_0 = nullptr;   // [L D][B][H], null: zeros
    Resets<T> resets = {};    // its state is [L D][B][H]; or [L D][H] with stride 0; or null: zeros
    const Cell<S>* cells;     // [L D]
    Sequence<T> output;       // [T][B][D H], zeros past the ends; or [N][D H]
    T* h_n;                   // [L D][B][H]
    Sum<T>* saved = nullptr;  // [saved_values<T>(...)]: for the backward pass; null: none follows
    bool recomputes = false;  // the backward pass will recompute the gates
    int threads = 1;          // at most this many
    bool is_awake = false;    // threads start work immediately (host/threads.h); results are the same in both cases
    const void* packed = nullptr;  // from `pack` with the same table; null: the call packs `cells` for itself
    Partition partition = Partition::best;  // another where it is possible, for tests and measurements
};

template <class T>
struct Backward {
    using Value = T;
    static constexpr size_t value_bytes = sizeof(Sum<T>);

    Spec spec;
    Batch batch;
    Sequence<const T> input;
    const T* h_0 = nullptr;
    Resets<T> resets = {};
    const Cell<T>* cells;
    Sequence<const T> output;         // unchanged since the forward pass; not read for 16 bits, `saved` has it
    const Sum<T>* saved;              // read only: the backward pass may run again
    bool recomputes = false;          // as in the forward pass
    Sequence<const T> d_output = {};  // [T][B][D H]; null data: zero
    const T* d_h_n = nullptr;         // [L D][B][H], null: zero
    Sequence<T> d_input = {};         // like input, zeros past the ends; null data: not wanted
    T* d_h_0 = nullptr;               // [L D][B][H], null: not wanted
    T* d_reset = nullptr;             // [L D][B][H], null: not wanted: of the state that resets put in
    const CellGradients<T>* d_cells;  // [L D]
    int threads = 1;
    bool is_awake = false;  // as in the forward pass
    Partition partition = Partition::best;
};

// Number of values that a forward pass saves for the backward pass: four per step, row and hidden unit (none if
// they will be recomputed), and the outputs of all layers but the last, or of all if the caller's output is
// rounded.
template <class T>
size_t saved_values(const Spec& spec, ptrdiff_t slots, ptrdiff_t total, bool recomputes);
template <class T>
size_t saved_values(const Spec& spec, const Batch& batch, bool recomputes) {
    return saved_values<T>(spec, batch.slots(), batch.total(), recomputes);
}

// Parameters packed once for many calls, for the forward kernels of one level. Calls without packed parameters pack
// them each time, because they cannot know whether parameters have changed. Weights of floats may be stored in 16
// or 8 bits (P), for Forward<float, P>: each is rounded to the nearest, of two the even one. Of 8 bits, each row
// has a scale, and calls quantize states and inputs alike (host/int8_panels.h). Biases stay floats.
// With 8 bits, inputs of at least so many values are quantized. One scale for a vector loses small values beside
// large ones, and those of a narrow input often differ in size by nature.
constexpr ptrdiff_t kLeastQuantized = 32;
template <class P>
size_t packed_bytes(const KernelTable& table, const Spec& spec);
template <class P, class S>
void pack(const KernelTable& table, const Spec& spec, const Cell<S>* cells, void* packed);

// Bytes of scratch memory, aligned to 64, that a call needs; it need not be initialized.
template <class T, class S>
size_t workspace_bytes(const KernelTable& table, const Forward<T, S>& call);
template <class T>
size_t workspace_bytes(const KernelTable& table, const Backward<T>& call);
template <Half S>
size_t workspace_bytes(const KernelTable& table, const Forward<S>& call);
template <Half S>
size_t workspace_bytes(const KernelTable& table, const Backward<S>& call);

template <class T, class S>
void run(const KernelTable& table, const Forward<T, S>& call, void* workspace);
template <class T>
void run(const KernelTable& table, const Backward<T>& call, void* workspace);
template <Half S>
void run(const KernelTable& table, const Forward<S>& call, void* workspace);
template <Half S>
void run(const KernelTable& table, const Backward<S>& call, void* workspace);

// A forward pass of a tangent through one direction of one layer, and a backward pass of a gradient and its tangent
// (kernel_table.h). Weights are [3H][H], not packed. Threads share rows, and results do not depend on their number.
template <class T>
size_t workspace_bytes(const KernelTable& table, const TangentSteps<T>& call);
template <class T>
void run(const KernelTable& table, TangentSteps<T> call, int threads, void* workspace);
template <class T>
size_t workspace_bytes(const KernelTable& table, const TangentBackSteps<T>& call);
template <class T>
void run(const KernelTable& table, TangentBackSteps<T> call, int threads, void* workspace);

// The levels of this build, best first.
struct Level {
    const KernelTable* table;
    bool is_available;  // on this machine
};
int levels(const Level** first);
const KernelTable& active_table();
// Returns false and changes nothing if the level is unknown or not available here.
bool set_active_level(const char* name);

}  // namespace fastgru
