// Problems of float32 and float64 against the equations, at every level and on any threads.
#include <math.h>
#include <stdio.h>

#include "tools/self_test/by_the_book.h"
#include "tools/self_test/by_the_core.h"
#include "tools/self_test/checks.h"

namespace fastgru {

namespace {

template <class T>
bool agrees(const Results<T>& got, const Results<double>& wanted) {
    for (size_t i = 0; i < got.size(); ++i) {
        double size = 1, difference = 0;
        for (size_t k = 0; k < got[i].size(); ++k) {
            size = fmax(size, fabs(wanted[i][k]));
            const double distance = fabs(double(got[i][k]) - wanted[i][k]);
            if (!(distance <= difference)) difference = distance;  // NaN counts
        }
        if (!(difference <= size * (sizeof(T) == 4 ? 2e-5 : 1e-12))) {
            printf("result %zu differs by %g of %g\n", i, difference, size);
            return false;
        }
    }
    return true;
}

template <class T>
bool check_at(const KernelTable& table, const Problem<T>& p, const Results<double>& wanted) {
    const Results<T> alone = by_the_core(p, table, 1, false);
    bool is_right = agrees(alone, wanted);
    for (const int threads : {2, 3 + int(generator() % 5)})
        for (const Partition partition :
             {Partition::best, Partition::rows, Partition::columns, Partition::ahead, Partition::layers})
            is_right &= by_the_core(p, table, threads, threads == 2, partition) == alone;
    if (!is_right)
        printf("wrong at %s: I %td H %td L %td D %td T %td B %td packed %d lengths %d resets %d after %d\n",
               table.name, p.spec.input_size, p.spec.hidden_size, p.spec.num_layers, p.spec.num_directions,
               p.batch.steps, p.batch.rows, !p.batch_sizes.empty(), !p.lengths.empty(), !p.marks.empty(),
               p.spec.reset_after);
    return is_right;
}

template <class T>
bool check_one() {
    Problem<T> p;
    fill(p);
    const Book<T> book(p);
    return at_every_level([&](const KernelTable& table) { return check_at(table, p, book.all()); });
}

}  // namespace

bool check_problem() { return check_one<float>() && check_one<double>(); }

}  // namespace fastgru
