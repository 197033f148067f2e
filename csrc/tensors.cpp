#include "tensors.h"

namespace nb = nanobind;

namespace fastgru::tensors {

bool Tensors::load(nb::tuple types) {
    const nb::object capsule = nb::getattr(types[0], "__dlpack_c_exchange_api__", nb::none());
    if (!PyCapsule_IsValid(capsule.ptr(), "dlpack_exchange_api")) return false;
    const auto* api =
        static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
    if (api->major != 1 || api->describe == nullptr || api->allocate == nullptr || api->to_object == nullptr)
        return false;
    is_neg_ = PyUnicode_InternFromString("is_neg");
    types_ = types.release().ptr();  // theirs to keep: this object lives as long as the process
    api_ = api;
    return true;
}

bool Tensors::is_known(PyTypeObject* type) const {
    if (types_ == nullptr) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types_); ++i)
        if (PyTuple_GET_ITEM(types_, i) == reinterpret_cast<PyObject*>(type)) return true;
    return false;
}

bool Tensors::describe(nb::handle object, DLDataType type, DLTensor& out) const {
    if (!is_known(Py_TYPE(object.ptr()))) return false;
    if (api_->describe(object.ptr(), &out) != 0) {
        PyErr_Clear();  // a tensor that DLPack has no words for; the caller has another way
        return false;
    }
    if (out.device.device_type != kCpu || out.dtype.code != type.code || out.dtype.bits != type.bits ||
        out.dtype.lanes != 1)
        return false;
    // Torch may negate lazily, which a description does not tell.
    const nb::object is_neg = nb::steal(PyObject_CallMethodNoArgs(object.ptr(), is_neg_));
    if (is_neg.ptr() == nullptr) throw nb::python_error();
    out.data = static_cast<char*>(out.data) + out.byte_offset;
    return is_neg.ptr() == Py_False;
}

nb::object Tensors::make(DLDataType type, int32_t ndim, int64_t* shape, void*& data) const {
    DLTensor prototype{nullptr, {kCpu, 0}, ndim, type, shape, nullptr, 0};
    DLManagedTensorVersioned* managed = nullptr;
    const auto set_error = [](void*, const char*, const char* message) {
        const nb::gil_scoped_acquire held;
        PyErr_SetString(PyExc_RuntimeError, message);
    };
    if (api_->allocate(&prototype, &managed, nullptr, set_error) != 0) throw nb::python_error();
    data = static_cast<char*>(managed->tensor.data) + managed->tensor.byte_offset;
    void* object = nullptr;
    if (api_->to_object(managed, &object) != 0) throw nb::python_error();
    return nb::steal(static_cast<PyObject*>(object));
}

}  // namespace fastgru::tensors
