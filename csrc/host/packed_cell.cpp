#include "host/packed_cell.h"

namespace fastgru {

namespace {

// Each to the nearest number of type S, of two the even one.
template <class S>
void round_all(const HalfKernels<S>& kernels, float* values, ptrdiff_t count) {
    constexpr ptrdiff_t together = 256;
    S rounded[together];
    for (ptrdiff_t i = 0; i < count; i += together) {
        const ptrdiff_t n = min(together, count - i);
        kernels.narrow(values + i, rounded, n);
        kernels.widen(rounded, values + i, n);
    }
}

// Panels of floats that P has too.
template <class P, class S>
void pack_rounded(const KernelTable& table, const Cell<S>& cell, const Spec& spec, ptrdiff_t width,
                  const CellPack<float>& to) {
    const auto& kernels = table.float32;
    const ptrdiff_t H = spec.hidden_size, blocks = kernels.blocks(H);
    pack_cell(table, cell, spec, width, to, Share(blocks, 0, 1));
    if constexpr (!Half<S>) {
        round_all(kernels_of<P>(table), to.weight_ih, blocks * block_values(kernels, width));
        round_all(kernels_of<P>(table), to.weight_hh, blocks * block_values(kernels, H));
    }
}

}  // namespace

template <class S>
size_t packed_bytes(const KernelTable& table, const Spec& spec) {
    if (packs_floats<S>(table, spec)) return packed_bytes<float>(table, spec);
    Arena arena(nullptr);
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell)
        lay_out_pack(kernels_of<S>(table), spec.width(cell / spec.num_directions), spec.hidden_size, arena);
    return arena.used();
}

template <class P, class S>
void pack(const KernelTable& table, const Spec& spec, const Cell<S>* cells, void* packed) {
    for (ptrdiff_t cell = 0; cell < spec.cells(); ++cell) {
        const ptrdiff_t width = spec.width(cell / spec.num_directions);
        if constexpr (Half<P>) {
            if (packs_floats<P>(table, spec)) {
                pack_rounded<P>(table, cells[cell], spec, width, find_pack(table.float32, spec, cell, packed));
                continue;
            }
        }
        const auto& kernels = kernels_of<P>(table);
        pack_cell(table, cells[cell], spec, width, find_pack(kernels, spec, cell, packed),
                  Share(kernels.blocks(spec.hidden_size), 0, 1));
    }
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
