// One layer of float32, or a stack of them, as wide as its input, with a full batch, and all memory that its calls
// need.
#pragma once

#include <vector>

#include "fastgru.h"
#include "host/platform.h"
#include "host/workspace.h"

namespace fastgru {

struct OneLayer {
    ptrdiff_t H, B, T, layers = 1;  // only a single one has a backward pass
    Spec spec{.input_size = H, .hidden_size = H, .num_layers = layers, .num_directions = 1};
    Batch batch{.steps = T, .rows = B};
    std::vector<float> input = std::vector<float>(size_t(T * B * H), 0.5f);
    std::vector<float> output = input, d_output = input, d_input = input;
    std::vector<float> h_n = std::vector<float>(size_t(layers * B * H));
    std::vector<float> saved = std::vector<float>(saved_values<float>(spec, batch, false));
    std::vector<float> matrices = std::vector<float>(size_t(layers * 6 * H * H), 0.01f);
    std::vector<float> d_ih = std::vector<float>(size_t(3 * H * H)), d_hh = d_ih;
    std::vector<float> bias = std::vector<float>(size_t(3 * H), 0.1f), d_bias_ih = bias, d_bias_hh = bias;
    std::vector<Cell<float>> cells = cells_of(matrices.data());
    CellGradients<float> d_cell{.weight_ih = d_ih.data(),
                                .weight_hh = d_hh.data(),
                                .bias_ih = d_bias_ih.data(),
                                .bias_hh = d_bias_hh.data()};

    std::vector<Cell<float>> cells_of(const float* weights) const {
        std::vector<Cell<float>> all;
        for (ptrdiff_t i = 0; i < layers; ++i, weights += 6 * H * H)
            all.push_back({weights, weights + 3 * H * H, bias.data(), bias.data()});
        return all;
    }
    template <class V>
    Sequence<V> sequence(V* data) const {
        return {.data = data, .row_stride = H, .step_stride = B * H, .is_flat = false};
    }
};

inline Forward<float> forward_of(OneLayer& layer, bool trains) {
    return {
        .spec = layer.spec,
        .batch = layer.batch,
        .input = layer.sequence<const float>(layer.input.data()),
        .cells = layer.cells.data(),
        .output = layer.sequence(layer.output.data()),
        .h_n = layer.h_n.data(),
        .saved = trains ? layer.saved.data() : nullptr,
    };
}

// The same with weights that were packed as 8 bits.
inline Forward<float, Int8> int8_of(OneLayer& layer, const void* packed) {
    Forward<float, Int8> call{};
    call.spec = layer.spec;
    call.batch = layer.batch;
    call.input = layer.sequence<const float>(layer.input.data());
    call.output = layer.sequence(layer.output.data());
    call.h_n = layer.h_n.data();
    call.packed = packed;
    return call;
}

inline Backward<float> backward_of(OneLayer& layer) {
    return {
        .spec = layer.spec,
        .batch = layer.batch,
        .input = layer.sequence<const float>(layer.input.data()),
        .cells = layer.cells.data(),
        .output = layer.sequence<const float>(layer.output.data()),
        .saved = layer.saved.data(),
        .d_output = layer.sequence<const float>(layer.d_output.data()),
        .d_input = layer.sequence(layer.d_input.data()),
        .d_cells = &layer.d_cell,
    };
}

// Memory for a call, for free_aligned.
template <class Call>
void* memory_for(const Call& call) {
    return allocate_aligned(kAlignment, aligned(workspace_bytes(active_table(), call)));
}

}  // namespace fastgru
