// Calls on vectors of 16 bits: widened, run as calls on float, and results rounded. Parameters stay as they are in
// the forward pass, whose kernels widen them while they load.
#include "shared/element_types.h"

#include "fastgru.h"
#include "host/threads.h"
#include "host/workspace.h"

namespace fastgru {

namespace {

// Values from which on threads share the work of converting them, and how many each of them gets at least.
constexpr ptrdiff_t kSharedValues = 1 << 16, kOwnValues = kSharedValues / 2;

// What vectors are converted with, and the memory that results go to.
template <class S>
struct Converter {
    const HalfKernels<S>& kernels;
    const Batch& batch;
    int threads;
    Arena& arena;  // without memory, nothing is converted

    template <class Convert>
    void in_shares(ptrdiff_t values, ptrdiff_t items, const Convert& convert) const {
        const int most = values < threads * kOwnValues ? int(values / kOwnValues) : threads;
        on_threads(values < kSharedValues ? 1 : most, [&](int thread, int count) {
            const Share share(items, thread, count);
            convert(share.begin, share.end);
        });
    }

    // For results that will be narrowed; null where they are not wanted.
    float* room(const S* result, ptrdiff_t count) const {
        return result == nullptr ? nullptr : arena.template take<float>(count);
    }
};

// `count` values side by side, or null.
template <class S>
const float* widen(const Converter<S>& by, const S* values, ptrdiff_t count) {
    float* to = by.room(values, count);
    if (to != nullptr)
        by.in_shares(count, count, [&](ptrdiff_t begin, ptrdiff_t end) {
            by.kernels.widen(values + begin, to + begin, end - begin);
        });
    return to;
}

template <class S>
void narrow(const Converter<S>& by, const float* values, S* to, ptrdiff_t count) {
    if (to != nullptr && values != nullptr)
        by.in_shares(count, count, [&](ptrdiff_t begin, ptrdiff_t end) {
            by.kernels.narrow(values + begin, to + begin, end - begin);
        });
}

// The vectors of a sequence without gaps, those past the ends of sequences left out.
template <class S>
Sequence<const float> widen_sequence(const Converter<S>& by, const Sequence<const S>& from, ptrdiff_t width) {
    const Batch& batch = by.batch;
    if (from.data == nullptr) return {};
    float* to = by.arena.template take<float>(batch.slots() * width);
    const Sequence<const float> wide{
        .data = to,
        .row_stride = width,
        .step_stride = from.is_flat ? 0 : batch.rows * width,
        .is_flat = from.is_flat,
    };
    if (to == nullptr) return wide;
    by.in_shares(batch.slots() * width, batch.slots(), [&](ptrdiff_t begin, ptrdiff_t end) {
        for (ptrdiff_t i = begin; i < end; ++i) {
            const ptrdiff_t t = i / batch.rows, b = i % batch.rows;
            if (batch.lengths != nullptr && t >= batch.lengths[b]) continue;
            const ptrdiff_t at = from.is_flat ? i * from.row_stride : t * from.step_stride + b * from.row_stride;
            by.kernels.widen(from.data + at, to + i * width, width);
        }
    });
    return wide;
}

template <class S>
Resets<float> widen_resets(const Converter<S>& by, const Resets<S>& from, const Spec& spec) {
    const ptrdiff_t rows = from.state_stride == 0 ? 1 : by.batch.rows;
    return {
        .marks = from.marks,
        .step_stride = from.step_stride,
        .row_stride = from.row_stride,
        .state = widen(by, from.state, spec.cells() * rows * spec.hidden_size),
        .state_stride = from.state_stride,
    };
}

// The parameters of all cells as floats, and room for their gradients.
template <class S>
class WideCells {
  public:
    WideCells(const Converter<S>& by, const Backward<S>& half)
        : by_(by),
          half_(half),
          cells_(by.arena.template take<Cell<float>>(half.spec.cells())),
          gradients_(by.arena.template take<CellGradients<float>>(half.spec.cells())) {
        for (ptrdiff_t i = 0; i < half.spec.cells(); ++i) widen_cell(i);
    }

