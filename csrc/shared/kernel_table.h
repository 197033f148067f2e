// The kernels of one instruction-set level: a table for each element type, and their arguments.
//
// Everything here is plain data, so that code compiled for different levels can share it. Shapes are in
// brackets. L is the number of lanes of a vector, Hb = ceil(H / L) the number of hidden blocks, Hp = Hb * L.
//
// Gates have three orders: r, z, n in parameters, as in torch, and in their panels; r, z, n, c_n in saved values;
// n, r, z, r * n in the gradients of the sums (BackwardSteps).
#pragma once

#include <stddef.h>

#include "shared/barrier.h"
#include "shared/element_types.h"
#include "shared/inline.h"
#include "shared/integer_math.h"
#include "shared/tangent_steps.h"

namespace fastgru {

// The rows of a batch of sequences, step by step. Flat rows are numbered over all steps: step t has the flat rows
// first_row[t] .. first_row[t + 1] - 1, for batch rows 0, 1, ...; their number does not increase from step to step,
// so the longest sequence is batch row 0. The caller may have the sequences in another order.
struct Steps {
    ptrdiff_t count;             // T
    ptrdiff_t batch;             // B
    const ptrdiff_t* first_row;  // [T + 1]
    const ptrdiff_t* places;     // [B]: which of the caller's sequences is batch row b; null: the same one

    FASTGRU_INLINE ptrdiff_t place(ptrdiff_t b) const { return places == nullptr ? b : places[b]; }

    FASTGRU_INLINE ptrdiff_t rows() const { return first_row[count]; }
    // Batch rows alive at step t; none outside the sequence.
    FASTGRU_INLINE ptrdiff_t active(ptrdiff_t t) const {
        return t < 0 || t >= count ? 0 : first_row[t + 1] - first_row[t];
    }
};

// Where the vectors of sequences lie: step t, batch row b. By step (with any strides, in the caller's order), or
// one after another in the order of the flat rows.
template <class T>
struct Sequence {
    T* data;  // may be null where the user of the struct says so
    ptrdiff_t row_stride;
    ptrdiff_t step_stride;
    bool is_flat;

    FASTGRU_INLINE T* at(const Steps& steps, ptrdiff_t t, ptrdiff_t b) const {
        return data +
               (is_flat ? (steps.first_row[t] + b) * row_stride : t * step_stride + steps.place(b) * row_stride);
    }
    // The same places in other memory.
    template <class U>
    FASTGRU_INLINE Sequence<U> with(U* other) const {
        return {.data = other, .row_stride = row_stride, .step_stride = step_stride, .is_flat = is_flat};
    }
};

// Vectors of `width` values without gaps, in the order of the flat rows.
template <class T>
FASTGRU_INLINE Sequence<T> flat_sequence(T* data, ptrdiff_t width) {
    return {.data = data, .row_stride = width, .step_stride = 0, .is_flat = true};
}

// Resets inside sequences: before a marked step, the state is set to the one given here. The other direction runs
// backwards and is reset after the step.
template <class T>
struct Resets {
    const unsigned char* marks;  // [T][B] in the caller's order; null: none
    ptrdiff_t step_stride, row_stride;
    const T* state;          // [B][H], state_stride apart
    ptrdiff_t state_stride;  // 0: one row for all
};

// Vectors as integers of 8 bits, one after another, each with a scale: x = scale * q.
struct QuantizedRows {
    unsigned char* values;  // [rows][stride]
    float* scales;          // [rows]
    ptrdiff_t stride;
};

// A hidden block of 8-bit weights for vectors of K values: [Kg][3][L][group] weights, where a lane takes `group`
// values of a vector at a time and Kg = ceil(K / group); then floats [3][L], the scales of the rows; then integers
// [3][L], added to a sum where kernels add an offset to vectors.
struct Int8Layout {
    ptrdiff_t K, L, group;

