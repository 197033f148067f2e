// The GRU's equations on one vector of hidden units, forward and backward: the twin of
// `step` in src/fastgru/reference.py, with the same names in the same order.
#pragma once

#include "kernels/activations.h"

namespace fastgru::FASTGRU_LEVEL {

// What the forward step leaves for the backward one.
template <class T>
struct Gates {
    Vec<T> r, z, n, c_n;
};

// r = sigmoid(a_r + c_r)   z = sigmoid(a_z + c_z)   n = tanh(a_n + r * c_n)   h' = n + z * (h - n)
// The sums a_r + c_r and a_z + c_z come as one.
template <class T>
FASTGRU_INLINE Vec<T> new_gate(Vec<T> a_n, const Gates<T>& gates) {
    return tanh<T>(fma(gates.r, gates.c_n, a_n));
}
template <class T>
FASTGRU_INLINE Vec<T> next_state(const Gates<T>& gates, Vec<T> h) {
    return fma(gates.z, h - gates.n, gates.n);
}

// All of them at once.
template <class T>
FASTGRU_INLINE Vec<T> forward_cell(Vec<T> ac_r, Vec<T> ac_z, Vec<T> a_n, Vec<T> c_n, Vec<T> h, Gates<T>& gates) {
    gates.r = sigmoid<T>(ac_r);
    gates.z = sigmoid<T>(ac_z);
    gates.c_n = c_n;
    gates.n = new_gate<T>(a_n, gates);
    return next_state<T>(gates, h);
}

// With the reset before the product, n = tanh(a_n + c_n), where c_n is the product with r * h: its sum comes as
// one.
template <class T>
FASTGRU_INLINE Vec<T> forward_new_cell(Vec<T> ac_n, Vec<T> h, Gates<T>& gates) {
    gates.n = tanh<T>(ac_n);
    return next_state<T>(gates, h);
}

// Gradients of the sums inside the activations.
template <class T>
struct GateGradients {
    Vec<T> r, z, n, rn;  // rn: of c_n, that is r * n's
};

// d_n = g (1-z)(1-n^2)   d_z = g (h-n) z (1-z)   d_r = d_n c_n r (1-r), for the gradient g of h'.
template <class T>
FASTGRU_INLINE GateGradients<T> backward_cell(const Gates<T>& gates, Vec<T> h, Vec<T> g) {
    const Vec<T> one = broadcast(T(1));
    GateGradients<T> d;
    d.n = g * (one - gates.z) * fma(-gates.n, gates.n, one);
    d.z = g * (h - gates.n) * gates.z * (one - gates.z);
    d.r = d.n * gates.c_n * gates.r * (one - gates.r);
    d.rn = d.n * gates.r;
    return d;
}

// With the reset before the product, d_n and d_z are the same, and d_r = p h r (1-r) for the gradient p of r * h.
template <class T>
FASTGRU_INLINE Vec<T> backward_reset(Vec<T> r, Vec<T> h, Vec<T> p) {
    return p * h * r * (broadcast(T(1)) - r);
}

}  // namespace fastgru::FASTGRU_LEVEL
