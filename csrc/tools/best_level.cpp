// Prints the best instruction-set level of this machine, for a build of that one alone (CMakeLists.txt).
#include <stdio.h>

#include "host/processor.cpp"

int main() {
    const fastgru::X86Features found = fastgru::x86_features();
    fputs(found.avx512 ? "avx512" : found.avx2 ? "avx2" : "baseline", stdout);
    return 0;
}
