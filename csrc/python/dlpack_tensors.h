// Torch tensors without torch's headers: their sizes, types and addresses through the table of C functions that
// torch publishes for this purpose (`torch.Tensor.__dlpack_c_exchange_api__`, DLPack 1.x), and through capsules of
// DLPack where a torch is too old to have it. Reading six tensors takes 0.3 us by the table, 8 us by the capsules
// of torch 2.6 and 4 us through their Python attributes.
#pragma once

#include <nanobind/nanobind.h>
#include <stddef.h>
#include <stdint.h>

#include "python/array_view.h"

namespace fastgru::python {

// The structs below are DLPack's binary interface, version 1; names as in its specification.
struct DLDevice {
    int32_t device_type, device_id;
};
using DLDataType = ElementType;
struct DLTensor {
    void* data;
    DLDevice device;
    int32_t ndim;
    DLDataType dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
};
struct DLPackExchangeAPI {
    uint32_t major, minor;
    DLPackExchangeAPI* previous;
    void (*allocate)(), (*from_object)(), (*to_object)();  // of other types, which are not called
    int (*describe)(void* object, DLTensor* out);
    int (*current_stream)(int32_t device_type, int32_t device_id, void** out);
};

constexpr int32_t kCpu = 1;

// Torch's own functions to make a tensor, from its C interface for programs that are compiled against no version
// (aoti_torch in torch/csrc/inductor/aoti_torch/c/shim.h).
struct Maker {
    int32_t (*empty_strided)(int64_t ndim, const int64_t* shape, const int64_t* strides, int32_t dtype,
                             int32_t device_type, int32_t device_index, void** handle) = nullptr;
    int32_t (*data)(void* handle, void** data) = nullptr;
    int32_t (*destroy)(void* handle) = nullptr;
    int32_t dtypes[4] = {};            // torch's numbers of float32, float64, bfloat16, float16
    PyObject* from_capsule = nullptr;  // a capsule with a handle -> the tensor
    bool keeps_handle = false;         // whether the handle is still there after that
};

// A method of a class of torch's without arguments; found once, as finding takes longer than the answer.
class Method {
  public:
    void load(nanobind::handle type, const char* name);
    nanobind::object operator()(nanobind::handle self) const;

  private:
    PyObject* descriptor_ = nullptr;
    PyCFunction function_ = nullptr;
};

// Lack of memory for a tensor: the caller has another way, which raises what torch raises.
struct NoMemory {};

// Reads and makes plain tensors on the CPU.
class Tensors {
  public:
    // `types` are those to be read, torch.Tensor first.
    void load(nanobind::tuple types, const Maker& maker);

    bool is_known(PyTypeObject* type) const;

    // True when `object` is a CPU tensor of just these classes with elements of this type, all of them in memory
    // that is there. `storage` is that memory as an object of its own: who holds it holds the memory, also when the
    // tensor is given another.
    bool read(nanobind::handle object, ElementType type, ArrayView& view, nanobind::object& storage) const {
        return describe(object, type, view) && has_memory(object, view, storage);
    }

    // The same without a look at the memory, for who knows it.
    bool describe(nanobind::handle object, ElementType type, ArrayView& view) const;

    // The same for who knows, too, that nothing is left to be done to the values in memory.
    bool describe_values(nanobind::handle object, ElementType type, ArrayView& view) const;

    // A new CPU tensor of this shape; `data` is where its values go.
    nanobind::object make(ElementType type, int32_t ndim, int64_t* shape, void*& data) const;

  private:
    const DLPackExchangeAPI* api_ = nullptr;  // null with a torch that has none
    Maker maker_;
    PyObject *types_ = nullptr, *has_storage_ = nullptr, *to_capsule_ = nullptr, *empty_ = nullptr;
    PyObject* dtypes_[4] = {};
    Method is_neg_, storage_, bytes_, address_;

    bool see(nanobind::handle object, DLTensor& seen, nanobind::object& owner) const;
    bool has_memory(nanobind::handle object, const ArrayView& seen, nanobind::object& storage) const;
    nanobind::object make_empty(ElementType type, int32_t ndim, const int64_t* shape, void*& data) const;
};

extern Tensors torch_tensors;

}  // namespace fastgru::python
