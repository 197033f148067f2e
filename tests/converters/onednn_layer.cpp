// oneDNN's primitives lbr_gru and gru behind one C function, for ctypes. The arrays are in oneDNN's plain orders:
// weights ldigo, bias ldgo, input and output tnc.
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>

using namespace dnnl;
using tag = memory::format_tag;

namespace {

struct Runner {
    engine cpu{engine::kind::cpu, 0};
    stream queue{cpu};

    memory filled(const memory::desc& order, const float* values) {
        memory made(order, cpu);
        std::memcpy(made.get_data_handle(), values, order.get_size());
        return made;
    }

    memory in_order(memory from, const memory::desc& wanted) {
        memory made(wanted, cpu);
        reorder(from, made).execute(queue, from, made);
        return made;
    }
};

memory::desc desc(memory::dims dims, tag order) { return {std::move(dims), memory::data_type::f32, order}; }

}  // namespace

template <typename Forward>
static void run(long layers, long directions, long steps, long batch, long input, long hidden,
                const float* const* arrays, const float* x, float* y) {
    Runner runner;
    const memory::dims w{layers, directions, input, 3, hidden}, r{layers, directions, hidden, 3, hidden};
    const long biases = std::is_same_v<Forward, lbr_gru_forward> ? 4 : 3;
    const auto source = desc({steps, batch, input}, tag::tnc);
    const auto output = desc({steps, batch, directions * hidden}, tag::tnc);
    const auto bias = desc({layers, directions, biases, hidden}, tag::ldgo);
    const auto way =
        directions == 2 ? rnn_direction::bidirectional_concat : rnn_direction::unidirectional_left2right;
    const typename Forward::primitive_desc plan(runner.cpu, prop_kind::forward_inference, way, source, {},
                                                desc(w, tag::any), desc(r, tag::any), bias, output, {});
    const memory result(output, runner.cpu);
    Forward(plan).execute(
        runner.queue, {{DNNL_ARG_SRC_LAYER, runner.filled(source, x)},
                       {DNNL_ARG_WEIGHTS_LAYER,
                        runner.in_order(runner.filled(desc(w, tag::ldigo), arrays[0]), plan.weights_layer_desc())},
                       {DNNL_ARG_WEIGHTS_ITER,
                        runner.in_order(runner.filled(desc(r, tag::ldigo), arrays[1]), plan.weights_iter_desc())},
                       {DNNL_ARG_BIAS, runner.filled(bias, arrays[2])},
                       {DNNL_ARG_DST_LAYER, result}});
    runner.queue.wait();
    std::memcpy(y, result.get_data_handle(), output.get_size());
}

// Returns null, or what oneDNN says.
extern "C" const char* run_gru(bool reset_after, long layers, long directions, long steps, long batch, long input,
                               long hidden, const float* const* arrays, const float* x, float* y) {
    try {
        (reset_after ? run<lbr_gru_forward> : run<gru_forward>)(layers, directions, steps, batch, input, hidden,
                                                                arrays, x, y);
    } catch (const error& failure) {
        static std::string told;
        told = failure.what();
        return told.c_str();
    }
    return nullptr;
}