    const Cell<float>* cells() const { return cells_; }
    const CellGradients<float>* gradients() const { return gradients_; }

    void narrow_gradients() const {
        for (ptrdiff_t i = 0; i < half_.spec.cells(); ++i) {
            const Sizes sizes = sizes_of(i);
            const CellGradients<float>& from = gradients_[i];
            const CellGradients<S>& to = half_.d_cells[i];
            narrow(by_, from.weight_ih, to.weight_ih, sizes.ih);
            narrow(by_, from.weight_hh, to.weight_hh, sizes.hh);
            narrow(by_, from.bias_ih, to.bias_ih, sizes.bias);
            narrow(by_, from.bias_hh, to.bias_hh, sizes.bias);
        }
    }

  private:
    struct Sizes {
        ptrdiff_t ih, hh, bias;
    };

    const Converter<S>& by_;
    const Backward<S>& half_;
    Cell<float>* cells_;
    CellGradients<float>* gradients_;

    Sizes sizes_of(ptrdiff_t cell) const;
    void widen_cell(ptrdiff_t cell);
};

template <class S>
typename WideCells<S>::Sizes WideCells<S>::sizes_of(ptrdiff_t cell) const {
    const ptrdiff_t rows = 3 * half_.spec.hidden_size;
    return {
        .ih = rows * half_.spec.width(cell / half_.spec.num_directions),
        .hh = rows * half_.spec.hidden_size,
        .bias = rows,
    };
}

template <class S>
void WideCells<S>::widen_cell(ptrdiff_t cell) {
    const Cell<S>& from = half_.cells[cell];
    const CellGradients<S>& to = half_.d_cells[cell];
    const Sizes sizes = sizes_of(cell);
    const Cell<float> wide{
        .weight_ih = widen(by_, from.weight_ih, sizes.ih),
        .weight_hh = widen(by_, from.weight_hh, sizes.hh),
        .bias_ih = widen(by_, from.bias_ih, sizes.bias),
        .bias_hh = widen(by_, from.bias_hh, sizes.bias),
    };
    const CellGradients<float> gradients{
        .weight_ih = by_.room(to.weight_ih, sizes.ih),
        .weight_hh = by_.room(to.weight_hh, sizes.hh),
        .bias_ih = by_.room(to.bias_ih, sizes.bias),
        .bias_hh = by_.room(to.bias_hh, sizes.bias),
    };
    if (cells_ == nullptr) return;
    cells_[cell] = wide;
    gradients_[cell] = gradients;
}

// Without gaps, as the caller's output.
ptrdiff_t output_values(const Spec& spec, const Batch& batch) {
    return batch.slots() * spec.num_directions * spec.hidden_size;
}

// The output before rounding stands behind what else the backward pass needs. Call is Forward or Backward.
template <class Call>
auto saved_output_of(const Call& half) {
    return half.saved + saved_values<float>(half.spec, half.batch, half.recomputes);
}

// A call on float in place of one on S, and the way back for its results.
template <class S>
class WideForward {
  public:
    Forward<float, S> call{};

    WideForward(const KernelTable& table, const Forward<S>& half, Arena& arena)
        : half_(half),
          convert_{.kernels = kernels_of<S>(table), .batch = half.batch, .threads = half.threads, .arena = arena},
          states_(half.spec.cells() * half.batch.rows * half.spec.hidden_size),
          outputs_(output_values(half.spec, half.batch)) {
        call.spec = half.spec;
        call.batch = half.batch;
        call.input = widen_sequence(convert_, half.input, half.spec.input_size);
        call.h_0 = widen(convert_, half.h_0, states_);
        call.resets = widen_resets(convert_, half.resets, half.spec);
        call.cells = half.cells;
        float* output = half.saved == nullptr ? arena.take<float>(outputs_) : saved_output_of(half);
        call.output = half.output.with(output);
        call.h_n = arena.take<float>(states_);
        call.saved = half.saved;
        call.recomputes = half.recomputes;
        call.threads = half.threads;
        call.is_awake = half.is_awake;
        call.packed = half.packed;
        call.partition = half.partition;
    }

