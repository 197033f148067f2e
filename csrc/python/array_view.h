// What the module knows of an array, whoever owns it: the place, type and layout of its values.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <initializer_list>

#include "shared/element_types.h"

namespace fastgru::python {

// As DLPack tells element types apart: by kind, bits and vector lanes.
struct ElementType {
    uint8_t code, bits;
    uint16_t lanes;

    bool operator==(const ElementType&) const = default;
};

constexpr uint8_t kSigned = 0, kFloating = 2, kBFloat = 4, kBoolean = 6;

template <class T>
constexpr ElementType kElementType{kFloating, sizeof(T) * 8, 1};
template <>
inline constexpr ElementType kElementType<BFloat16>{kBFloat, 16, 1};
template <>
inline constexpr ElementType kElementType<int64_t>{kSigned, 64, 1};
template <>
inline constexpr ElementType kElementType<bool>{kBoolean, 8, 1};

constexpr int kMostDimensions = 5;  // of all arrays that the core reads or makes

// How many values an array has in each dimension.
struct Shape {
    int dims = 0;
    int64_t sizes[kMostDimensions];

    Shape(std::initializer_list<int64_t> all) {
        for (const int64_t size : all) sizes[dims++] = size;
    }
};

// An array on the CPU. Does not keep the memory: `Arrays` does (arrays.h), or whoever gave the address.
struct ArrayView {
    void* data;
    ElementType type;
    int dims;
    int64_t shape[kMostDimensions], strides[kMostDimensions];  // strides in elements

    bool has_shape(const Shape& expected) const {
        if (dims != expected.dims) return false;
        for (int i = 0; i < dims; ++i)
            if (shape[i] != expected.sizes[i]) return false;
        return true;
    }

    // Row-major without gaps.
    bool is_dense() const {
        int64_t stride = 1;
        bool is_in_order = true;
        for (int i = dims - 1; i >= 0; --i) {
            if (shape[i] == 0) return true;
            is_in_order &= shape[i] == 1 || strides[i] == stride;
            stride *= shape[i];
        }
        return is_in_order;
    }
};

}  // namespace fastgru::python
