// What the two halves of the Python module share: a layer's sizes as Python holds them, and how a call gets its
// scratch memory.
#pragma once

#include <nanobind/nanobind.h>

#include <new>

#include "fastgru.h"
#include "plan.h"
#include "threads.h"
#include "workspace.h"

namespace fastgru::python {

namespace nb = nanobind;

using Address = uintptr_t;

// A layer's sizes.
struct Core {
    Spec spec;
    bool has_bias;
    bool is_double;

    ptrdiff_t tensors_per_cell() const { return has_bias ? 4 : 2; }
};

// Small arrays of cells on the stack; a hundred layers are more than anyone stacks.
constexpr ptrdiff_t kMostCells = 256;

template <class T, class Call>
void run_in_workspace(Call call) {
    const KernelTable& table = active_table();
    const nb::gil_scoped_release released;
    const Team team(call.threads, product_microseconds(call.spec, call.batch, sizeof(T)));
    call.threads = team.threads();
    call.is_awake = team.is_awake();
    const Block workspace(workspace_bytes<T>(table, call));
    if (workspace.data() == nullptr) throw std::bad_alloc();
    run<T>(table, call, workspace.data());
}

// Calls on memory by address: address_calls.cpp.
void bind_address_calls(nb::module_& m, nb::class_<Core>& core);
// Calls from tensors to tensors: tensor_calls.cpp.
void bind_tensor_calls(nb::module_& m, nb::class_<Core>& core);

}  // namespace fastgru::python