    FASTGRU_INLINE constexpr ptrdiff_t groups() const { return ceil_div(K, group); }
    FASTGRU_INLINE constexpr ptrdiff_t weight_bytes() const { return groups() * 3 * L * group; }
    FASTGRU_INLINE constexpr ptrdiff_t block_bytes() const { return weight_bytes() + 3 * L * 8; }
};

// The recurrence forward over a range of steps, for some batch rows and some panels of hidden units. Parameters may
// be stored (S) in fewer bytes than sums have (T).
template <class T, class S = T>
struct ForwardSteps {
    const Steps* steps;
    bool is_reverse;                   // direction: step order s = 0 .. T-1 is time t = T-1-s
    ptrdiff_t step_begin, step_end;    // in processing order
    ptrdiff_t row_begin, row_end;      // batch rows
    ptrdiff_t panel_begin, panel_end;  // hidden blocks
    ptrdiff_t hidden_size;
    const S* weight_hh;        // as packed
    const T* bias_hn;          // [Hb][L]
    const T* projected;        // [panel_end - panel_begin][projected_rows][3][L]; rows in processing order
    ptrdiff_t projected_rows;  // active (step, row) pairs of this range
    const T* h_0;              // [B][H], h_0_stride apart; stride 0: one row for all
    ptrdiff_t h_0_stride;
    Resets<T> resets;
    Sequence<T> output;       // vectors of H
    T* saved;                 // [flat row][4][H]: r, z, n, c_n; null when no gradient is wanted
    const T** previous;       // [row_end - row_begin], scratch: where each row's last state is
    T** next;                 // the same for its next state; null: not wanted
    QuantizedRows quantized;  // scratch for as many rows, with 8-bit weights
    T* gated;          // [row_end - row_begin][2][H], scratch of all threads: z, r * h; with reset_after: null
    Barrier* barrier;  // waited at after each step by the threads that share these rows
    int threads;       // how many they are; 1: no waiting
};

// One step of few rows, for hidden blocks [begin, end), with the parameters as the user has them: where every
// weight is used once, packing it first would only move it twice more. Sums run in the same order as in the packed
// kernels.
template <class T, class S = T>
struct SingleStep {
    ptrdiff_t rows;  // at most kSingleStepRows<S>
    ptrdiff_t input_size, hidden_size;
    const S *weight_ih, *weight_hh, *bias_ih, *bias_hh;  // as in Cell
    const T* const* input;                               // [rows]: where vectors of I are
    const T* const* previous;                            // [rows]: and states of H
    T* const* next;                                      // [rows]
    T* saved;                                            // [rows][4][H], or null
    ptrdiff_t begin, end;
};
// Each number of rows of a group has code of its own, which takes long to compile; so most types have less of it.
template <class S>
constexpr ptrdiff_t kSingleStepGroup = __is_same(S, float) ? 8 : 4;
template <class S>
constexpr ptrdiff_t kSingleStepRows = 2 * kSingleStepGroup<S>;

// All steps of some rows of one direction of a small layer, in processing order: where that is backwards in time,
// pointers are those of the last step, and distances from step to step are negative. Every row has all steps, and
// none is reset.
template <class T>
struct SmallLayer {
    ptrdiff_t steps, rows;  // rows: at most small_rows
    ptrdiff_t input_size, hidden_size;
    const T *weight_ih, *weight_hh;  // [Hb][I][3][L], [Hb][H][3][L]
    const T *bias, *bias_hn;         // [Hb][3][L], [Hb][L]
    const T* input;                  // vectors of I
    ptrdiff_t input_row, input_step;
    const T* h_0;       // vectors of H
    ptrdiff_t h_0_row;  // 0: one for all
    T* output;          // vectors of H
    ptrdiff_t output_row, output_step;
    T* saved;  // [rows][4][H] for each step: r, z, n, c_n; null when no gradient is wanted
    ptrdiff_t saved_step;
};

// The recurrence backward over a range of steps. `d_gates` are the gradients of the sums inside the activations,
// row by row, in four groups of Hp: [n | r | z | r * n]; the first three are the gradient of the input projection,
// the last three that of the hidden projection. Lanes past the last hidden unit are 0.
template <class T>
struct BackwardSteps {
    const Steps* steps;
    bool is_reverse;
    ptrdiff_t step_begin, step_end;  // processed downwards
    ptrdiff_t row_begin, row_end;
    ptrdiff_t vector_begin, vector_end;  // hidden blocks, of which weight_hh has panels of its own
    ptrdiff_t hidden_size;
    ptrdiff_t panel_vectors;  // W of the widest panel: panel_vectors(rows), for at least the rows of this range
    const T* weight_hh;       // [panel][3 Hp][W][L]: rows r, z, n against columns
    const T* saved;           // [flat row][4][H], from row saved_first_row on
    ptrdiff_t saved_first_row;
    Sequence<const T> output;  // as in ForwardSteps
    const T* h_0;
    ptrdiff_t h_0_stride;
    Resets<T> resets;
    Sequence<const T> d_output;  // vectors of H; null: zero
    const T* d_h_n;              // [B][H]; null: zero
    T* d_h_0;                    // [B][H]; null: not wanted
    T* d_reset;                  // [B][H], added to: gradient of what resets put in; null: not wanted
    T* carry;                    // [B][Hp]: z * dh of the step processed last
    T* d_gates;                  // for the rows of this range, gate_stride apart
    ptrdiff_t first_row;         // flat row stored first in d_gates
    ptrdiff_t gate_stride;
    // Of the step processed before this range: row b is batch row b, from group r on.
    const T* later_d_gates;
    Barrier* barrier;
    int threads;
};

// Rows [begin, end) of a matrix, to be packed.
template <class T>
struct RowsToPack {
    const T* const* row;  // [rows]; null is a row of zeros
    ptrdiff_t rows, K;
    T* packed;                // [panel][rows][W][L]
    ptrdiff_t panel_vectors;  // W of the widest panel
    ptrdiff_t begin, end;
};

template <class T>
struct InputGradient {
    const T* d_gates;  // [row], gate_stride apart: of which the first three groups of Hp are summed over
    ptrdiff_t gate_stride, hidden_size;
    const T* weight;  // [panel][3 Hp][W][L]
    ptrdiff_t K;
    T* const* d_input;  // [row]
    bool accumulate;
};

template <class T>
struct WeightGradient {
    const T* d_gates;  // [rows], gate_stride apart
    ptrdiff_t gate_stride, rows, units;
    const T* right;  // [panel][capacity][W][L]
    ptrdiff_t capacity, vectors;
    T* d_weight;  // [panel][units][W][L]
};

// Whether batch row b is reset at time t. Run is ForwardSteps or BackwardSteps.
template <class Run>
FASTGRU_INLINE bool is_reset(const Run& run, ptrdiff_t t, ptrdiff_t b) {
    if (run.resets.marks == nullptr) return false;
    const ptrdiff_t border = run.is_reverse ? t + 1 : t;
    return b < run.steps->active(border) &&
           run.resets.marks[border * run.resets.step_stride + run.steps->place(b) * run.resets.row_stride] != 0;
}

// The state that batch row b had before time t: the output at the step processed before, h_0, or a reset's.
template <class T, class Run>
FASTGRU_INLINE const T* state_before(const Run& run, ptrdiff_t t, ptrdiff_t b) {
    const ptrdiff_t before = run.is_reverse ? t + 1 : t - 1;
    if (is_reset(run, t, b)) return run.resets.state + run.steps->place(b) * run.resets.state_stride;
    if (b < run.steps->active(before)) return run.output.at(*run.steps, before, b);
    return run.h_0 + run.steps->place(b) * run.h_0_stride;
}

// Those that read parameters as the user stores them, and the panels made of them.
template <class T, class S = T>
struct ForwardKernels {
    ptrdiff_t lanes;       // L
    ptrdiff_t tile_rows;   // rows of a full register tile
    ptrdiff_t small_rows;  // most rows of a SmallLayer; 0 where the type of parameters has no kernel for it

