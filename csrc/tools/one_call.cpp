// One call of the core in a function of its own, whose instructions scripts/guards has counted.
//
//   one_call LEVEL infer|train HIDDEN BATCH STEPS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "fastgru.h"
#include "host/workspace.h"

using namespace fastgru;

namespace {

struct Calls {
    Forward<float> forward;
    Backward<float> backward;
    void *forward_memory, *backward_memory;
    bool trains;
};

void* memory(size_t bytes) { return aligned_alloc(kAlignment, aligned(bytes)); }

}  // namespace

// A name that the counter finds.
extern "C" __attribute__((noinline)) void measured_call(const Calls& calls) {
    run(active_table(), calls.forward, calls.forward_memory);
    if (calls.trains) run(active_table(), calls.backward, calls.backward_memory);
}

int main(int argc, char** argv) {
    if (argc != 6 || !set_active_level(argv[1])) {
        fprintf(stderr, "usage: one_call LEVEL infer|train HIDDEN BATCH STEPS, at a level of this machine\n");
        return 2;
    }
    const ptrdiff_t H = atol(argv[3]), B = atol(argv[4]), T = atol(argv[5]);
    const Spec spec{H, H, 1, 1};
    const Batch batch{T, B, nullptr};
    const size_t values = size_t(T * B * H), weights = size_t(3 * H * H), biases = size_t(3 * H);
    std::vector<float> input(values, 0.5f), output(values), d_output(values, 0.1f), d_input(values),
        h_n(size_t(B * H));
    std::vector<float> saved(saved_values<float>(spec, batch, false));
    std::vector<float> matrix(weights, 0.01f), bias(biases, 0.1f);
    std::vector<float> d_ih(weights), d_hh(weights), d_bias_ih(biases), d_bias_hh(biases);
    const Cell<float> cell{matrix.data(), matrix.data(), bias.data(), bias.data()};
    const CellGradients<float> d_cell{d_ih.data(), d_hh.data(), d_bias_ih.data(), d_bias_hh.data()};
    Calls calls{};
    calls.trains = strcmp(argv[2], "train") == 0;
    calls.forward = {spec,
                     batch,
                     {input.data(), H, B * H, false},
                     nullptr,
                     {},
                     &cell,
                     {output.data(), H, B * H, false},
                     h_n.data(),
                     calls.trains ? saved.data() : nullptr,
                     false,
                     1,
                     false,
                     nullptr};
    calls.backward = {spec,
                      batch,
                      {input.data(), H, B * H, false},
                      nullptr,
                      {},
                      &cell,
                      {output.data(), H, B * H, false},
                      saved.data(),
                      false,
                      {d_output.data(), H, B * H, false},
                      nullptr,
                      {d_input.data(), H, B * H, false},
                      nullptr,
                      nullptr,
                      &d_cell,
                      1,
                      false};
    calls.forward_memory = memory(workspace_bytes(active_table(), calls.forward));
    calls.backward_memory = memory(workspace_bytes(active_table(), calls.backward));
    measured_call(calls);
    free(calls.forward_memory);
    free(calls.backward_memory);
    return 0;
}
