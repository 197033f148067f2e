// One call of the core in a function of its own, whose instructions scripts/guards has counted.
//
//   one_call LEVEL infer|train|int8 HIDDEN BATCH STEPS      (int8: with weights of 8 bits, packed before)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastgru.h"
#include "tools/one_layer.h"

using namespace fastgru;

namespace {

struct Calls {
    Forward<float> forward;
    Backward<float> backward;
    Forward<float, Int8> int8;
    void *forward_memory, *backward_memory, *int8_memory;
    bool trains, is_int8;
};

}  // namespace

// A name that the counter finds.
extern "C" __attribute__((noinline)) void measured_call(const Calls& calls) {
    if (calls.is_int8) return run(active_table(), calls.int8, calls.int8_memory);
    run(active_table(), calls.forward, calls.forward_memory);
    if (calls.trains) run(active_table(), calls.backward, calls.backward_memory);
}

int main(int argc, char** argv) {
    if (argc != 6 || !set_active_level(argv[1])) {
        fprintf(stderr, "usage: one_call LEVEL infer|train HIDDEN BATCH STEPS, at a level of this machine\n");
        return 2;
    }
    OneLayer layer{.H = atol(argv[3]), .B = atol(argv[4]), .T = atol(argv[5])};
    const bool trains = strcmp(argv[2], "train") == 0;
    const Block packed(packed_bytes<Int8>(active_table(), layer.spec));
    pack<Int8>(active_table(), layer.spec, layer.cells.data(), packed.data());
    const Forward<float, Int8> int8 = int8_of(layer, packed.data());
    const Forward<float> forward = forward_of(layer, trains);
    const Backward<float> backward = backward_of(layer);
    const Calls calls{
        .forward = forward,
        .backward = backward,
        .int8 = int8,
        .forward_memory = memory_for(forward),
        .backward_memory = memory_for(backward),
        .int8_memory = memory_for(int8),
        .trains = trains,
        .is_int8 = strcmp(argv[2], "int8") == 0,
    };
    measured_call(calls);
    free_aligned(calls.forward_memory);
    free_aligned(calls.backward_memory);
    free_aligned(calls.int8_memory);
    return 0;
}
