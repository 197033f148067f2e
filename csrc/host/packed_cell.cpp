#include "host/packed_cell.h"

namespace fastgru {

template <class S>
size_t packed_bytes(const KernelTable& table, const Spec& spec) {
    Arena arena(nullptr);
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell)
        lay_out_pack(kernels_of<S>(table), spec.width(cell / spec.num_directions), spec.hidden_size, arena);
    return arena.used();
}

template <class P, class S>
void pack(const KernelTable& table, const Spec& spec, const Cell<S>* cells, void* packed) {
    const auto& kernels = kernels_of<P>(table);
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell)
        pack_cell(kernels, cells[cell], spec.width(cell / spec.num_directions), spec.hidden_size,
                  find_pack(kernels, spec, cell, packed), Share(kernels.blocks(spec.hidden_size), 0, 1));
}

#define FASTGRU_STORED(S)                                             \
    template size_t packed_bytes<S>(const KernelTable&, const Spec&); \
    template void pack<S>(const KernelTable&, const Spec&, const Cell<S>*, void*);
FASTGRU_STORED(float)
FASTGRU_STORED(double)
FASTGRU_STORED(BFloat16)
FASTGRU_STORED(Float16)
template void pack<BFloat16>(const KernelTable&, const Spec&, const Cell<float>*, void*);
template void pack<Float16>(const KernelTable&, const Spec&, const Cell<float>*, void*);
template size_t packed_bytes<Int8>(const KernelTable&, const Spec&);
template void pack<Int8>(const KernelTable&, const Spec&, const Cell<float>*, void*);

}  // namespace fastgru
