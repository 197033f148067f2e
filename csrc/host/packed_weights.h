// A layer's parameters in panels, in memory of their own, for many calls.
#pragma once

#include "fastgru.h"
#include "host/workspace.h"

namespace fastgru {

struct PackedWeights {
    const KernelTable* table;  // they are of use to the kernels of one level
    Spec spec;
    Block memory;  // null data where there was none, and then nothing is packed

    template <class S>
    PackedWeights(const KernelTable& kernels, const Spec& layer, const Cell<S>* cells)
        : table(&kernels), spec(layer), memory(packed_bytes<S>(kernels, layer)) {
        if (memory.data() != nullptr) pack(kernels, layer, cells, memory.data());
    }
};

}  // namespace fastgru
