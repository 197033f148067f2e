// Preparing a program: which values share memory, and whether its calls may be split.
#include "host/program.h"

namespace fastgru {

namespace {

// Calls body(value) for the values that a node reads.
template <class T, class Body>
void for_reads(const Node<T>& node, const Body& body) {
    const auto read = [&]<class One>(const One& one) {
        body(one.x);
        if constexpr (__is_same(One, CombineNode<T>)) {
            if (one.other >= 0) body(one.other);
        }
        if constexpr (__is_same(One, GruNode<T>))
            for (const int value : one.begins) body(value);
    };
    std::visit(read, node);
}

template <class T>
int written_by(const Node<T>& node) {
    return std::visit([](const auto& one) { return one.y; }, node);
}

// The value whose memory the result of a node may take; -1: none.
template <class T>
int can_replace(const Node<T>& node) {
    const auto replaced = []<class One>(const One& one) {
        constexpr bool is_elementwise = __is_same(One, ActivateNode) || __is_same(One, SoftmaxNode) ||
                                        __is_same(One, LayerNormNode<T>) || __is_same(One, CombineNode<T>);
        return is_elementwise ? one.x : -1;
    };
    return std::visit(replaced, node);
}

// Values share memory as registers are given out: a slot is free again after the last node that reads its value.
template <class T>
class Slots {
  public:
    explicit Slots(Program<T>& program) : program_(program), last_(program.values.size(), -1) {
        program.slot_of.assign(program.values.size(), -1);
        program.is_written.assign(program.values.size(), false);
        for (size_t i = 0; i < program.nodes.size(); ++i)
            for_reads<T>(program.nodes[i], [&](int value) { last_[size_t(value)] = ptrdiff_t(i); });
        for (const int value : program.inputs) keep(value);
        for (const int value : program.outputs) last_[size_t(value)] = kForever;
    }

    void add(size_t i) {
        const Node<T>& node = program_.nodes[i];
        const int y = written_by(node), x = can_replace(node);
        program_.is_written[size_t(y)] = true;
        if (std::holds_alternative<LastNode>(node)) keep(y);
        if (const GruNode<T>* gru = std::get_if<GruNode<T>>(&node)) {
            for (const int value : gru->last) {
                if (value < 0) continue;
                keep(value);
                program_.is_written[size_t(value)] = true;
            }
        }
        if (slot(y) < 0 && x >= 0 && last_[size_t(x)] == ptrdiff_t(i) && type(x) == type(y)) {
            slot(y) = slot(x);
            last_[size_t(x)] = kForever;  // given away, not free
        }
        if (slot(y) < 0) slot(y) = take(type(y));
        for_reads<T>(node, [&](int value) {
            if (last_[size_t(value)] != ptrdiff_t(i)) return;
            free_.push_back(slot(value));
            last_[size_t(value)] = kForever;  // once
        });
        if (last_[size_t(y)] < 0) last_[size_t(y)] = kForever;  // nobody reads it
    }

  private:
    static constexpr ptrdiff_t kForever = PTRDIFF_MAX;

    int& slot(int value) { return program_.slot_of[size_t(value)]; }
    const ValueType& type(int value) const { return program_.values[size_t(value)]; }
    void widen(int at, ptrdiff_t width) {
        ValueType& slot = program_.slots[size_t(at)];
        slot.width = width > slot.width ? width : slot.width;
    }
    // Memory of its own: what is there must outlive the part that it was written in.
    void keep(int value) {
        last_[size_t(value)] = kForever;
        if (slot(value) < 0) slot(value) = make(type(value));
    }
    int make(const ValueType& type) {
        program_.slots.push_back(type);
        return int(program_.slots.size()) - 1;
    }
    int take(const ValueType& type) {
        for (size_t i = 0; i < free_.size(); ++i) {
            const int at = free_[i];
            if (program_.slots[size_t(at)].is_per_step != type.is_per_step) continue;
            free_.erase(free_.begin() + ptrdiff_t(i));
            widen(at, type.width);
            return at;
        }
        return make(type);
    }

    Program<T>& program_;
    std::vector<ptrdiff_t> last_;  // [values]: the last node that reads it
    std::vector<int> free_;
};

// Whether nodes can go a few steps at a time: each state must go forward in time, and at every step, and no step
// may read what is known only after the last one.
template <class T>
bool goes_forward(const Program<T>& program) {
    std::vector<bool> is_late(program.values.size(), false);
    for (const Node<T>& node : program.nodes) {
        const auto is_per_step = [&](int value) { return program.values[size_t(value)].is_per_step; };
        const GruNode<T>* gru = std::get_if<GruNode<T>>(&node);
        if (gru != nullptr && (gru->spec.num_directions == 2 || !is_per_step(gru->x))) return false;
        const int y = written_by(node);
        bool reads_late = false, reads_steps = false;
        for_reads<T>(node, [&](int value) {
            reads_late |= is_late[size_t(value)];
            reads_steps |= is_per_step(value);
        });
        if (is_per_step(y) && reads_late) return false;
        if (!is_per_step(y)) is_late[size_t(y)] = is_late[size_t(y)] || reads_late || reads_steps;
        if (gru == nullptr) continue;
        for (const int value : gru->last)
            if (value >= 0) is_late[size_t(value)] = true;
    }
    return true;
}

template <class T>
double products_of(const Program<T>& program, const Node<T>& node) {
    if (const LinearNode<T>* linear = std::get_if<LinearNode<T>>(&node))
        return double(linear->in_features) * double(linear->out_features);
    double sum = double(program.values[size_t(written_by(node))].width);
    if (const GruNode<T>* gru = std::get_if<GruNode<T>>(&node))
        for (ptrdiff_t layer = 0; layer < gru->spec.num_layers; ++layer)
            sum += 3.0 * double(gru->spec.num_directions * gru->spec.hidden_size) *
                   double(gru->spec.width(layer) + gru->spec.hidden_size);
    return sum;
}

}  // namespace

template <class T>
void arrange(Program<T>& program) {
    Slots<T> slots(program);
    program.products = 0;
    for (size_t i = 0; i < program.nodes.size(); ++i) {
        slots.add(i);
        program.products += products_of(program, program.nodes[i]);
    }
    program.can_split = goes_forward(program);
}

template void arrange(Program<float>&);
template void arrange(Program<double>&);

}  // namespace fastgru
