// Small layers with few rows: all their steps in one loop, which projects the inputs of a step itself. A step is
// one chain of dependent instructions then; what does not depend on it, the projection of the next step above all,
// runs beside it as far as a processor looks ahead, and so between two steps there are no more instructions than it
// takes.
#pragma once

#include "kernels/equations.h"
#include "kernels/register_tiles.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// Panels in one tile: a single row needs several for its chains of sums. With more rows, gates would not find the
// registers for more than one of narrow vectors.
template <int M>
constexpr int kSmallPanels = kVectorBytes == 64 ? 2
                             : M == 1           ? 4
                                                : 1;
// The most rows. None where it would not pay what it takes to compile: in double precision, and on processors that
// the level is not tuned for.
template <class T>
constexpr int kSmallRows = !__is_same(T, float) || !kIsTuned ? 0
                           : kVectorBytes == 64              ? 4
                                                             : 3;

// Where the rows of one step lie.
template <class T, int M>
struct SmallStep {
    const T *x[M], *h[M];
    T *next[M], *saved[M];
};

// The sums of r, z and c_n, and a_n, for M rows and the P panels from `panel` on.
template <class T, int M, int P>
struct SmallSums {
    Tile<T, M, 3 * P> tile;
    Vec<T> a_n[M][P];
};

template <class T, int M, int P>
FASTGRU_INLINE void sum_small(const SmallLayer<T>& layer, const SmallStep<T, M>& step, ptrdiff_t panel,
                              SmallSums<T, M, P>& sums) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t I = layer.input_size, H = layer.hidden_size;
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<3 * P>([&](auto n)
                          FASTGRU_INLINED { sums.tile.sum[m][n] = load(layer.bias + (panel * 3 + n) * L); });
    });
    multiply_rows<T, M, 3, P>(sums.tile, step.x, I, layer.weight_ih + panel * I * 3 * L, I * 3 * L);
    unroll<P>([&](auto p) FASTGRU_INLINED {
        const Vec<T> bias_hn = load(layer.bias_hn + (panel + p) * L);
        unroll<M>([&](auto m) FASTGRU_INLINED {
            sums.a_n[m][p] = sums.tile.sum[m][p * 3 + 2];
            sums.tile.sum[m][p * 3 + 2] = bias_hn;
        });
    });
    multiply_rows<T, M, 3, P>(sums.tile, step.h, H, layer.weight_hh + panel * H * 3 * L, H * 3 * L);
}

// Gates and states of one panel, in two passes as in gates.h. Lanes is an Index where all of its units exist.
template <bool kSaves, class T, int M, int P, class Lanes>
FASTGRU_INLINE void move_small(const SmallStep<T, M>& step, ptrdiff_t H, ptrdiff_t unit, int p,
                               const SmallSums<T, M, P>& sums, Lanes lanes) {
    unroll<M>([&](auto m) FASTGRU_INLINED {
        const Vec<T>* own = sums.tile.sum[m] + p * 3;
        Gates<T> gates{.r = own[0], .z = own[1], .n = {}, .c_n = own[2]};
        gates.n = new_gate<T>(sums.a_n[m][p], gates);
        if constexpr (kSaves) {
            T* saved = step.saved[m] + unit;
            store_upto(saved, gates.r, lanes);
            store_upto(saved + H, gates.z, lanes);
            store_upto(saved + 2 * H, gates.n, lanes);
            store_upto(saved + 3 * H, gates.c_n, lanes);
        }
        store_upto(step.next[m] + unit, next_state<T>(gates, load_upto(step.h[m] + unit, lanes)), lanes);
    });
}

// One step, P panels at a time, of which there are a multiple.
template <class T, int M, int P, bool kFull, bool kSaves>
FASTGRU_INLINE void small_step(const SmallLayer<T>& layer, const SmallStep<T, M>& step) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = layer.hidden_size;
    for (ptrdiff_t panel = 0; panel * L < H; panel += P) {
        SmallSums<T, M, P> sums;
        sum_small<T, M, P>(layer, step, panel, sums);
        unroll<P>([&](auto p) FASTGRU_INLINED {
            unroll<M>([&](auto m) FASTGRU_INLINED {
                sums.tile.sum[m][p * 3] = sigmoid<T>(sums.tile.sum[m][p * 3]);
                sums.tile.sum[m][p * 3 + 1] = sigmoid<T>(sums.tile.sum[m][p * 3 + 1]);
            });
        });
        unroll<P>([&](auto p) FASTGRU_INLINED {
            const ptrdiff_t unit = (panel + p) * L;
            if constexpr (kFull)
                move_small<kSaves, T, M, P>(step, H, unit, p, sums, Index<L>{});
            else
                move_small<kSaves, T, M, P>(step, H, unit, p, sums, int(H - unit < L ? H - unit : L));
        });
    }
}

template <class T, int M, int P, bool kFull, bool kSaves>
FASTGRU_TILE void small_steps(const SmallLayer<T>& given) {
    const SmallLayer<T> layer = given;
    SmallStep<T, M> step;
    unroll<M>([&](auto m) FASTGRU_INLINED {
        step.x[m] = layer.input + m * layer.input_row;
        step.h[m] = layer.h_0 + m * layer.h_0_row;
        step.next[m] = layer.output + m * layer.output_row;
        step.saved[m] = kSaves ? layer.saved + m * 4 * layer.hidden_size : nullptr;
    });
    for (ptrdiff_t s = 0; s < layer.steps; ++s) {
        small_step<T, M, P, kFull, kSaves>(layer, step);
        unroll<M>([&](auto m) FASTGRU_INLINED {
            step.x[m] += layer.input_step;
            step.h[m] = step.next[m];
            step.next[m] += layer.output_step;
            if constexpr (kSaves) step.saved[m] += layer.saved_step;
        });
    }
}

template <class T, int M, int P>
FASTGRU_INLINE void small_steps_of(const SmallLayer<T>& layer) {
    const bool is_full = layer.hidden_size % kLanes<T> == 0;
    if (layer.saved == nullptr)
        is_full ? small_steps<T, M, P, true, false>(layer) : small_steps<T, M, P, false, false>(layer);
    else
        is_full ? small_steps<T, M, P, true, true>(layer) : small_steps<T, M, P, false, true>(layer);
}

// The most panels in a tile that divide all of them.
template <class T, int M, int P>
FASTGRU_INLINE void with_small_panels(const SmallLayer<T>& layer) {
    if constexpr (P > 1) {
        if (ceil_div(layer.hidden_size, kLanes<T>) % P != 0) return with_small_panels<T, M, P - 1>(layer);
    }
    small_steps_of<T, M, P>(layer);
}

// Kernels::small_layer
template <class T>
void small_layer(const SmallLayer<T>& layer) {
    with_rows<kSmallRows<T>>(layer.rows, [&](auto m) {
        constexpr int M = decltype(m)::value;
        with_small_panels<T, M, kSmallPanels<M>>(layer);
    });
}

}  // namespace fastgru::FASTGRU_LEVEL
