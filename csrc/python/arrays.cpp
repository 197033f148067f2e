#include "python/arrays.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>

#include "python/bindings.h"

namespace fastgru::python {

namespace {

// Of a format as Python's module `struct` has it; false for what is not one number in this machine's order of
// bytes.
bool type_of_buffer(const Py_buffer& buffer, ElementType& type) {
    const char* format = buffer.format == nullptr ? "" : buffer.format;
    if (*format == '@' || *format == '=' || *format == '<') ++format;
    if (format[0] == '\0' || format[1] != '\0') return false;
    switch (format[0]) {
        case 'e':
        case 'f':
        case 'd':
            type.code = kFloating;
            break;
        case 'l':
        case 'q':
            type.code = kSigned;
            break;
        case '?':
            type.code = kBoolean;
            break;
        default:
            return false;
    }
    type.bits = uint8_t(buffer.itemsize * 8);
    type.lanes = 1;
    return buffer.itemsize >= 1 && buffer.itemsize <= 8;
}

// False where the values do not stand at whole places of their size.
bool view_of(const Py_buffer& buffer, ArrayView& view) {
    const Py_ssize_t size = buffer.itemsize;
    if (buffer.ndim > kMostDimensions || buffer.suboffsets != nullptr) return false;
    if (reinterpret_cast<uintptr_t>(buffer.buf) % size_t(size) != 0) return false;
    view.data = buffer.buf;
    view.dims = buffer.ndim;
    for (int i = 0; i < view.dims; ++i) {
        if (buffer.strides[i] % size != 0) return false;
        view.shape[i] = buffer.shape[i];
        view.strides[i] = buffer.strides[i] / size;
    }
    return true;
}

// The buffer of a memoryview. Python's stable interface has no sight of it, but gives another view of the same
// memory.
class BufferOf {
  public:
#if defined(Py_LIMITED_API)
    explicit BufferOf(nb::handle view) {
        if (PyObject_GetBuffer(view.ptr(), &buffer_, PyBUF_FULL_RO) != 0) throw nb::python_error();
    }
    ~BufferOf() { PyBuffer_Release(&buffer_); }
    const Py_buffer& operator*() const { return buffer_; }

  private:
    Py_buffer buffer_;
#else
    explicit BufferOf(nb::handle view) : buffer_(PyMemoryView_GET_BUFFER(view.ptr())) {}
    const Py_buffer& operator*() const { return *buffer_; }

  private:
    const Py_buffer* buffer_;
#endif
  public:
    BufferOf(const BufferOf&) = delete;
    BufferOf& operator=(const BufferOf&) = delete;
};

// The readers, as Tensors::read: false where `object` is no array that the core can read; `keeper` holds the
// memory.
bool read_buffer(nb::handle object, bool is_written, ArrayView& view, nb::object& keeper) {
    keeper = nb::steal(PyMemoryView_FromObject(object.ptr()));
    if (!keeper.is_valid()) {
        PyErr_Clear();  // it has no buffer, or none of numbers
        return false;
    }
    const BufferOf held(keeper);
    const Py_buffer& buffer = *held;
    return type_of_buffer(buffer, view.type) && view_of(buffer, view) && !(is_written && buffer.readonly);
}

bool read_address(nb::handle object, ArrayView& view, nb::object& keeper) {
    if (!nb::isinstance<ArrayAt>(object)) return false;
    const ArrayAt* array = nb::inst_ptr<ArrayAt>(object);
    view = array->view;
    keeper = array->owner;
    return true;
}

ElementType type_of(const std::string& name) {
    static const std::pair<const char*, ElementType> types[] = {
        {"float32", kElementType<float>},   {"float64", kElementType<double>}, {"bfloat16", kElementType<BFloat16>},
        {"float16", kElementType<Float16>}, {"int64", kElementType<int64_t>},  {"bool", kElementType<bool>},
    };
    for (const auto& [known, type] : types)
        if (name == known) return type;
    throw nb::value_error("the core knows no arrays of this type");
}

}  // namespace

Source source_of(nb::handle input, bool is_given) {
    if (!torch_tensors.is_known(Py_TYPE(input.ptr()))) {
        if (nb::isinstance<ArrayAt>(input)) return Source::addresses;
        if (PyObject_CheckBuffer(input.ptr())) return Source::buffers;
    }
    return is_given ? Source::aliases : Source::tensors;
}

bool Arrays::read_other(nb::handle object, ElementType type, bool is_written, ArrayView& view,
                        nb::object& keeper) const {
    if (source_ == Source::aliases) return torch_tensors.describe_values(object, type, view);
    const bool is_read = source_ == Source::addresses ? read_address(object, view, keeper)
                                                      : read_buffer(object, is_written, view, keeper);
    return is_read && view.type == type;
}

void bind_array_at(nb::module_& m) {
    nb::class_<ArrayAt>(m, "ArrayAt", "An array by its address.")
        .def(
            "__init__",
            [](ArrayAt* self, nb::object owner, uintptr_t address, const std::string& type,
               const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
                if (shape.size() > size_t(kMostDimensions) || strides.size() != shape.size())
                    throw nb::value_error("the core takes up to 5 dimensions, each with its stride");
                ArrayView view{};
                view.data = reinterpret_cast<void*>(address);
                view.type = type_of(type);
                view.dims = int(shape.size());
                std::copy(shape.begin(), shape.end(), view.shape);
                std::copy(strides.begin(), strides.end(), view.strides);
                new (self) ArrayAt{.owner = std::move(owner), .view = view};
            },
            nb::arg("owner").none(), nb::arg("address"), nb::arg("type"), nb::arg("shape"), nb::arg("strides"),
            "Strides are in elements, types the names of float32, float64, bfloat16, float16, int64 and bool. "
            "`owner`, which holds the memory, is kept.")
        .def_prop_ro("address", [](const ArrayAt& self) { return reinterpret_cast<uintptr_t>(self.view.data); });
}

}  // namespace fastgru::python
