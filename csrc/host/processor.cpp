#include "host/processor.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

namespace fastgru {

namespace {

struct Registers {
    unsigned a = 0, b = 0, c = 0, d = 0;
};

// All zero where the processor knows no such leaf.
Registers cpuid(unsigned leaf, unsigned part = 0) {
    Registers r;
    if (!__get_cpuid_count(leaf, part, &r.a, &r.b, &r.c, &r.d)) return {};
    return r;
}

bool has_bit(unsigned word, int bit) { return (word >> bit & 1) != 0; }

// Which registers the system saves when it changes threads, as bits; 0 where it saves none of AVX.
unsigned saved_registers(const Registers& one) {
    if (!has_bit(one.c, 27)) return 0;
    unsigned low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

}  // namespace

X86Features x86_features() {
    constexpr unsigned avx_registers = 0x06, avx512_registers = 0xE6;
    const Registers one = cpuid(1), seven = cpuid(7), seven_more = cpuid(7, 1);
    const unsigned saved = saved_registers(one);
    const bool has_fma = has_bit(one.c, 12), has_f16c = has_bit(one.c, 29);
    const bool has_ymm = (saved & avx_registers) == avx_registers && has_bit(one.c, 28);
    const bool has_zmm = (saved & avx512_registers) == avx512_registers;
    X86Features found{};
    found.avx2 = has_ymm && has_bit(seven.b, 5) && has_fma && has_f16c;
    const bool has_parts =
        has_bit(seven.b, 16) && has_bit(seven.b, 17) && has_bit(seven.b, 30) && has_bit(seven.b, 31);
    found.avx512 = has_zmm && has_parts && has_fma;
    found.avx_vnni = found.avx2 && has_bit(seven_more.a, 4);
    found.avx512_vnni = found.avx512 && has_bit(seven.c, 11);
    return found;
}

}  // namespace fastgru

#endif
