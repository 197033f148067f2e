// Calls of the core on memory by address, for whatever tensors it belongs to.
#include "python/many_models.h"
#include "python/read_addresses.h"

namespace fastgru::python {

namespace {

// Everything of a forward call.
struct ForwardArguments {
    BatchArgument batch;
    VectorsArgument input;
    Address h_0;
    ResetArgument reset;
    nb::handle parameters;
    VectorsArgument output;
    Address h_n;
    SavedArgument saved;
    bool recomputes;
    int threads;
    const Models& models;
};

struct BackwardArguments {
    BatchArgument batch;
    VectorsArgument input;
    Address h_0;
    ResetArgument reset;
    nb::handle parameters;
    VectorsArgument output;
    SavedArgument saved;
    bool recomputes;
    VectorsArgument d_output;
    Address d_h_n;
    VectorsArgument d_input;
    Address d_h_0, d_reset;
    nb::handle d_parameters;
    int threads;
    const Models& models;
};

// The calls of all models, but for their cells, from that of the first. Arguments are those of the call.
template <class Call, class Arguments>
std::vector<Call> calls_of_models(const Call& first, const Arguments& a, const OwnBatches& batches) {
    std::vector<Call> calls(size_t(a.models.count), first);
    for (ptrdiff_t i = 0; i < a.models.count; ++i) {
        Call& call = calls[size_t(i)];
        call.batch = batches.of_model(i);
        saved_at<const char, typename Call::Value>(a.saved, call.spec, call.batch, a.recomputes);
        move_to_model(call, a.models.tensors, i);
    }
    return calls;
}

template <class Call>
void run_models(std::vector<Call>& calls, int threads) {
    const KernelTable& table = active_table();
    const nb::gil_scoped_release released;
    must_have(run_calls(table, calls.data(), ptrdiff_t(calls.size()), threads));
}

template <class T>
void forward(const LayerSizes& sizes, const ForwardArguments& a) {
    Cell<T> cells[kMostCells];
    read_cells<const T>(sizes, a.parameters, cells);
    const OwnBatches batches(a.batch, a.models.count, a.models.tensors.lengths);
    const Batch batch = batches.of_model(0);
    const bool is_flat = batch.batch_sizes != nullptr;
    const Forward<T> call{
        .spec = sizes.spec,
        .batch = batch,
        .input = sequence_at<const T>(a.input, is_flat),
        .h_0 = at<const T>(a.h_0),
        .resets = resets_at<T>(a.reset),
        .cells = cells,
        .output = sequence_at<T>(a.output, is_flat),
        .h_n = at<T>(a.h_n),
        .saved = saved_at<Sum<T>, T>(a.saved, sizes.spec, batch, a.recomputes),
        .recomputes = a.recomputes,
        .threads = a.threads,
    };
    if (a.models.count == 1) return run_one(call);
    std::vector<Forward<T>> calls = calls_of_models(call, a, batches);
    const std::vector<Cell<T>> all = cells_of_models(sizes, cells, a.models.parameters, a.models.count);
    for (size_t i = 0; i < calls.size(); ++i) calls[i].cells = all.data() + i * size_t(sizes.spec.cells());
    run_models(calls, a.threads);
}

template <class T>
void backward(const LayerSizes& sizes, const BackwardArguments& a) {
    Cell<T> cells[kMostCells];
    CellGradients<T> d_cells[kMostCells];
    read_cells<const T>(sizes, a.parameters, cells);
    read_cells<T>(sizes, a.d_parameters, d_cells);
    const OwnBatches batches(a.batch, a.models.count, a.models.tensors.lengths);
    const Batch batch = batches.of_model(0);
    const bool is_flat = batch.batch_sizes != nullptr;
    const Backward<T> call{
        .spec = sizes.spec,
        .batch = batch,
        .input = sequence_at<const T>(a.input, is_flat),
        .h_0 = at<const T>(a.h_0),
        .resets = resets_at<T>(a.reset),
        .cells = cells,
        .output = sequence_at<const T>(a.output, is_flat),
        .saved = saved_at<const Sum<T>, T>(a.saved, sizes.spec, batch, a.recomputes),
        .recomputes = a.recomputes,
        .d_output = sequence_at<const T>(a.d_output, is_flat),
        .d_h_n = at<const T>(a.d_h_n),
        .d_input = sequence_at<T>(a.d_input, is_flat),
        .d_h_0 = at<T>(a.d_h_0),
        .d_reset = at<T>(a.d_reset),
        .d_cells = d_cells,
        .threads = a.threads,
    };
    if (a.models.count == 1) return run_one(call);
    std::vector<Backward<T>> calls = calls_of_models(call, a, batches);
    const std::vector<Cell<T>> all = cells_of_models(sizes, cells, a.models.parameters, a.models.count);
    const std::vector<CellGradients<T>> d_all =
        cells_of_models(sizes, d_cells, a.models.d_parameters, a.models.count);
    for (size_t i = 0; i < calls.size(); ++i) {
        calls[i].cells = all.data() + i * size_t(sizes.spec.cells());
        calls[i].d_cells = d_all.data() + i * size_t(sizes.spec.cells());
    }
    run_models(calls, a.threads);
}

size_t count_saved_values(const LayerSizes& sizes, ptrdiff_t slots, ptrdiff_t total, bool recomputes) {
    return with_type(sizes.type,
                     [&]<class T>(Tag<T>) { return saved_values<T>(sizes.spec, slots, total, recomputes); });
}

void bind_forward(nb::class_<LayerSizes>& sizes) {
    sizes.def(
        "forward",
        [](const LayerSizes& sizes, const BatchArgument& bounds, const VectorsArgument& input, Address h_0,
           const ResetArgument& reset, nb::handle parameters, const VectorsArgument& output, Address h_n,
           const SavedArgument& saved, bool recomputes, int threads, const Models& models) {
            const ForwardArguments arguments{
                .batch = bounds,
                .input = input,
                .h_0 = h_0,
                .reset = reset,
                .parameters = parameters,
                .output = output,
                .h_n = h_n,
                .saved = saved,
                .recomputes = recomputes,
                .threads = threads,
                .models = models,
            };
            with_type(sizes.type, [&]<class T>(Tag<T>) { forward<T>(sizes, arguments); });
        },
        nb::arg("bounds"), nb::arg("input"), nb::arg("h_0"), nb::arg("reset"), nb::arg("parameters"),
        nb::arg("output"), nb::arg("h_n"), nb::arg("saved"), nb::arg("recomputes"), nb::arg("threads"),
        nb::arg("models"), "Writes output and h_n, and what backward needs where `saved` is given.");
}

void bind_backward(nb::class_<LayerSizes>& sizes) {
    sizes.def(
        "backward",
        [](const LayerSizes& sizes, const BatchArgument& bounds, const VectorsArgument& input, Address h_0,
           const ResetArgument& reset, nb::handle parameters, const VectorsArgument& output,
           const SavedArgument& saved, bool recomputes, const VectorsArgument& d_output, Address d_h_n,
           const VectorsArgument& d_input, Address d_h_0, Address d_reset, nb::handle d_parameters, int threads,
           const Models& models) {
            const BackwardArguments arguments{
                .batch = bounds,
                .input = input,
                .h_0 = h_0,
                .reset = reset,
                .parameters = parameters,
                .output = output,
                .saved = saved,
                .recomputes = recomputes,
                .d_output = d_output,
                .d_h_n = d_h_n,
                .d_input = d_input,
                .d_h_0 = d_h_0,
                .d_reset = d_reset,
                .d_parameters = d_parameters,
                .threads = threads,
                .models = models,
            };
            with_type(sizes.type, [&]<class T>(Tag<T>) { backward<T>(sizes, arguments); });
        },
        nb::arg("bounds"), nb::arg("input"), nb::arg("h_0"), nb::arg("reset"), nb::arg("parameters"),
        nb::arg("output"), nb::arg("saved"), nb::arg("recomputes"), nb::arg("d_output"), nb::arg("d_h_n"),
        nb::arg("d_input"), nb::arg("d_h_0"), nb::arg("d_reset"), nb::arg("d_parameters"), nb::arg("threads"),
        nb::arg("models"), "Writes the gradients whose address is not 0.");
}

}  // namespace

void bind_address_calls(nb::module_& m, nb::class_<LayerSizes>& sizes) {
    bind_models(m);
    sizes.def("saved_values", count_saved_values, nb::arg("slots"), nb::arg("total"), nb::arg("recomputes"),
              "How many values a training forward leaves for the backward pass: of `total` vectors that are "
              "computed, in `slots` of memory.");
    bind_forward(sizes);
    bind_backward(sizes);
}

}  // namespace fastgru::python
