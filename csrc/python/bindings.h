// What all files of the Python module share: a layer's sizes as Python holds them, and how a call goes with the GIL
// and with lack of memory.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>
#include <string>

#include "fastgru.h"
#include "host/run_calls.h"
#include "python/released_gil.h"

namespace fastgru::python {

namespace nb = nanobind;

using Address = uintptr_t;

enum class Type { float32, float64, bfloat16, float16, int8 };  // the last is one of stored weights alone

// Throws where there is none of this name.
inline Type type_named(const std::string& name) {
    const char* const names[] = {"float32", "float64", "bfloat16", "float16", "int8"};
    for (int i = 0; i < 5; ++i)
        if (name == names[i]) return Type(i);
    throw nb::value_error("the core knows float32, float64, bfloat16 and float16, and int8 for packed weights");
}

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

// visit(Tag<T>, Tag<S>) for vectors of type T and weights that are stored as S: as the layer has them, or those of
// a float32 layer in fewer bytes.
template <class Visit>
auto with_types(Type type, Type stored, const Visit& visit) {
    if (type == stored) return with_type(type, [&]<class T>(Tag<T> tag) { return visit(tag, tag); });
    if (stored == Type::int8) return visit(Tag<float>(), Tag<Int8>());
    return stored == Type::float16 ? visit(Tag<float>(), Tag<Float16>()) : visit(Tag<float>(), Tag<BFloat16>());
}

// What a layer is to the core.
struct LayerSizes {
    Spec spec;
    bool has_bias;
    Type type;

    ptrdiff_t tensors_per_cell() const { return has_bias ? 4 : 2; }
};

// Small arrays of cells on the stack; a hundred layers are more than anyone stacks.
constexpr ptrdiff_t kMostCells = 256;

// A call as short as this keeps the GIL: giving it away and taking it back costs more than others gain. By the
// estimate for one thread, in microseconds.
constexpr double kKeepsGil = 2;

template <class Call>
bool keeps_gil(const Call& call) {
    const Batch whole{.steps = call.batch.steps, .rows = call.batch.rows};  // before lengths are known as after
    return product_microseconds(call.spec, whole, Call::value_bytes) < kKeepsGil;
}

// Thrown where the system has no memory left; Python sees fastgru.errors.OutOfMemoryError (module.cpp).
struct OutOfMemory {
    size_t bytes;
};

// What a forward pass saves in blocks from this size on is of the pool: the allocator would give their pages back
// to the system after every step, and touching fresh ones costs more than the kernels that fill them.
constexpr size_t kPooledBytes = size_t(1) << 20;

// A block of the pool, of at least so many bytes.
inline Block borrow(size_t bytes) {
    Block block(bytes);
    if (block.data() == nullptr) throw OutOfMemory{bytes};
    return block;
}

// Of what run_call and run_calls return.
inline void must_have(size_t lacking_bytes) {
    if (lacking_bytes > 0) throw OutOfMemory{lacking_bytes};
}

// All memory of the call is the call's own or held by it.
template <class Call>
void run_one(const Call& call) {
    const KernelTable& table = active_table();
    std::optional<ReleasedGil> released;
    if (!keeps_gil(call)) released.emplace();
    must_have(run_call(table, call));
}

// The methods of LayerSizes that compute: layer_calls.cpp, tangent_calls.cpp.
void bind_layer_calls(nb::class_<LayerSizes>& sizes);
void bind_tangent_calls(nb::class_<LayerSizes>& sizes);
// What they take beside arrays: many_models.cpp.
void bind_models(nb::module_& m);
// Arrays by address, and which classes of tensors are read: arrays.cpp, dlpack_tensors.cpp.
void bind_array_at(nb::module_& m);
void bind_load_tensors(nb::module_& m);
// Calls with packed parameters: packed_calls.cpp, stepper.cpp.
void bind_packed_calls(nb::module_& m);
void bind_stepper(nb::module_& m);
// Row-wise operations, which stand around a layer: row_calls.cpp, packed_linear.cpp.
void bind_row_calls(nb::module_& m);
void bind_packed_linear(nb::module_& m);
// Whole models: program.cpp.
void bind_program(nb::module_& m);

}  // namespace fastgru::python