    // Hb of this many hidden units; or vectors that so many values fill.
    FASTGRU_INLINE ptrdiff_t blocks(ptrdiff_t values) const { return ceil_div(values, lanes); }

    // Rows r, z, n of a (3H, K) matrix to [Hb][K][3][L], for the hidden blocks [begin, end); of bfloat16 to
    // [Hb][ceil(K / 2)][3][L][2].
    void (*pack_gates)(const S* weight, ptrdiff_t H, ptrdiff_t K, S* packed, ptrdiff_t begin, ptrdiff_t end);
    // projected[panel - begin][i][gate] = bias + row[i] . weight, for the hidden blocks [begin, end).
    void (*project)(const T* const* row, ptrdiff_t rows, ptrdiff_t I, const S* weight_ih, const T* bias,
                    ptrdiff_t begin, ptrdiff_t end, T* projected);
    void (*forward_steps)(const ForwardSteps<T, S>&);
    // The gates of `rows` rows at once, of which `previous` holds the states before; no output.
    void (*forward_rows)(const ForwardSteps<T, S>&, ptrdiff_t rows);
    void (*single_step)(const SingleStep<T, S>&);
};

template <class T>
struct Kernels : ForwardKernels<T> {
    void (*small_layer)(const SmallLayer<T>&);
    // The columns in the vectors [first, last) of some rows of a matrix [rows][K] to panels.
    void (*pack_rows)(const RowsToPack<T>&, ptrdiff_t first, ptrdiff_t last);
    void (*backward_steps)(const BackwardSteps<T>&);
    // d_input[i] (+)= d_gates[i] . weight for rows [begin, end); d_input points to vectors of K.
    void (*input_gradient)(const InputGradient<T>&, ptrdiff_t begin, ptrdiff_t end);
    // d_weight += d_gates^T . right, for the units [begin, end). Rows are summed in pieces, each from zero.
    void (*weight_gradient)(const WeightGradient<T>&, ptrdiff_t begin, ptrdiff_t end);
    // d_bias[block][L] += sum over rows of d_gates[block], rows `stride` apart.
    void (*bias_gradient)(const T* d_gates, ptrdiff_t stride, ptrdiff_t rows, T* d_bias, ptrdiff_t begin,
                          ptrdiff_t end);
    // All steps of the rows [row_begin, row_end).
    void (*tangent_steps)(const TangentSteps<T>&);
    void (*tangent_back_steps)(const TangentBackSteps<T>&);
    // Elementwise, for the tests of their error bounds.
    void (*sigmoid)(const T* x, T* y, ptrdiff_t n);
    void (*tanh)(const T* x, T* y, ptrdiff_t n);
    // The limits of the processor (kernels/machine_limits.h).
    double (*fma_chains)(T one, ptrdiff_t rounds);
    double (*read_all)(const T* values, ptrdiff_t n, ptrdiff_t repeats);
};

template <class S>
struct HalfKernels : ForwardKernels<float, S> {
    bool widens_fast;  // so that it pays to do it in each step
    // Panels as pack_gates makes them, for the hidden blocks [begin, end).
    void (*widen_panels)(const S* panels, ptrdiff_t K, float* wide, ptrdiff_t begin, ptrdiff_t end);
    // pack_gates to panels of floats, and of floats, which are rounded.
    void (*pack_wide)(const S* weight, ptrdiff_t H, ptrdiff_t K, float* packed, ptrdiff_t begin, ptrdiff_t end);
    void (*pack_narrow)(const float* weight, ptrdiff_t H, ptrdiff_t K, S* packed, ptrdiff_t begin, ptrdiff_t end);
    void (*widen)(const S* x, float* y, ptrdiff_t n);
    // To the nearest, of two the even one.
    void (*narrow)(const float* x, S* y, ptrdiff_t n);
};

// Of weights of 8 bits, and of panels of floats beside them, for vectors that are not quantized. pack_gates,
// project, forward_rows and single_step of the base are null: the host packs once (host/int8_panels.h).
struct Int8Kernels : ForwardKernels<float, Int8> {
    ptrdiff_t group;            // as in Int8Layout
    ptrdiff_t row_value_bytes;  // of a value of a quantized vector
    ptrdiff_t row_offset;       // added to it

