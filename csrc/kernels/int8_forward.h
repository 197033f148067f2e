// The forward pass with weights of 8 bits: rows are quantized, products and their sums are exact integers, and
// scales are applied to the sums. From there on everything is as with other weights.
#pragma once

#include "kernels/gates.h"
#include "kernels/quantize.h"
#include "kernels/register_tiles.h"
#include "kernels/step_loop.h"

namespace fastgru::FASTGRU_LEVEL {

// A lane's products are a register of their own where instructions do not add them to a sum.
constexpr int kInt8TileRows = kRegisters == 32 ? kTileRows : 3;
template <int M>
constexpr int kInt8SidePanels = M == 1 || (kRegisters == 32 && M <= 4) ? 2 : 1;

FASTGRU_INLINE constexpr Int8Layout int8_layout(ptrdiff_t K) {
    return {.K = K, .L = kLanes<float>, .group = kDotGroup};
}

// Sums of M rows from i on and of P panels: finish(m, n, sum) gets start(m, n) plus the product.
template <int M, int P, class Start, class Finish>
FASTGRU_INLINE void int8_tile(const QuantizedRows& rows, ptrdiff_t i, ptrdiff_t K, const Int8* panel, Start start,
                              Finish finish) {
    constexpr int L = kLanes<float>;
    const Int8Layout layout = int8_layout(K);
    const ptrdiff_t stride = layout.block_bytes(), groups = layout.groups();
    const Int8* scales = panel + layout.weight_bytes();
    const unsigned char* row[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { row[m] = rows.values + (i + m) * rows.stride; });
    Ints sum[M][3 * P];
    unroll<3 * P>([&](auto n) FASTGRU_INLINED {
        const Ints offset = kRowOffset == 0 ? Ints{} : load_ints(scales + n / 3 * stride + (3 + n % 3) * L * 4);
        unroll<M>([&](auto m) FASTGRU_INLINED { sum[m][n] = offset; });
    });
    for (ptrdiff_t group = 0; group < groups; ++group) {
        Ints right[3 * P];
        unroll<3 * P>([&](auto n) FASTGRU_INLINED {
            right[n] = load_weights(panel + n / 3 * stride + (group * 3 + n % 3) * L * kDotGroup);
        });
        unroll<M>([&](auto m) FASTGRU_INLINED {
            const Ints left = broadcast_ints(row[m] + group * 4);
            unroll<3 * P>([&](auto n) FASTGRU_INLINED { sum[m][n] = dot(sum[m][n], right[n], left); });
        });
    }
    unroll<M>([&](auto m) FASTGRU_INLINED {
        const Vec<float> scale = broadcast(rows.scales[i + m]);
        unroll<3 * P>([&](auto n) FASTGRU_INLINED {
            const Int8* own = scales + n / 3 * stride + n % 3 * L * 4;
            const Vec<float> product = __builtin_convertvector(sum[m][n], Vec<float>);
            finish(m, n, fma(product, scale * load(reinterpret_cast<const float*>(own)), start(m, n)));
        });
    });
}

template <int M>
FASTGRU_TILE void int8_project_tile(const QuantizedRows& row, ptrdiff_t i, ptrdiff_t I, const Int8* weight,
                                    ptrdiff_t panel, const float* bias, float* projected) {
    constexpr int L = kLanes<float>;
    int8_tile<M, 1>(
        row, i, I, weight + panel * int8_layout(I).block_bytes(),
        [&](auto, auto n) FASTGRU_INLINED { return load(bias + (panel * 3 + n) * L); },
        [&](auto m, auto n, Vec<float> v) FASTGRU_INLINED { store(projected + (m * 3 + n) * L, v); });
}

// Int8Kernels::project_quantized
inline void project_quantized(const QuantizedRows& row, ptrdiff_t rows, ptrdiff_t I, const Int8* weight,
                              const float* bias, ptrdiff_t begin, ptrdiff_t end, float* projected) {
    constexpr int L = kLanes<float>;
    for (ptrdiff_t panel = begin; panel < end; ++panel) {
        for (ptrdiff_t i = 0; i < rows; i += kInt8TileRows) {
            with_rows<kInt8TileRows>(rows - i, [&](auto m) {
                int8_project_tile<decltype(m)::value>(row, i, I, weight, panel, bias,
                                                      projected + ((panel - begin) * rows + i) * 3 * L);
            });
        }
    }
}

// With few rows, the gates of few blocks are computed at a time: a processor goes on to the next products
// meanwhile.
constexpr ptrdiff_t kInt8GateVectors = 4;

using Int8Steps = ForwardSteps<float, Int8>;

// The sums of M rows from `i` on of those whose gates are computed together, and of P of their blocks.
template <int M, int P>
FASTGRU_TILE void int8_sums(const Int8Steps& run, const GateRows<float>& rows, ptrdiff_t first_row, ptrdiff_t i,
                            ptrdiff_t block) {
    constexpr int L = kLanes<float>;
    const ptrdiff_t panel = rows.unit / L + block;
    int8_tile<M, P>(
        run.quantized, first_row + i, run.hidden_size,
        run.weight_hh + panel * int8_layout(run.hidden_size).block_bytes(),
        [&](auto m, auto n) FASTGRU_INLINED {
            constexpr int p = n / 3, gate = n % 3;
            if constexpr (gate == 2)
                return load(run.bias_hn + (panel + p) * L);
            else
                return load(rows.projected + (((block + p) * rows.projected_rows + i + m) * 3 + gate) * L);
        },
        [&](auto m, auto n, Vec<float> v) FASTGRU_INLINED {
            constexpr int p = n / 3, gate = n % 3;
            store(rows.sums_of(block + p) + ((i + m) * 3 + gate) * L, v);
        });
}

template <int M, int P>
FASTGRU_INLINE void int8_sums_of_blocks(const Int8Steps& run, const GateRows<float>& rows, ptrdiff_t first_row,
                                        ptrdiff_t i) {
    ptrdiff_t block = 0;
    for (; block + P <= rows.blocks; block += P) int8_sums<M, P>(run, rows, first_row, i, block);
    if constexpr (P > 1) {
        for (; block < rows.blocks; ++block) int8_sums<M, 1>(run, rows, first_row, i, block);
    }
}

// One step for `count` rows. Every second step goes through the panels downwards, as in forward_step.
inline void int8_step(const Int8Steps& run, const float* projected, float* saved, ptrdiff_t count,
                      bool is_downward) {
    constexpr int L = kLanes<float>;
    alignas(64) float sums[kGateVectors * 3 * L];
    const ptrdiff_t panels = run.panel_end - run.panel_begin;
    const ptrdiff_t together = max(1, kInt8GateVectors / count);
    for (ptrdiff_t n = 0; n < panels; n += together) {
        const ptrdiff_t blocks = min(together, panels - n);
        const ptrdiff_t panel = is_downward ? run.panel_end - n - blocks : run.panel_begin + n;
        for (ptrdiff_t first = 0; first < count; first += kGateVectors) {
            const GateRows<float> rows{
                .count = min(kGateVectors, count - first),
                .blocks = blocks,
                .hidden_size = run.hidden_size,
                .unit = panel * L,
                .sums = sums,
                .projected = projected + ((panel - run.panel_begin) * run.projected_rows + first) * 3 * L,
                .projected_rows = run.projected_rows,
                .previous = run.previous + first,
                .next = run.next == nullptr ? nullptr : run.next + first,
                .saved = saved == nullptr ? nullptr : saved + first * 4 * run.hidden_size,
            };
            for (ptrdiff_t i = 0; i < rows.count; i += kInt8TileRows) {
                with_rows<kInt8TileRows>(rows.count - i, [&](auto m) {
                    constexpr int M = decltype(m)::value;
                    int8_sums_of_blocks<M, kInt8SidePanels<M>>(run, rows, first, i);
                });
            }
            gates_of_rows(rows);
        }
    }
}

// Kernels::forward_steps
inline void int8_forward_steps(const Int8Steps& run) {
    for_each_step(run, [&](const float* projected, float* saved, ptrdiff_t rows, bool is_downward) FASTGRU_INLINED {
        quantize(run.previous, rows, run.hidden_size, run.quantized);
        int8_step(run, projected, saved, rows, is_downward);
    });
}

}  // namespace fastgru::FASTGRU_LEVEL
