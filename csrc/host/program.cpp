// Running a program, a few steps at a time.
#include "host/program_nodes.h"
#include "shared/integer_math.h"

namespace fastgru {

namespace {

// Vectors that go through all nodes together: enough for full tiles and to divide among threads, few enough for the
// second-level cache.
constexpr ptrdiff_t kVectorsTogether = 512;

// Whether vectors lie one after another, all equally far apart.
bool is_even(const Place& place, bool is_per_step, ptrdiff_t steps, ptrdiff_t rows) {
    if (!is_per_step || steps == 1) return true;
    return rows == 1 || place.step_stride == rows * place.row_stride;
}

// The distance from a vector to the next.
ptrdiff_t even_stride(const Place& place, bool is_per_step, ptrdiff_t rows) {
    return is_per_step && rows == 1 ? place.step_stride : place.row_stride;
}

// Copies the vectors of a part between the caller's memory and a matrix.
template <class T, class Copy>
void for_vectors(const Part<T>& part, const Place& place, int value, const Copy& copy) {
    const bool is_per_step = part.program.values[size_t(value)].is_per_step;
    const ptrdiff_t first = is_per_step ? part.first : 0;
    for (ptrdiff_t t = 0; t < (is_per_step ? part.steps : 1); ++t)
        for (ptrdiff_t b = 0; b < part.batch(); ++b)
            copy(static_cast<T*>(place.data) + (first + t) * place.step_stride + b * place.row_stride,
                 part.values[value].row(t * part.batch() + b));
}

// Uses the caller's memory for a value where it can be.
template <class T>
bool uses_place(const Part<T>& part, const Place& place, int value) {
    const bool is_per_step = part.program.values[size_t(value)].is_per_step;
    if (!is_even(place, is_per_step, part.steps, part.batch())) return false;
    part.values[value] = {static_cast<T*>(place.data) + (is_per_step ? part.first * place.step_stride : 0),
                          even_stride(place, is_per_step, part.batch())};
    return true;
}

// All nodes for the steps of one part. `own` are the values' matrices in memory of the call.
template <class T>
void run_part(Part<T>& part, const Matrix<T>* own) {
    const Program<T>& program = part.program;
    memcpy(part.values, own, program.values.size() * sizeof(Matrix<T>));
    for (size_t i = 0; i < program.inputs.size(); ++i) {
        const int value = program.inputs[i];
        if (part.width(value) == 0 || uses_place(part, part.call.inputs[i], value)) continue;
        const size_t bytes = size_t(part.width(value)) * sizeof(T);
        for_vectors(part, part.call.inputs[i], value, [&](const T* from, T* to) { memcpy(to, from, bytes); });
    }
    for (size_t i = 0; i < program.outputs.size(); ++i)
        if (program.is_written[size_t(program.outputs[i])])
            uses_place(part, part.call.outputs[i], program.outputs[i]);
    for (const Node<T>& node : program.nodes) {
        std::visit([&](const auto& one) { compute(part, one); }, node);
        if (part.lacking != 0) return;
    }
    for (size_t i = 0; i < program.outputs.size(); ++i) {
        const size_t bytes = size_t(part.width(program.outputs[i])) * sizeof(T);
        for_vectors(part, part.call.outputs[i], program.outputs[i], [&](T* to, const T* from) {
            if (to != from) memcpy(to, from, bytes);
        });
    }
}

// Memory of a call, or only its size with an arena that counts.
template <class T>
struct ProgramMemory {
    Matrix<T>*own, *values;
    Place* indices;
    int64_t* lengths;
    T* beginnings;
};

// Values in the states of a sequence, of the largest node whose sequences begin with values.
template <class T>
ptrdiff_t widest_beginning(const Program<T>& program) {
    ptrdiff_t most = 0;
    for (const Node<T>& node : program.nodes)
        if (const GruNode<T>* gru = std::get_if<GruNode<T>>(&node))
            if (!gru->begins.empty()) most = max(most, gru->spec.cells() * gru->spec.hidden_size);
    return most;
}

template <class T>
ProgramMemory<T> lay_out(const Program<T>& program, const ProgramCall<T>& call, ptrdiff_t steps, Arena& arena) {
    const ptrdiff_t count = ptrdiff_t(program.values.size());
    ProgramMemory<T> memory{};
    memory.own = arena.take<Matrix<T>>(count);
    memory.values = arena.take<Matrix<T>>(count);
    memory.indices = arena.take<Place>(count);
    memory.lengths = arena.take<int64_t>(call.rows);
    memory.beginnings = arena.take<T>(widest_beginning(program) * call.rows);
    std::vector<T*> slots;
    for (const ValueType& slot : program.slots)
        slots.push_back(arena.take<T>(slot.width * call.rows * (slot.is_per_step ? steps : 1)));
    if (memory.own == nullptr) return memory;
    for (ptrdiff_t i = 0; i < count; ++i) {
        const int slot = program.slot_of[size_t(i)];
        memory.own[i] = {slot < 0 ? nullptr : slots[size_t(slot)], program.values[size_t(i)].width};
    }
    return memory;
}

// The lengths of sequences within a part.
template <class T>
const int64_t* part_lengths(const ProgramCall<T>& call, ptrdiff_t first, ptrdiff_t steps, int64_t* to) {
    if (call.lengths == nullptr) return nullptr;
    for (ptrdiff_t b = 0; b < call.rows; ++b) {
        const int64_t left = call.lengths[b] - first;
        to[b] = left < 0 ? 0 : left > steps ? steps : left;
    }
    return to;
}

}  // namespace

template <class T>
size_t run(const Program<T>& program, const ProgramCall<T>& call) {
    ptrdiff_t together = call.steps;
    if (program.can_split && call.rows > 0) together = min(together, max(1, kVectorsTogether / call.rows));
    Arena counted(nullptr);
    lay_out(program, call, together, counted);
    const Block block(counted.used());
    if (block.data() == nullptr) return counted.used();
    Arena arena(block.data());
    const ProgramMemory<T> memory = lay_out(program, call, together, arena);
    for (size_t i = 0; i < program.inputs.size(); ++i) memory.indices[program.inputs[i]] = call.inputs[i];
    size_t lacking = 0;
    for (ptrdiff_t first = 0; first < call.steps && lacking == 0; first += together) {
        const ptrdiff_t steps = min(together, call.steps - first);
        Part<T> part{
            .program = program,
            .call = call,
            .first = first,
            .steps = steps,
            .values = memory.values,
            .indices = memory.indices,
            .lengths = part_lengths(call, first, steps, memory.lengths),
            .beginnings = memory.beginnings,
        };
        run_part(part, memory.own);
        lacking = part.lacking;
    }
    return lacking;
}

template <class T>
double call_microseconds(const Program<T>& program, const ProgramCall<T>& call) {
    const double each = 1e-4 * double(sizeof(T)) / 4;  // microseconds for a product, where vectors are short
    return program.products * double(call.steps) * double(call.rows) * each;
}

#define FASTGRU_PROGRAM(T)                                         \
    template size_t run(const Program<T>&, const ProgramCall<T>&); \
    template double call_microseconds(const Program<T>&, const ProgramCall<T>&);
FASTGRU_PROGRAM(float)
FASTGRU_PROGRAM(double)

}  // namespace fastgru
