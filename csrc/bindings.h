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

enum class Type { float32, float64, bfloat16, float16 };

template <class T>
struct Tag {
    using type = T;
};

// visit(Tag<T>) for the C++ type of an element type.
template <class Visit>
auto with_type(Type type, const Visit& visit) {
    switch (type) {
        case Type::float64:
            return visit(Tag<double>());
        case Type::bfloat16:
            return visit(Tag<BFloat16>());
        case Type::float16:
            return visit(Tag<Float16>());
        default:
            return visit(Tag<float>());
    }
}

// A layer's sizes.
struct Core {
    Spec spec;
    bool has_bias;
    Type type;

    ptrdiff_t tensors_per_cell() const { return has_bias ? 4 : 2; }
};

// Small arrays of cells on the stack; a hundred layers are more than anyone stacks.
constexpr ptrdiff_t kMostCells = 256;

template <class Call>
void run_in_workspace(Call call) {
    const KernelTable& table = active_table();
    const nb::gil_scoped_release released;
    const Team team(call.threads, product_microseconds(call.spec, call.batch, call.value_bytes));
    call.threads = team.threads();
    call.is_awake = team.is_awake();
    const Block workspace(workspace_bytes(table, call));
    if (workspace.data() == nullptr) throw std::bad_alloc();
    run(table, call, workspace.data());
}

// Calls on memory by address: address_calls.cpp.
void bind_address_calls(nb::module_& m, nb::class_<Core>& core);
// Calls from tensors to tensors: tensor_calls.cpp.
void bind_tensor_calls(nb::module_& m, nb::class_<Core>& core);
// Likewise with packed parameters: packed_calls.cpp.
void bind_packed_calls(nb::module_& m);

}  // namespace fastgru::python
