// A layer's parameters in panels, in memory of their own, for many calls.
#pragma once

#include "fastgru.h"
#include "host/workspace.h"

namespace fastgru {

struct PackedWeights {
    const KernelTable* table;  // they are of use to the kernels of one level
    Spec spec;
    Block memory;  // null data where there was none, and then nothing is packed
};

// Parameters of type S, with weights stored as P.
template <class P, class S>
PackedWeights packed_weights(const KernelTable& kernels, const Spec& spec, const Cell<S>* cells) {
    PackedWeights weights{.table = &kernels, .spec = spec, .memory = Block(packed_bytes<P>(kernels, spec))};
    if (weights.memory.data() != nullptr) pack<P>(kernels, spec, cells, weights.memory.data());
    return weights;
}

}  // namespace fastgru
