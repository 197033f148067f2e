// Operations on each vector, or each value, by itself: threads share the rows.
#include "fastgru_rows.h"
#include "host/row_plan.h"

namespace fastgru {

namespace {

// visit(begin, end) for the rows of each thread.
template <class Call, class Visit>
void for_rows(const Call& call, const Visit& visit) {
    const int threads = threads_for_rows(call_microseconds(call), call.threads, call.is_awake);
    on_threads(threads, [&](int thread, int count) {
        const Share rows(call.rows, thread, count);
        visit(ptrdiff_t(rows.begin), ptrdiff_t(rows.end));
    });
}

template <class T>
double values_microseconds(ptrdiff_t rows, ptrdiff_t width, double per_microsecond) {
    return double(rows) * double(width) * double(sizeof(T)) / sizeof(float) / per_microsecond;
}

bool is_of_lines(Function function) {
    switch (function) {
        case Function::none:
        case Function::relu:
        case Function::leaky_relu:
        case Function::hard_sigmoid:
        case Function::clip:
        case Function::hard_swish:
        case Function::abs:
        case Function::negate:
            return true;
        default:
            return false;
    }
}

template <class T>
Operand<T> at_row(const Operand<T>& operand, ptrdiff_t row) {
    return {.data = operand.data + row * operand.stride, .stride = operand.stride, .is_value = operand.is_value};
}

}  // namespace

template <class T>
double call_microseconds(const Activate<T>& call) {
    return values_microseconds<T>(
        call.rows, call.width,
        is_of_lines(call.activation.function) ? kLinesPerMicrosecond : kCurvesPerMicrosecond);
}
template <class T>
double call_microseconds(const Combine<T>& call) {
    return values_microseconds<T>(call.rows, call.width, kLinesPerMicrosecond);
}
template <class T>
double call_microseconds(const Softmax<T>& call) {
    return values_microseconds<T>(call.rows, call.width, kCurvesPerMicrosecond);
}
template <class T>
double call_microseconds(const LayerNorm<T>& call) {
    return values_microseconds<T>(call.rows, call.width, kLinesPerMicrosecond / 3);
}

template <class T>
void run(const KernelTable& table, const Activate<T>& call) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    const bool is_dense = call.input.stride == call.width && call.output.stride == call.width;
    for_rows(call, [&](ptrdiff_t begin, ptrdiff_t end) {
        if (is_dense)
            return kernels.activate(call.activation, call.input.row(begin), call.output.row(begin),
                                    (end - begin) * call.width);
        for (ptrdiff_t i = begin; i < end; ++i)
            kernels.activate(call.activation, call.input.row(i), call.output.row(i), call.width);
    });
}

template <class T>
void run(const KernelTable& table, const Combine<T>& call) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    for_rows(call, [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t i = begin; i < end; ++i)
            kernels.combine(call.operation, at_row(call.left, i), at_row(call.right, i), call.output.row(i),
                            call.width);
    });
}

template <class T>
void run(const KernelTable& table, const Softmax<T>& call) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    const auto of_row = call.is_log ? kernels.log_softmax : kernels.softmax;
    for_rows(call, [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t i = begin; i < end && call.width > 0; ++i)
            of_row(call.input.row(i), call.output.row(i), call.width);
    });
}

template <class T>
void run(const KernelTable& table, const LayerNorm<T>& call) {
    const RowKernels<T>& kernels = row_kernels<T>(table);
    for_rows(call, [&](ptrdiff_t begin, ptrdiff_t end) {
        kernels.normalize({.rows = call.rows,
                           .width = call.width,
                           .input = call.input.data,
                           .input_stride = call.input.stride,
                           .weight = call.weight,
                           .bias = call.bias,
                           .eps = call.eps,
                           .output = call.output.data,
                           .output_stride = call.output.stride,
                           .mean = call.mean,
                           .scale = call.scale},
                          begin, end);
    });
}

#define FASTGRU_ROW_WISE(Call)                      \
    template double call_microseconds(const Call&); \
    template void run(const KernelTable&, const Call&);
FASTGRU_ROW_WISE(Activate<float>)
FASTGRU_ROW_WISE(Activate<double>)
FASTGRU_ROW_WISE(Combine<float>)
FASTGRU_ROW_WISE(Combine<double>)
FASTGRU_ROW_WISE(Softmax<float>)
FASTGRU_ROW_WISE(Softmax<double>)
FASTGRU_ROW_WISE(LayerNorm<float>)
FASTGRU_ROW_WISE(LayerNorm<double>)

}  // namespace fastgru
