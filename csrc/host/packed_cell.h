// Parameters as the forward kernels want them: where each piece lies, and how it gets there.
#pragma once

#include <type_traits>

#include "fastgru.h"
#include "host/int8_panels.h"
#include "host/workspace.h"
#include "shared/reset_before_table.h"

namespace fastgru {

// One layer and direction's parameters in panels. Weights may be stored in fewer bytes (S) than sums have (T):
// kernels widen them while they load, and read half as much where the caches' speed is the limit.
template <class T, class S = T>
struct CellPack {
    S* weight_ih;  // [Hb][width][3][L], bfloat16 in pairs; 8 bits as in Int8Layout, or floats where inputs are not
                   // quantized
    S* weight_hh;  // [Hb][H][3][L]; or as the other
    T* bias;       // [Hb][3][L]: r and z of both biases, n of bias_ih
    T* bias_hn;    // [Hb][L]
    // Without reset_after, weight_hh has as many values in another order (shared/reset_before_table.h), and bias
    // also n of both.
};

// Of a hidden block.
template <class T, class S>
ptrdiff_t block_values(const ForwardKernels<T, S>& kernels, ptrdiff_t K) {
    if constexpr (__is_same(S, Int8))
        return layout_of(int8_kernels_of(kernels), K).block_bytes();
    else
        return panel_columns<S>(K) * 3 * kernels.lanes;
}
template <class T, class S>
ptrdiff_t input_block_values(const ForwardKernels<T, S>& kernels, ptrdiff_t width) {
    if (__is_same(S, Int8) && !is_quantized(width)) return width * 3 * kernels.lanes * ptrdiff_t(sizeof(float));
    return block_values(kernels, width);
}

template <class T, class S>
CellPack<T, S> lay_out_pack(const ForwardKernels<T, S>& kernels, ptrdiff_t width, ptrdiff_t H, Arena& arena) {
    const ptrdiff_t L = kernels.lanes, blocks = kernels.blocks(H);
    return {
        .weight_ih = arena.take<S>(blocks * input_block_values(kernels, width)),
        .weight_hh = arena.take<S>(blocks * block_values(kernels, H)),
        .bias = arena.take<T>(blocks * 3 * L),
        .bias_hn = arena.take<T>(blocks * L),
    };
}

// That of cell `cell` among all of a spec's, which lie one after another.
template <class T, class S>
CellPack<T, S> find_pack(const ForwardKernels<T, S>& kernels, const Spec& spec, ptrdiff_t cell,
                         const void* packed) {
    Arena arena(const_cast<void*>(packed));
    CellPack<T, S> found{};
    for (ptrdiff_t i = 0; i <= cell; ++i)
        found = lay_out_pack(kernels, spec.width(i / spec.num_directions), spec.hidden_size, arena);
    return found;
}

// Whether weights to be stored as S are packed as floats of the same values, because kernels would take long to
// widen them, or there are none.
template <class S>
bool packs_floats(const KernelTable& table, const Spec& spec) {
    if constexpr (Half<S>)
        return !spec.reset_after || !kernels_of<S>(table).widens_fast;
    else
        return false;
}

// r and z need only the sum of the two biases; n keeps them apart where r multiplies bias_hn.
template <class T, class S, class P>
void pack_bias(const Cell<S>& cell, const Spec& spec, ptrdiff_t L, const CellPack<T, P>& pack, const Share& share) {
    const ptrdiff_t H = spec.hidden_size;
    for (ptrdiff_t block = share.begin; block < share.end; ++block) {
        for (ptrdiff_t lane = 0; lane < L; ++lane) {
            const ptrdiff_t unit = block * L + lane;
            const bool is_present = unit < H && cell.bias_ih != nullptr;
            for (ptrdiff_t gate = 0; gate < 3; ++gate) {
                T bias = is_present ? widened(cell.bias_ih[gate * H + unit]) : T(0);
                if (is_present && (gate < 2 || !spec.reset_after)) bias += widened(cell.bias_hh[gate * H + unit]);
                pack.bias[(block * 3 + gate) * L + lane] = bias;
            }
            pack.bias_hn[block * L + lane] = is_present ? widened(cell.bias_hh[2 * H + unit]) : T(0);
        }
    }
}

// One thread's share of a cell, counted in hidden blocks. Panels hold what the cell does, or one of the two holds
// floats and the other 16 bits.
template <class S, class T, class P>
void pack_cell(const KernelTable& table, const Cell<S>& cell, const Spec& spec, ptrdiff_t width,
               const CellPack<T, P>& to, const Share& share) {
    const auto& kernels = kernels_of<std::conditional_t<Half<P>, P, S>>(table);
    const ptrdiff_t H = spec.hidden_size;
    const auto pack = [&](const S* weight, ptrdiff_t K, P* packed) {
        if constexpr (sizeof(S) == sizeof(P))
            kernels.pack_gates(weight, H, K, packed, share.begin, share.end);
        else if constexpr (sizeof(S) > sizeof(P))
            kernels.pack_narrow(weight, H, K, packed, share.begin, share.end);
        else
            kernels.pack_wide(weight, H, K, packed, share.begin, share.end);
    };
    pack(cell.weight_ih, width, to.weight_ih);
    if constexpr (__is_same(P, Sum<S>)) {  // fewer bytes are for the plain layer
        if (!spec.reset_after) hidden_packer<S>(table)(cell.weight_hh, H, to.weight_hh, share.begin, share.end);
    }
    if (spec.reset_after) pack(cell.weight_hh, H, to.weight_hh);
    pack_bias(cell, spec, kernels.lanes, to, share);
}

// The same with weights of 8 bits.
inline void pack_cell(const KernelTable& table, const Cell<float>& cell, const Spec& spec, ptrdiff_t width,
                      const CellPack<float, Int8>& to, const Share& share) {
    const Int8Kernels& kernels = int8_kernels(table);
    const ptrdiff_t H = spec.hidden_size;
    if (is_quantized(width))
        pack_int8(kernels, cell.weight_ih, H, width, to.weight_ih, share);
    else
        kernels.pack_floats(cell.weight_ih, H, width, reinterpret_cast<float*>(to.weight_ih), share.begin,
                            share.end);
    pack_int8(kernels, cell.weight_hh, H, H, to.weight_hh, share);
    pack_bias(cell, spec, kernels.lanes, to, share);
}

// The same from panels of 16 bits.
template <class S>
void widen_pack(const HalfKernels<S>& kernels, const CellPack<float, S>& from, ptrdiff_t width, ptrdiff_t H,
                const CellPack<float>& to, const Share& share) {
    const ptrdiff_t L = kernels.lanes;
    kernels.widen_panels(from.weight_ih, width, to.weight_ih, share.begin, share.end);
    kernels.widen_panels(from.weight_hh, H, to.weight_hh, share.begin, share.end);
    for (ptrdiff_t i = share.begin * 3 * L; i < share.end * 3 * L; ++i) to.bias[i] = from.bias[i];
    for (ptrdiff_t i = share.begin * L; i < share.end * L; ++i) to.bias_hn[i] = from.bias_hn[i];
}

}  // namespace fastgru
