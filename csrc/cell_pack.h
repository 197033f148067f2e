// Parameters as the forward kernels want them: where each piece lies, and how it gets there.
#pragma once

#include "fastgru.h"
#include "threads.h"
#include "workspace.h"

namespace fastgru {

// One layer and direction's parameters in panels. Weights may be stored in fewer bytes (W) than sums have (T):
// kernels that widen them while they load read half as much where the caches' speed is the limit.
template <class T, class W = T>
struct CellPack {
    W* weight_ih;  // [Hb][width][3][L]
    W* weight_hh;  // [Hb][H][3][L]
    T* bias;       // [Hb][3][L]: r and z of both biases, n of bias_ih
    T* bias_hn;    // [Hb][L]
};

template <class T>
CellPack<T> lay_out_pack(const Kernels<T>& kernels, ptrdiff_t width, ptrdiff_t H, Arena& arena) {
    const ptrdiff_t L = kernels.lanes, blocks = (H + L - 1) / L;
    return {arena.take<T>(blocks * width * 3 * L), arena.take<T>(blocks * H * 3 * L), arena.take<T>(blocks * 3 * L),
            arena.take<T>(blocks * L)};
}

// That of cell `cell` among all of a spec's, which lie one after another.
template <class T>
CellPack<T> find_pack(const Kernels<T>& kernels, const Spec& spec, ptrdiff_t cell, T* packed) {
    Arena arena(packed);
    CellPack<T> found{};
    for (ptrdiff_t i = 0; i <= cell; ++i)
        found = lay_out_pack(kernels, spec.width(i / spec.num_directions), spec.hidden_size, arena);
    return found;
}

// r and z need only the sum of the two biases; n keeps them apart, for r multiplies bias_hn.
template <class T>
void pack_bias(const Cell<T>& cell, ptrdiff_t H, ptrdiff_t L, const CellPack<T>& pack, const Share& share) {
    for (ptrdiff_t block = share.begin; block < share.end; ++block) {
        for (ptrdiff_t lane = 0; lane < L; ++lane) {
            const ptrdiff_t unit = block * L + lane;
            const bool is_present = unit < H && cell.bias_ih != nullptr;
            for (ptrdiff_t gate = 0; gate < 3; ++gate) {
                T bias = is_present ? cell.bias_ih[gate * H + unit] : T(0);
                if (is_present && gate < 2) bias += cell.bias_hh[gate * H + unit];
                pack.bias[(block * 3 + gate) * L + lane] = bias;
            }
            pack.bias_hn[block * L + lane] = is_present ? cell.bias_hh[2 * H + unit] : T(0);
        }
    }
}

// One thread's share of a cell, counted in hidden blocks.
template <class T>
void pack_cell(const Kernels<T>& kernels, const Cell<T>& cell, ptrdiff_t width, ptrdiff_t H, const CellPack<T>& to,
               const Share& share) {
    kernels.pack_gates(cell.weight_ih, H, width, to.weight_ih, share.begin, share.end);
    kernels.pack_gates(cell.weight_hh, H, H, to.weight_hh, share.begin, share.end);
    pack_bias(cell, H, kernels.lanes, to, share);
}

}  // namespace fastgru
