// The loop over the steps of a forward run, whatever its weights are stored as.
#pragma once

#include "kernels/simd.h"
#include "shared/integer_math.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// Calls step(projected, saved, rows, is_downward) for each step of the run in which rows of it are alive: where
// their projections and their saved values begin, with run.previous and run.next set. Every second step goes
// downwards. The threads that share the rows wait for each other after each step.
template <class T, class S, class Step>
FASTGRU_INLINE void for_each_step(const ForwardSteps<T, S>& run, const Step& step) {
    const Steps& steps = *run.steps;
    const T* projected = run.projected;
    for (ptrdiff_t s = run.step_begin; s < run.step_end; ++s) {
        const ptrdiff_t t = run.is_reverse ? steps.count - 1 - s : s;
        const ptrdiff_t rows = min(steps.active(t), run.row_end) - run.row_begin;
        if (rows > 0) {
            for (ptrdiff_t i = 0; i < rows; ++i) {
                run.previous[i] = state_before<T>(run, t, run.row_begin + i);
                run.next[i] = run.output.at(steps, t, run.row_begin + i);
            }
            const ptrdiff_t flat = steps.first_row[t] + run.row_begin;
            T* saved = run.saved == nullptr ? nullptr : run.saved + flat * 4 * run.hidden_size;
            step(projected, saved, rows, s % 2 != 0);
            projected += rows * 3 * kLanes<T>;
        }
        run.barrier->wait(run.threads);
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
