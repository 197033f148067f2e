#include "python/dlpack_tensors.h"

#include <algorithm>

#include "python/bindings.h"

namespace fastgru::python {

Tensors torch_tensors;

namespace {

int32_t dtype_index(ElementType type) {
    if (type == kElementType<BFloat16>) return 2;
    return type.bits == 32 ? 0 : type.bits == 64 ? 1 : 3;
}

// Values from the first to the last in memory.
int64_t extent(const ArrayView& view) {
    int64_t last = 0;
    for (int i = 0; i < view.dims; ++i) {
        if (view.shape[i] == 0) return 0;
        last += (view.shape[i] - 1) * view.strides[i];
    }
    return last + 1;
}

// As PyObject_CallOneArg, which Python's stable interface lacks.
PyObject* call_with(PyObject* function, PyObject* argument) {
    PyObject* arguments[] = {nullptr, argument};  // the place before it is for who binds the function
    return PyObject_Vectorcall(function, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
}

size_t number(const nb::object& value) {
    const size_t number = PyLong_AsSize_t(value.ptr());
    if (number == size_t(-1) && PyErr_Occurred()) throw nb::python_error();
    return number;
}

// The functions that describe tensors, when this torch has them; else null.
const DLPackExchangeAPI* table_of(nb::handle type) {
    const nb::object capsule = nb::getattr(type, "__dlpack_c_exchange_api__", nb::none());
    if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return nullptr;
    const auto* api =
        static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    return api->major == 1 && api->describe != nullptr ? api : nullptr;
}

// The functions that make tensors, when this torch has them.
Maker maker_of(nb::handle functions, nb::handle dtypes, nb::handle from_capsule, bool keeps_handle) {
    Maker maker;
    if (functions.is_none()) return maker;
    const auto address = [&](size_t i) { return nb::cast<uintptr_t>(functions[i]); };
    maker.empty_strided = reinterpret_cast<decltype(maker.empty_strided)>(address(0));
    maker.data = reinterpret_cast<decltype(maker.data)>(address(1));
    maker.destroy = reinterpret_cast<decltype(maker.destroy)>(address(2));
    for (size_t i = 0; i < 4; ++i) maker.dtypes[i] = nb::cast<int32_t>(dtypes[i]);
    maker.from_capsule = from_capsule.inc_ref().ptr();
    maker.keeps_handle = keeps_handle;
    return maker;
}

}  // namespace

void Method::load(nb::handle type, const char* name) {
    descriptor_ = nb::getattr(type, name).release().ptr();  // kept as long as the process lives
    if (Py_TYPE(descriptor_) != &PyMethodDescr_Type) return;
    const nb::object of_one = nb::getattr(type(), name);  // an empty one
    if (PyCFunction_GetFlags(of_one.ptr()) == METH_NOARGS) function_ = PyCFunction_GetFunction(of_one.ptr());
    PyErr_Clear();  // what is no function of C is called as Python does
}

nb::object Method::operator()(nb::handle self) const {
    PyObject* result = function_ != nullptr ? function_(self.ptr(), nullptr) : call_with(descriptor_, self.ptr());
    if (result == nullptr) throw nb::python_error();
    return nb::steal(result);
}

void Tensors::load(nb::tuple types, const Maker& maker) {
    const nb::module_ torch = nb::module_::import_("torch");
    api_ = table_of(types[0]);
    is_neg_.load(torch.attr("Tensor"), "is_neg");
    storage_.load(torch.attr("Tensor"), "untyped_storage");
    bytes_.load(torch.attr("UntypedStorage"), "nbytes");
    address_.load(torch.attr("UntypedStorage"), "data_ptr");
    const auto kept = [](nb::handle module, const char* name) {  // as long as the process lives
        return nb::getattr(module, name).release().ptr();
    };
    has_storage_ = kept(torch.attr("_C"), "_has_storage");
    to_capsule_ = kept(torch.attr("_C"), "_to_dlpack");
    empty_ = kept(torch, "empty");
    const char* const names[] = {"float32", "float64", "bfloat16", "float16"};
    for (int i = 0; i < 4; ++i) dtypes_[i] = kept(torch, names[i]);
    maker_ = maker;
    types_ = types.release().ptr();
}

bool Tensors::is_known(PyTypeObject* type) const {
    if (types_ == nullptr) return false;
    for (Py_ssize_t i = 0; i < NB_TUPLE_GET_SIZE(types_); ++i)
        if (NB_TUPLE_GET_ITEM(types_, i) == reinterpret_cast<PyObject*>(type)) return true;
    return false;
}

bool Tensors::describe(nb::handle object, ElementType type, ArrayView& view) const {
    if (!is_known(Py_TYPE(object.ptr()))) return false;
    // Torch may negate lazily, which a description does not tell. It is asked before, as it lets other threads run.
    if (is_neg_(object).ptr() != Py_False) return false;
    return describe_values(object, type, view);
}

bool Tensors::describe_values(nb::handle object, ElementType type, ArrayView& view) const {
    if (!is_known(Py_TYPE(object.ptr()))) return false;
    DLTensor seen;
    nb::object owner;
    if (!see(object, seen, owner)) {
        PyErr_Clear();  // a tensor that DLPack has no words for; the caller has another way
        return false;
    }
    if (seen.device.device_type != kCpu || seen.dtype != type || seen.ndim > kMostDimensions) return false;
    view.data = static_cast<char*>(seen.data) + seen.byte_offset;
    view.type = type;
    view.dims = seen.ndim;
    for (int i = 0; i < view.dims; ++i) view.shape[i] = seen.shape[i], view.strides[i] = seen.strides[i];
    return true;
}

// What `seen` points to is there as long as the object and `owner` are.
bool Tensors::see(nb::handle object, DLTensor& seen, nb::object& owner) const {
    if (api_ != nullptr) return api_->describe(object.ptr(), &seen) == 0;
    // A wrapper whose transform is over becomes a capsule of memory that is gone.
    if (nb::steal(call_with(has_storage_, object.ptr())).ptr() != Py_True) return false;
    owner = nb::steal(call_with(to_capsule_, object.ptr()));
    const void* const managed = owner.is_valid() ? PyCapsule_GetPointer(owner.ptr(), "dltensor") : nullptr;
    if (managed == nullptr) return false;
    seen = *static_cast<const DLTensor*>(managed);  // a DLManagedTensor begins with it
    return true;
}

bool Tensors::has_memory(nb::handle object, const ArrayView& seen, nb::object& storage) const {
    const size_t bytes = size_t(extent(seen)) * (seen.type.bits / 8);
    // Null: zeros that torch has not written down, or memory that was given back.
    if (seen.data == nullptr) return bytes == 0;
    try {
        storage = storage_(object);
        const size_t offset = reinterpret_cast<size_t>(seen.data) - number(address_(storage));
        const size_t there = number(bytes_(storage));
        return offset <= there && bytes <= there - offset;
    } catch (nb::python_error& error) {  // no storage: a part of zeros that torch has not written down, a wrapper
        if (!error.matches(PyExc_RuntimeError)) throw;
        return false;
    }
}

nb::object Tensors::make(ElementType type, int32_t ndim, int64_t* shape, void*& data) const {
    if (maker_.from_capsule == nullptr) return make_empty(type, ndim, shape, data);
    int64_t strides[kMostDimensions];
    strides[ndim - 1] = 1;
    for (int32_t i = ndim - 1; i > 0; --i) strides[i - 1] = strides[i] * std::max<int64_t>(1, shape[i]);
    void* handle = nullptr;
    const int32_t dtype = maker_.dtypes[dtype_index(type)];
    if (maker_.empty_strided(ndim, shape, strides, dtype, 0, -1, &handle) != 0) throw NoMemory();
    const nb::object capsule = nb::steal(PyCapsule_New(handle, nullptr, nullptr));
    if (!capsule.is_valid() || maker_.data(handle, &data) != 0) {
        maker_.destroy(handle);
        throw NoMemory();
    }
    PyObject* tensor = call_with(maker_.from_capsule, capsule.ptr());
    if (maker_.keeps_handle) maker_.destroy(handle);
    if (tensor == nullptr) throw nb::python_error();
    return nb::steal(tensor);
}

nb::object Tensors::make_empty(ElementType type, int32_t ndim, const int64_t* shape, void*& data) const {
    nb::list sizes;
    for (int32_t i = 0; i < ndim; ++i) sizes.append(shape[i]);
    nb::object made;
    try {
        made = nb::handle(empty_)(sizes, nb::arg("dtype") = nb::handle(dtypes_[dtype_index(type)]),
                                  nb::arg("device") = "cpu");
    } catch (nb::python_error& error) {
        if (!error.matches(PyExc_RuntimeError)) throw;
        throw NoMemory();
    }
    ArrayView view;
    if (!describe_values(made, type, view)) throw NoMemory();
    data = view.data;
    return made;
}

void bind_load_tensors(nb::module_& m) {
    m.def(
        "load_tensors",
        [](nb::tuple types, nb::handle functions, nb::handle dtypes, nb::handle from_capsule, bool keeps_handle) {
            torch_tensors.load(types, maker_of(functions, dtypes, from_capsule, keeps_handle));
        },
        nb::arg("types"), nb::arg("functions").none(), nb::arg("dtypes").none(), nb::arg("from_capsule").none(),
        nb::arg("keeps_handle"),
        "Makes calls on tensors of these types usable. "
        "`functions` are the addresses of torch's aoti_torch_empty_strided, aoti_torch_get_data_ptr and "
        "aoti_torch_delete_tensor_object, `dtypes` its numbers of float32, float64, bfloat16 and float16; or "
        "None.");
}

}  // namespace fastgru::python