    void finish() const {
        narrow(convert_, call.output.data, half_.output.data, outputs_);
        narrow(convert_, call.h_n, half_.h_n, states_);
    }

  private:
    const Forward<S>& half_;
    Converter<S> convert_;
    ptrdiff_t states_, outputs_;
};

template <class S>
class WideBackward {
  public:
    Backward<float> call{};

    WideBackward(const KernelTable& table, const Backward<S>& half, Arena& arena);
    WideBackward(const WideBackward&) = delete;  // its parts refer to each other

    void finish() const {
        narrow(convert_, call.d_input.data, half_.d_input.data, inputs_);
        narrow(convert_, call.d_h_0, half_.d_h_0, states_);
        narrow(convert_, call.d_reset, half_.d_reset, states_);
        cells_.narrow_gradients();
    }

  private:
    const Backward<S>& half_;
    Converter<S> convert_;
    ptrdiff_t states_, inputs_;
    WideCells<S> cells_;
};

template <class S>
WideBackward<S>::WideBackward(const KernelTable& table, const Backward<S>& half, Arena& arena)
    : half_(half),
      convert_{.kernels = kernels_of<S>(table), .batch = half.batch, .threads = half.threads, .arena = arena},
      states_(half.spec.cells() * half.batch.rows * half.spec.hidden_size),
      inputs_(half.batch.slots() * half.spec.input_size),
      cells_(convert_, half) {
    call.spec = half.spec;
    call.batch = half.batch;
    call.input = widen_sequence(convert_, half.input, half.spec.input_size);
    call.h_0 = widen(convert_, half.h_0, states_);
    call.resets = widen_resets(convert_, half.resets, half.spec);
    call.cells = cells_.cells();
    call.output = half.output.with(saved_output_of(half));
    call.saved = half.saved;
    call.recomputes = half.recomputes;
    call.d_output = widen_sequence(convert_, half.d_output, half.spec.num_directions * half.spec.hidden_size);
    call.d_h_n = widen(convert_, half.d_h_n, states_);
    call.d_input = half.d_input.with(convert_.room(half.d_input.data, inputs_));
    call.d_h_0 = convert_.room(half.d_h_0, states_);
    call.d_reset = convert_.room(half.d_reset, states_);
    call.d_cells = cells_.gradients();
    call.threads = half.threads;
    call.is_awake = half.is_awake;
    call.partition = half.partition;
}

// Call is Forward or Backward, Wide the one that stands in its place.
template <class Wide, class Call>
size_t bytes_of(const KernelTable& table, const Call& half) {
    Arena arena(nullptr);
    const Wide wide(table, half, arena);
    return arena.used() + workspace_bytes(table, wide.call);
}

template <class Wide, class Call>
void run_wide(const KernelTable& table, const Call& half, void* workspace) {
    Arena arena(workspace);
    const Wide wide(table, half, arena);
    run(table, wide.call, static_cast<char*>(workspace) + arena.used());
    wide.finish();
}

}  // namespace

template <Half S>
size_t workspace_bytes(const KernelTable& table, const Forward<S>& call) {
    return bytes_of<WideForward<S>>(table, call);
}
template <Half S>
size_t workspace_bytes(const KernelTable& table, const Backward<S>& call) {
    return bytes_of<WideBackward<S>>(table, call);
}

template <Half S>
void run(const KernelTable& table, const Forward<S>& call, void* workspace) {
    run_wide<WideForward<S>>(table, call, workspace);
}
template <Half S>
void run(const KernelTable& table, const Backward<S>& call, void* workspace) {
    run_wide<WideBackward<S>>(table, call, workspace);
}

#define FASTGRU_HALF(S)                                                      \
    template size_t workspace_bytes(const KernelTable&, const Forward<S>&);  \
    template size_t workspace_bytes(const KernelTable&, const Backward<S>&); \
    template void run(const KernelTable&, const Forward<S>&, void*);         \
    template void run(const KernelTable&, const Backward<S>&, void*);
FASTGRU_HALF(BFloat16)
FASTGRU_HALF(Float16)

}  // namespace fastgru
