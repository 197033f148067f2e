// A whole model: nodes that compute matrices of matrices, one after another, in one call.
//
// A value is a matrix with the values of a vector side by side and a vector for each step and sequence, step after
// step, or for each sequence alone. Long calls go through all nodes with a few steps at a time, so that what one
// node leaves to the next stays in the caches, and memory does not grow with the number of steps. Results do not
// depend on it.
#pragma once

#include <variant>
#include <vector>

#include "fastgru_rows.h"
#include "host/workspace.h"

namespace fastgru {

struct ValueType {
    bool is_per_step;
    ptrdiff_t width;  // 0: indices

    bool operator==(const ValueType&) const = default;
};

// Nodes name the values that they read (x) and write (y) by their numbers.
template <class T>
struct LinearNode {
    int x, y;
    ptrdiff_t in_features, out_features;
    Block packed;
    std::vector<T> bias;  // empty: none
    Activation activation;
};

template <class T>
struct EmbeddingNode {
    int x, y;
    std::vector<T> table;  // [indices][width of y]
};

struct ActivateNode {
    int x, y;
    Activation activation;
};

// x (operation) other, or the other way round. `other` is a value, or -1 for a constant of one number or a vector.
// One of two values may have a width of 1, for all the numbers of the other's vectors.
template <class T>
struct CombineNode {
    Operation operation;
    int x, other, y;
    std::vector<T> constant;
    bool swaps;
};

struct SoftmaxNode {
    int x, y;
    bool is_log;
};

template <class T>
struct LayerNormNode {
    int x, y;
    std::vector<T> weight, bias;  // empty: none
    double eps;
};

// Columns of x from x_first on to those of y from y_first on; for all steps, where only y has steps.
struct CopyNode {
    int x, y;
    ptrdiff_t x_first, y_first, width;
};

// The last step of each sequence.
struct LastNode {
    int x, y;
};

enum class StoredAs { as_they_are, bfloat16, float16, int8 };  // weights of a GRU

template <class T>
struct GruNode {
    int x, y, state;
    std::vector<int> last;    // [cells]: values that get the last states; -1: not wanted
    std::vector<int> begins;  // [cells]: values that sequences begin with; empty: `anew`
    std::vector<T> anew;      // [cells][H]: states after a reset; empty: zeros
    Spec spec;
    StoredAs stored;
    Block packed;
};

template <class T>
using Node = std::variant<LinearNode<T>, EmbeddingNode<T>, ActivateNode, CombineNode<T>, SoftmaxNode,
                          LayerNormNode<T>, CopyNode, LastNode, GruNode<T>>;

// Where the vectors of an input or output are: step t, sequence b.
struct Place {
    void* data;  // T, or int64_t for indices
    ptrdiff_t step_stride, row_stride;
};

template <class T>
struct ProgramCall {
    ptrdiff_t steps, rows;   // T, B
    const Place* inputs;     // as in Program::inputs
    const Place* outputs;    // as in Program::outputs; they overlap nothing else
    const T* const* states;  // [nodes with a state]: [cells][B][H]
    // [nodes with a state]: null, or the rows [B] of nodes with `begins` whose sequences begin in this call.
    const bool* const* begun;
    T* const* next_states;   // as `states`; may be the same memory
    const int64_t* lengths;  // [B]; null: all have T steps
    Resets<T> resets;        // marks alone; null: none
    int threads;
};

template <class T>
struct Program {
    const KernelTable* table;  // nodes have weights packed for its kernels
    std::vector<ValueType> values;
    std::vector<Node<T>> nodes;
    std::vector<int> inputs, outputs;  // values

    // Set by `arrange` when all the above is there.
    bool can_split = false;        // whether calls may be taken a few steps at a time
    std::vector<int> slot_of;      // [values]: which memory a value shares with others; -1: it has none
    std::vector<ValueType> slots;  // of the widest vectors
    std::vector<bool> is_written;  // [values]: by a node
    double products = 0;           // of all nodes, for each step of each sequence
};

// Decides which values share memory.
template <class T>
void arrange(Program<T>& program);

// The bytes that were lacking; 0: the call is done.
template <class T>
size_t run(const Program<T>& program, const ProgramCall<T>& call);

// About what one thread takes.
template <class T>
double call_microseconds(const Program<T>& program, const ProgramCall<T>& call);

}  // namespace fastgru
