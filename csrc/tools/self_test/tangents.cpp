// Second derivatives by themselves: what goes forward and what goes back belong together, and differences of
// gradients come to the tangents that were found.
#include <math.h>
#include <stdio.h>

#include <initializer_list>
#include <random>
#include <vector>

#include "fastgru.h"
#include "host/workspace.h"
#include "tools/self_test/checks.h"

namespace fastgru {

namespace {

using Values = std::vector<double>;

Values numbers(ptrdiff_t count, double size = 1) {
    static std::mt19937 random(1);
    std::normal_distribution<double> normal(0, size);
    Values values(size_t(count), 0.0);
    for (double& value : values) value = normal(random);
    return values;
}

double dot(const Values& a, const Values& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}

// What a layer is at one point; and a direction in which the point moves.
struct Point {
    Values weight, bias, a, start;

    Point towards(const Point& other, double step) const {
        Point moved = *this;
        const auto add = [&](Values& to, const Values& from) {
            for (size_t i = 0; i < to.size(); ++i) to[i] += step * from[i];
        };
        add(moved.weight, other.weight), add(moved.bias, other.bias);
        add(moved.a, other.a), add(moved.start, other.start);
        return moved;
    }
};

// Everything that one pass there and back gives.
struct Results {
    Values states, d_states, gates, g_a, d_g_a, g_c, d_g_c, d_g_start;
};

struct Problem {
    const KernelTable& table;
    ptrdiff_t T, B, H;
    std::vector<unsigned char> alive;  // [T][B], or empty
    Values g_states, d_g_states;       // [T][B][H]

    Point point(double size) const {
        return {
            .weight = numbers(3 * H * H, size / sqrt(double(H))),
            .bias = numbers(3 * H, size),
            .a = numbers(T * B * 3 * H, size),
            .start = numbers(B * H, size),
        };
    }
};

Results room_for(const Problem& problem) {
    const size_t every = size_t(problem.T * problem.B * problem.H);
    return {
        .states = Values(every),
        .d_states = Values(every),
        .gates = Values(8 * every),
        .g_a = Values(3 * every),
        .d_g_a = Values(3 * every),
        .g_c = Values(3 * every),
        .d_g_c = Values(3 * every),
        .d_g_start = Values(size_t(problem.B * problem.H)),
    };
}

Results run(const Problem& problem, const Point& at, const Point& d, int threads) {
    Results r = room_for(problem);
    TangentSteps<double> there{};
    there.steps = problem.T, there.rows = problem.B, there.hidden_size = problem.H;
    there.alive = problem.alive.empty() ? nullptr : problem.alive.data();
    there.weight = at.weight.data(), there.d_weight = d.weight.data();
    there.bias = at.bias.data(), there.d_bias = d.bias.data();
    there.a = at.a.data(), there.d_a = d.a.data();
    there.start = at.start.data(), there.d_start = d.start.data(), there.d_start_stride = problem.H;
    there.states = r.states.data(), there.d_states = r.d_states.data(), there.gates = r.gates.data();
    const Block forward_memory(workspace_bytes(problem.table, there));
    fastgru::run(problem.table, there, threads, forward_memory.data());
    TangentBackSteps<double> back{};
    back.there = &there, back.weight = there.weight, back.d_weight = there.d_weight;
    back.g_states = problem.g_states.data(), back.d_g_states = problem.d_g_states.data();
    back.g_a = r.g_a.data(), back.d_g_a = r.d_g_a.data();
    back.g_c = r.g_c.data(), back.d_g_c = r.d_g_c.data(), back.d_g_start = r.d_g_start.data();
    const Block backward_memory(workspace_bytes(problem.table, back));
    fastgru::run(problem.table, back, threads, backward_memory.data());
    return r;
}

bool is_close(const char* what, const Problem& problem, double found, double expected, double scale) {
    if (fabs(found - expected) <= 1e-5 * (1 + scale)) return true;
    printf("%s: %s, T %td B %td H %td: %g, not %g\n", problem.table.name, what, problem.T, problem.B, problem.H,
           found, expected);
    return false;
}

// <g, J u> = <J^T g, u>, where u moves the projected inputs alone.
bool check_adjoint(const Problem& problem, const Point& at) {
    const Point d{
        .weight = Values(at.weight.size()),
        .bias = Values(at.bias.size()),
        .a = numbers(ptrdiff_t(at.a.size())),
        .start = Values(at.start.size()),
    };
    const Results r = run(problem, at, d, 1);
    const double there = dot(problem.g_states, r.d_states), back = dot(r.g_a, d.a);
    return is_close("gradients against tangents", problem, back, there, fabs(there));
}

// Tangents against differences of what they are tangents of, along any direction v.
bool check_differences(const Problem& given, const Point& at, const Point& d) {
    constexpr double step = 1e-5;
    const Results r = run(given, at, d, 1);
    Problem before = given, after = given;
    for (size_t i = 0; i < given.g_states.size(); ++i) {
        before.g_states[i] -= step * given.d_g_states[i];
        after.g_states[i] += step * given.d_g_states[i];
    }
    const Results low = run(before, at.towards(d, -step), d, 1), high = run(after, at.towards(d, step), d, 1);
    const auto check = [&](const char* what, const Values& found, const Values& less, const Values& more) {
        const Values v = numbers(ptrdiff_t(found.size()));
        return is_close(what, given, dot(v, found), (dot(v, more) - dot(v, less)) / (2 * step),
                        sqrt(dot(found, found)));
    };
    return check("tangents of the states", r.d_states, low.states, high.states) &&
           check("tangents of the gradients of inputs", r.d_g_a, low.g_a, high.g_a) &&
           check("tangents of the gradients of products", r.d_g_c, low.g_c, high.g_c);
}

bool check_threads(const Problem& problem, const Point& at, const Point& d) {
    const Results one = run(problem, at, d, 1), two = run(problem, at, d, 2);
    if (one.states == two.states && one.d_states == two.d_states && one.d_g_a == two.d_g_a &&
        one.d_g_c == two.d_g_c && one.d_g_start == two.d_g_start)
        return true;
    return printf("%s: tangents have other bits on two threads\n", problem.table.name), false;
}

bool check_sizes(const KernelTable& table, ptrdiff_t T, ptrdiff_t B, ptrdiff_t H) {
    Problem problem{
        .table = table,
        .T = T,
        .B = B,
        .H = H,
        .alive = {},
        .g_states = numbers(T * B * H),
        .d_g_states = numbers(T * B * H),
    };
    if (B == 3)
        for (ptrdiff_t row = 0; row < T * B; ++row) problem.alive.push_back(row < 2 * T || row % B == 0);
    const Point at = problem.point(0.7), d = problem.point(0.7);
    return check_adjoint(problem, at) && check_differences(problem, at, d) && check_threads(problem, at, d);
}

}  // namespace

bool check_tangents() {
    return at_every_level([](const KernelTable& table) {
        for (const ptrdiff_t T : {1, 6})
            for (const ptrdiff_t B : {1, 3, 9})
                for (const ptrdiff_t H : {1, 7, 16, 37})
                    if (!check_sizes(table, T, B, H)) return false;
        return true;
    });
}

}  // namespace fastgru
