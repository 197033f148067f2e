// What each kind of node of a program computes, for some steps of a call.
#pragma once

#include <string.h>

#include <utility>

#include "host/program.h"
#include "host/run_calls.h"

namespace fastgru {

// Some steps of a call.
template <class T>
struct Part {
    const Program<T>& program;
    const ProgramCall<T>& call;
    ptrdiff_t first, steps;  // of all steps of the call
    Matrix<T>* values;       // [values]; of indices the matrix is empty
    const Place* indices;    // [values]
    const int64_t* lengths;  // [B], of this part; null: all have `steps`
    T* beginnings;           // room for what the sequences of one node begin with: [cells][B][H]
    size_t lacking = 0;      // bytes

    ptrdiff_t batch() const { return call.rows; }
    ptrdiff_t rows(int value) const {
        return program.values[size_t(value)].is_per_step ? steps * batch() : batch();
    }
    ptrdiff_t width(int value) const { return program.values[size_t(value)].width; }
    Matrix<const T> read(int value) const { return {values[value].data, values[value].stride}; }
    const KernelTable& table() const { return *program.table; }
};

// With the threads that are worth it. Calls that need no workspace.
template <class T, class Call>
void run_rows(const Part<T>& part, Call call) {
    const Team team(part.call.threads, call_microseconds(call));
    call.threads = team.threads();
    call.is_awake = team.is_awake();
    run(part.table(), call);
}

template <class T>
const T* pointer(const std::vector<T>& values) {
    return values.empty() ? nullptr : values.data();
}

template <class T>
void compute(Part<T>& part, const LinearNode<T>& node) {
    Linear<T> call{};
    call.rows = part.rows(node.y);
    call.in_features = node.in_features;
    call.out_features = node.out_features;
    call.input = part.read(node.x);
    call.bias = pointer(node.bias);
    call.output = part.values[node.y];
    call.activation = node.activation;
    call.packed = node.packed.data();
    call.threads = part.call.threads;
    part.lacking = run_call(part.table(), call);
}

template <class T>
void compute(Part<T>& part, const EmbeddingNode<T>& node) {
    const Place& place = part.indices[node.x];
    const bool is_per_step = part.program.values[size_t(node.x)].is_per_step;
    const ptrdiff_t width = part.width(node.y), steps = is_per_step ? part.steps : 1;
    const auto* index = static_cast<const int64_t*>(place.data);
    for (ptrdiff_t t = 0; t < steps; ++t) {
        for (ptrdiff_t b = 0; b < part.batch(); ++b) {
            const int64_t row = index[(part.first + t) * place.step_stride + b * place.row_stride];
            memcpy(part.values[node.y].row(t * part.batch() + b), node.table.data() + row * width,
                   size_t(width) * sizeof(T));
        }
    }
}

template <class T>
void compute(Part<T>& part, const ActivateNode& node) {
    Activate<T> call{};
    call.rows = part.rows(node.y);
    call.width = part.width(node.y);
    call.input = part.read(node.x);
    call.output = part.values[node.y];
    call.activation = node.activation;
    run_rows(part, call);
}

template <class T>
void compute(Part<T>& part, const CombineNode<T>& node) {
    Combine<T> call{};
    call.operation = node.operation;
    call.rows = part.rows(node.y);
    call.width = part.width(node.y);
    const auto operand = [&](int value) -> Operand<T> {
        const Matrix<T>& matrix = part.values[value];
        return {.data = matrix.data, .stride = matrix.stride, .is_value = part.width(value) != call.width};
    };
    call.left = operand(node.x);
    if (node.other >= 0)
        call.right = operand(node.other);
    else
        call.right = {.data = node.constant.data(), .stride = 0, .is_value = node.constant.size() == 1};
    if (node.swaps) std::swap(call.left, call.right);
    call.output = part.values[node.y];
    run_rows(part, call);
}

template <class T>
void compute(Part<T>& part, const SoftmaxNode& node) {
    Softmax<T> call{};
    call.rows = part.rows(node.y);
    call.width = part.width(node.y);
    call.input = part.read(node.x);
    call.output = part.values[node.y];
    call.is_log = node.is_log;
    run_rows(part, call);
}

template <class T>
void compute(Part<T>& part, const LayerNormNode<T>& node) {
    LayerNorm<T> call{};
    call.rows = part.rows(node.y);
    call.width = part.width(node.y);
    call.input = part.read(node.x);
    call.weight = pointer(node.weight);
    call.bias = pointer(node.bias);
    call.eps = node.eps;
    call.output = part.values[node.y];
    run_rows(part, call);
}

template <class T>
void compute(Part<T>& part, const CopyNode& node) {
    const bool repeats = part.rows(node.x) != part.rows(node.y);
    for (ptrdiff_t i = 0; i < part.rows(node.y); ++i)
        memcpy(part.values[node.y].row(i) + node.y_first,
               part.values[node.x].row(repeats ? i % part.batch() : i) + node.x_first,
               size_t(node.width) * sizeof(T));
}

template <class T>
void compute(Part<T>& part, const LastNode& node) {
    const size_t bytes = size_t(part.width(node.y)) * sizeof(T);
    for (ptrdiff_t b = 0; b < part.batch(); ++b) {
        const ptrdiff_t length = part.lengths == nullptr ? part.steps : ptrdiff_t(part.lengths[b]);
        T* to = part.values[node.y].row(b);
        if (length > 0)
            memcpy(to, part.values[node.x].row((length - 1) * part.batch() + b), bytes);
        else if (part.first == 0)
            memset(to, 0, bytes);
    }
}

// Copies the values that sequences begin with to a state [cells][B][H], of all rows or of those that `rows` marks.
template <class T>
void copy_beginnings(const Part<T>& part, const GruNode<T>& node, const bool* rows, T* state) {
    const ptrdiff_t batch = part.batch(), H = node.spec.hidden_size;
    for (size_t cell = 0; cell < node.begins.size(); ++cell)
        for (ptrdiff_t b = 0; b < batch; ++b)
            if (rows == nullptr || rows[b])
                memcpy(state + (ptrdiff_t(cell) * batch + b) * H, part.values[node.begins[cell]].row(b),
                       size_t(H) * sizeof(T));
}

// The state that a node goes on from in this part of the call.
template <class T>
const T* state_before(const Part<T>& part, const GruNode<T>& node) {
    const T* given = part.call.states[node.state];
    const bool* begun = part.call.begun[node.state];
    T* next = part.call.next_states[node.state];
    if (part.first > 0) return next;
    if (begun == nullptr) return given;
    if (next != given)
        memcpy(next, given, size_t(node.spec.cells() * part.batch() * node.spec.hidden_size) * sizeof(T));
    copy_beginnings(part, node, begun, next);
    return next;
}

// S: what weights are stored as.
template <class T, class S>
void run_gru(Part<T>& part, const GruNode<T>& node) {
    const ptrdiff_t batch = part.batch(), cells = node.spec.cells(), H = node.spec.hidden_size;
    const bool is_cell = !part.program.values[size_t(node.x)].is_per_step;
    Forward<T, S> call{};
    call.spec = node.spec;
    call.batch = {.steps = is_cell ? 1 : part.steps, .rows = batch, .lengths = is_cell ? nullptr : part.lengths};
    const auto sequence = [&]<class U>(Matrix<U> matrix) -> Sequence<U> {
        return {.data = matrix.data,
                .row_stride = matrix.stride,
                .step_stride = matrix.stride * batch,
                .is_flat = false};
    };
    call.input = sequence(part.read(node.x));
    call.output = sequence(part.values[node.y]);
    call.h_n = part.call.next_states[node.state];
    call.h_0 = state_before(part, node);
    call.resets = part.call.resets;
    if (call.resets.marks != nullptr) call.resets.marks += part.first * call.resets.step_stride;
    call.resets.state = pointer(node.anew);
    if (call.resets.marks != nullptr && !node.begins.empty()) {
        copy_beginnings<T>(part, node, nullptr, part.beginnings);
        call.resets.state = part.beginnings;
        call.resets.state_stride = H;
    }
    call.packed = node.packed.data();
    call.threads = part.call.threads;
    part.lacking = run_call(part.table(), call);
    for (ptrdiff_t cell = 0; cell < cells; ++cell) {
        const int y = node.last[size_t(cell)];
        for (ptrdiff_t b = 0; y >= 0 && b < batch; ++b)
            memcpy(part.values[y].row(b), call.h_n + (cell * batch + b) * H, size_t(H) * sizeof(T));
    }
}

template <class T>
void compute(Part<T>& part, const GruNode<T>& node) {
    if constexpr (__is_same(T, float)) {
        if (node.stored == StoredAs::bfloat16) return run_gru<T, BFloat16>(part, node);
        if (node.stored == StoredAs::float16) return run_gru<T, Float16>(part, node);
        if (node.stored == StoredAs::int8) return run_gru<T, Int8>(part, node);
    }
    run_gru<T, T>(part, node);
}

}  // namespace fastgru
