// oneDNN's lbr_gru behind five C functions, for ctypes. Plain tensors come and go in oneDNN's own plain orders; the
// weights are put into the orders that the primitives ask for once, in `gru_make`, as an application would for
// inference.
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

using namespace dnnl;
using tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

namespace {

struct Gru {
    engine cpu{engine::kind::cpu, 0};
    stream queue{cpu};
    primitive forward, backward;
    Arguments forward_arguments, backward_arguments;
    memory output, d_weight_hh, d_x;
    std::vector<memory> summed;  // gradients that the backward pass adds to
};

memory::desc desc(memory::dims dims, tag order) { return {std::move(dims), memory::data_type::f32, order}; }

memory filled(Gru& gru, const memory::desc& plain, const void* values) {
    memory made(plain, gru.cpu);
    std::memcpy(made.get_data_handle(), values, plain.get_size());
    return made;
}

memory in_order(Gru& gru, memory from, const memory::desc& wanted) {
    if (from.get_desc() == wanted) return from;
    memory made(wanted, gru.cpu);
    reorder(from, made).execute(gru.queue, from, made);
    gru.queue.wait();
    return made;
}

}  // namespace

// Weights as ldigo, gates in the order z, r, n, bias of four gates; x and d_output (steps, batch, size); d_output
// null for inference.
extern "C" void* gru_make(long steps, long batch, long size, const float* weight_ih, const float* weight_hh,
                          const float* bias, const float* x, const float* d_output) {
    auto* gru = new Gru;
    const auto sequence = desc({steps, batch, size}, tag::tnc), none = memory::desc();
    const auto weights = desc({1, 1, size, 3, size}, tag::any), plain = desc({1, 1, size, 3, size}, tag::ldigo);
    const auto biases = desc({1, 1, 4, size}, tag::ldgo);
    const auto way = rnn_direction::unidirectional_left2right;
    const auto kind = d_output ? prop_kind::forward_training : prop_kind::forward_inference;
    const lbr_gru_forward::primitive_desc forward(gru->cpu, kind, way, sequence, none, weights, weights, biases,
                                                  sequence, none);
    const memory w = filled(*gru, plain, weight_ih), r = filled(*gru, plain, weight_hh);
    gru->forward = lbr_gru_forward(forward);
    gru->output = memory(sequence, gru->cpu);
    gru->forward_arguments = {{DNNL_ARG_SRC_LAYER, filled(*gru, sequence, x)},
                              {DNNL_ARG_WEIGHTS_LAYER, in_order(*gru, w, forward.weights_layer_desc())},
                              {DNNL_ARG_WEIGHTS_ITER, in_order(*gru, r, forward.weights_iter_desc())},
                              {DNNL_ARG_BIAS, filled(*gru, biases, bias)},
                              {DNNL_ARG_DST_LAYER, gru->output}};
    if (!d_output) return gru;

    const lbr_gru_backward::primitive_desc backward(gru->cpu, prop_kind::backward, way, sequence, none, weights,
                                                    weights, biases, sequence, none, sequence, none, weights,
                                                    weights, biases, sequence, none, forward);
    gru->forward_arguments[DNNL_ARG_WORKSPACE] = memory(forward.workspace_desc(), gru->cpu);
    gru->backward = lbr_gru_backward(backward);
    gru->d_x = memory(sequence, gru->cpu);
    gru->d_weight_hh = memory(backward.diff_weights_iter_desc(), gru->cpu);
    gru->summed = {memory(backward.diff_weights_layer_desc(), gru->cpu), gru->d_weight_hh,
                   memory(biases, gru->cpu)};
    gru->backward_arguments = gru->forward_arguments;
    gru->backward_arguments[DNNL_ARG_WEIGHTS_LAYER] = in_order(*gru, w, backward.weights_layer_desc());
    gru->backward_arguments[DNNL_ARG_WEIGHTS_ITER] = in_order(*gru, r, backward.weights_iter_desc());
    gru->backward_arguments.insert({{DNNL_ARG_DIFF_SRC_LAYER, gru->d_x},
                                    {DNNL_ARG_DIFF_WEIGHTS_LAYER, gru->summed[0]},
                                    {DNNL_ARG_DIFF_WEIGHTS_ITER, gru->summed[1]},
                                    {DNNL_ARG_DIFF_BIAS, gru->summed[2]},
                                    {DNNL_ARG_DIFF_DST_LAYER, filled(*gru, sequence, d_output)}});
    return gru;
}

extern "C" void gru_run(void* handle) {
    auto& gru = *static_cast<Gru*>(handle);
    gru.forward.execute(gru.queue, gru.forward_arguments);
    if (gru.backward) {
        for (auto& gradient : gru.summed)
            std::memset(gradient.get_data_handle(), 0, gradient.get_desc().get_size());
        gru.backward.execute(gru.queue, gru.backward_arguments);
    }
    gru.queue.wait();
}

// The output, and in training the gradients of x and of weight_hh as ldigo.
extern "C" void gru_results(void* handle, float* output, float* d_x, float* d_weight_hh) {
    auto& gru = *static_cast<Gru*>(handle);
    std::memcpy(output, gru.output.get_data_handle(), gru.output.get_desc().get_size());
    if (!gru.backward) return;
    std::memcpy(d_x, gru.d_x.get_data_handle(), gru.d_x.get_desc().get_size());
    const auto plain = desc(gru.d_weight_hh.get_desc().get_dims(), tag::ldigo);
    const memory weight_hh = in_order(gru, gru.d_weight_hh, plain);
    std::memcpy(d_weight_hh, weight_hh.get_data_handle(), plain.get_size());
}

extern "C" void gru_free(void* handle) { delete static_cast<Gru*>(handle); }

extern "C" const char* gru_version() {
    static const auto* v = dnnl_version();
    static const auto text =
        std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
    return text.c_str();
}
