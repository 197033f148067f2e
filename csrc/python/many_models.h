// Several models of one size, each with its own call: how far it is from one to the next, in bytes.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "python/batches.h"
#include "python/bindings.h"

namespace fastgru::python {

// By the names that the arguments of `forward` and `backward` have; 0 where models share a tensor.
struct Shifts {
    ptrdiff_t lengths = 0, input = 0, h_0 = 0, reset = 0, reset_state = 0, output = 0, h_n = 0, saved = 0;
    ptrdiff_t d_output = 0, d_h_n = 0, d_input = 0, d_h_0 = 0, d_reset = 0;
};

// Throws where a name is none of them.
Shifts shifts_of(const std::unordered_map<std::string, ptrdiff_t>& by_name);

struct Models {
    ptrdiff_t count = 1;
    Shifts tensors = {};
    std::vector<ptrdiff_t> parameters = {}, d_parameters = {};
};
inline const Models kOneModel;

template <class P>
void move(P*& pointer, ptrdiff_t bytes) {
    if (pointer != nullptr) pointer = reinterpret_cast<P*>(reinterpret_cast<uintptr_t>(pointer) + size_t(bytes));
}

// Call is Forward or Backward.
template <class Call>
void move_inputs(Call& call, const Shifts& by, ptrdiff_t model) {
    move(call.input.data, by.input * model);
    move(call.h_0, by.h_0 * model);
    move(call.resets.marks, by.reset * model);
    move(call.resets.state, by.reset_state * model);
    move(call.output.data, by.output * model);
    move(call.saved, by.saved * model);
}

// The call of the first model becomes that of another, all but its batch and its cells.
template <class T, class S>
void move_to_model(Forward<T, S>& call, const Shifts& by, ptrdiff_t model) {
    move_inputs(call, by, model);
    move(call.h_n, by.h_n * model);
}
template <class T>
void move_to_model(Backward<T>& call, const Shifts& by, ptrdiff_t model) {
    move_inputs(call, by, model);
    move(call.d_output.data, by.d_output * model);
    move(call.d_h_n, by.d_h_n * model);
    move(call.d_input.data, by.d_input * model);
    move(call.d_h_0, by.d_h_0 * model);
    move(call.d_reset, by.d_reset * model);
}

// The cells of all models one after another, from those of the first. C is Cell or CellGradients.
template <class C>
std::vector<C> cells_of_models(const LayerSizes& sizes, const C* first, const std::vector<ptrdiff_t>& by,
                               ptrdiff_t models) {
    if (ptrdiff_t(by.size()) != sizes.spec.cells() * sizes.tensors_per_cell())
        throw nb::value_error("several models take one distance for each parameter");
    std::vector<C> cells;
    for (ptrdiff_t model = 0; model < models; ++model) {
        for (ptrdiff_t i = 0; i < sizes.spec.cells(); ++i) {
            const ptrdiff_t* shifts = by.data() + i * sizes.tensors_per_cell();
            C cell = first[i];
            move(cell.weight_ih, shifts[0] * model);
            move(cell.weight_hh, shifts[1] * model);
            if (cell.bias_ih != nullptr) move(cell.bias_ih, shifts[2] * model);
            if (cell.bias_hh != nullptr) move(cell.bias_hh, shifts[3] * model);
            cells.push_back(cell);
        }
    }
    return cells;
}

// Of one model; an error where there is less memory than its forward pass leaves.
template <class Call>
void check_saved(const Call& call, size_t saved_count) {
    if (call.saved != nullptr &&
        saved_count < saved_values<typename Call::Value>(call.spec, call.batch, call.recomputes))
        throw nb::value_error("the memory for what the backward pass needs is too small for these lengths");
}

// The calls of all models, but for their cells, from that of the first.
template <class Call>
std::vector<Call> calls_of_models(const Call& first, const Models& models, const Batches& batches,
                                  size_t saved_count) {
    std::vector<Call> calls(size_t(models.count), first);
    for (ptrdiff_t i = 0; i < models.count; ++i) {
        Call& call = calls[size_t(i)];
        call.batch = batches.of_model(i);
        check_saved(call, saved_count);
        move_to_model(call, models.tensors, i);
    }
    return calls;
}

template <class Call>
void run_without_gil(std::vector<Call>& calls, int threads) {
    const KernelTable& table = active_table();
    const ReleasedGil released;
    must_have(run_calls(table, calls.data(), ptrdiff_t(calls.size()), threads));
}

// The call of the first model, and those of all others. Of what is saved, each has memory for so many values.
template <class T, class S>
void run_models(const LayerSizes& sizes, const Forward<T, S>& first, const Models& models, const Batches& batches,
                size_t saved_count) {
    check_saved(first, saved_count);
    if (models.count == 1) return run_one(first);
    std::vector<Forward<T, S>> calls = calls_of_models(first, models, batches, saved_count);
    const std::vector<Cell<S>> cells = cells_of_models(sizes, first.cells, models.parameters, models.count);
    for (size_t i = 0; i < calls.size(); ++i) calls[i].cells = cells.data() + i * size_t(sizes.spec.cells());
    run_without_gil(calls, first.threads);
}
template <class T>
void run_models(const LayerSizes& sizes, const Backward<T>& first, const Models& models, const Batches& batches,
                size_t saved_count) {
    check_saved(first, saved_count);
    if (models.count == 1) return run_one(first);
    std::vector<Backward<T>> calls = calls_of_models(first, models, batches, saved_count);
    const std::vector<Cell<T>> cells = cells_of_models(sizes, first.cells, models.parameters, models.count);
    const std::vector<CellGradients<T>> d_cells =
        cells_of_models(sizes, first.d_cells, models.d_parameters, models.count);
    for (size_t i = 0; i < calls.size(); ++i) {
        calls[i].cells = cells.data() + i * size_t(sizes.spec.cells());
        calls[i].d_cells = d_cells.data() + i * size_t(sizes.spec.cells());
    }
    run_without_gil(calls, first.threads);
}

}  // namespace fastgru::python