    // Vectors of K values, in whole vectors of L.
    void (*quantize)(const float* const* row, ptrdiff_t rows, ptrdiff_t K, const QuantizedRows& to);
    // `project` of vectors that were quantized.
    void (*project_quantized)(const QuantizedRows& row, ptrdiff_t rows, ptrdiff_t I, const Int8* weight_ih,
                              const float* bias, ptrdiff_t begin, ptrdiff_t end, float* projected);
    void (*pack_floats)(const float* weight, ptrdiff_t H, ptrdiff_t K, float* packed, ptrdiff_t begin,
                        ptrdiff_t end);
    void (*project_floats)(const float* const* row, ptrdiff_t rows, ptrdiff_t I, const float* weight_ih,
                           const float* bias, ptrdiff_t begin, ptrdiff_t end, float* projected);
};

struct ResetBeforeTable;  // shared/reset_before_table.h
struct RowTable;          // shared/row_kernels.h

struct KernelTable {
    const char* name;
    Kernels<float> float32;
    Kernels<double> float64;
    HalfKernels<BFloat16> bfloat16;
    HalfKernels<Float16> float16;
    const ResetBeforeTable* reset_before;  // of layers that reset before the product
    const RowTable* rows;                  // of row-wise operations
};

// Those that this machine has beside a level's table: host/levels.cpp.
const Int8Kernels& int8_kernels(const KernelTable& table);

// Of parameters stored as S.
template <class S>
FASTGRU_INLINE const auto& kernels_of(const KernelTable& table) {
    if constexpr (__is_same(S, Int8))
        return int8_kernels(table);
    else if constexpr (__is_same(S, float))
        return table.float32;
    else if constexpr (__is_same(S, double))
        return table.float64;
    else if constexpr (__is_same(S, BFloat16))
        return table.bfloat16;
    else
        return table.float16;
}

// One definition per level that this build has (host/levels.cpp lists them).
namespace baseline {
extern const KernelTable table;
extern const Int8Kernels int8_table;
}  // namespace baseline
namespace neon {
extern const KernelTable table;
extern const Int8Kernels int8_table;
}  // namespace neon
namespace neondot {
extern const Int8Kernels int8_table;
}
namespace avx2 {
extern const KernelTable table;
extern const Int8Kernels int8_table;
}  // namespace avx2
namespace avx512 {
extern const KernelTable table;
}
namespace avxvnni {
extern const Int8Kernels int8_table;
}
namespace avx512vnni {
extern const Int8Kernels int8_table;
}

}  // namespace fastgru
