// Layers of float32 with weights stored in fewer bytes: near the same layer with its own weights, and with the same
// bits on any threads.
#include <math.h>
#include <stdio.h>

#include "tools/self_test/by_the_core.h"
#include "tools/self_test/checks.h"

namespace fastgru {

namespace {

// Weights are up to 0.3 and rows have up to 100 of them, so that sums of gates are off by some hundredths.
constexpr float kMostApart = 0.1f;

// Output and h_n with weights stored as S.
template <class S>
Results<float> with_stored(const Problem<float>& p, const KernelTable& table, int threads, Partition partition) {
    Results<float> results = empty_results(p);
    CallMemory<float> memory(p, results);
    const Block packed(packed_bytes<S>(table, p.spec));
    pack<S>(table, p.spec, memory.cells.data(), packed.data());
    Forward<float, S> call{};
    call.spec = p.spec;
    call.batch = p.batch;
    call.input = p.sequence(p.input, p.spec.input_size);
    call.h_0 = p.has_h_0 ? p.h_0.data() : nullptr;
    call.resets = p.resets();
    call.output = p.sequence(results[0], p.features());
    call.h_n = results[1].data();
    call.packed = packed.data();
    run_on(table, call, threads, partition);
    return results;
}

float distance(const std::vector<float>& a, const std::vector<float>& b) {
    float most = 0;
    for (size_t i = 0; i < a.size(); ++i) most = fmaxf(most, fabsf(a[i] - b[i]));
    return most;
}

template <class S>
bool check_stored_as(const Problem<float>& p, const char* name) {
    return at_every_level([&](const KernelTable& table) {
        const Results<float> wanted = by_the_core(p, table, 1, false);
        const Results<float> alone = with_stored<S>(p, table, 1, Partition::best);
        for (int i = 0; i < 2; ++i)
            if (!(distance(alone[i], wanted[i]) <= kMostApart))
                return printf("weights as %s are off at %s\n", name, table.name), false;
        for (const Partition partition : {Partition::rows, Partition::columns, Partition::ahead, Partition::layers})
            if (with_stored<S>(p, table, 2, partition) != alone)
                return printf("weights as %s have other bits on two threads at %s\n", name, table.name), false;
        return true;
    });
}

}  // namespace

bool check_stored() {
    Problem<float> p;
    fill(p);
    p.spec.reset_after = true;  // which fewer bytes are for
    return check_stored_as<Int8>(p, "int8") && check_stored_as<BFloat16>(p, "bfloat16") &&
           check_stored_as<Float16>(p, "float16");
}

}  // namespace fastgru
