// Which instructions of x86 this processor has and the system saves the registers of.
//
// Asked from the processor itself: compilers' own `__builtin_cpu_supports` needs a library that not every tool
// chain brings, and older ones have no name for some of these.
#pragma once

namespace fastgru {

struct X86Features {
    bool avx2;         // with fused multiply-adds and conversions of float16
    bool avx512;       // F, DQ, BW and VL, with fused multiply-adds
    bool avx_vnni;     // products of four bytes: of vectors of 32 bytes,
    bool avx512_vnni;  // and of 64
};

X86Features x86_features();

}  // namespace fastgru
