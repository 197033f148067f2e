// Which instruction-set levels this build has, which of them this machine has, and which one runs.
#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "fastgru.h"
#include "shared/row_kernels.h"

namespace fastgru {

namespace {

#if defined(__x86_64__) || defined(__i386__)
// A bit of what the processor tells of itself, for features that older compilers have no name for. Both are of use
// beside avx2 alone, for which the system's support was asked.
bool has_f16c() {
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 29)) != 0;
}
bool has_avx_vnni() {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4)) != 0;
}
#endif

Level kLevels[] = {
#if defined(__x86_64__) || defined(__i386__)
    {&avx512::table, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                         __builtin_cpu_supports("fma")},
    {&avx2::table, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c()},
    {&baseline::table, true},
#elif defined(__aarch64__)
    {&neon::table, true},
#else
    {&baseline::table, true},
#endif
};
constexpr int kLevelCount = int(sizeof kLevels / sizeof kLevels[0]);

const KernelTable* best() {
    for (const Level& level : kLevels)
        if (level.is_available) return level.table;
    return kLevels[kLevelCount - 1].table;
}

const KernelTable* active = best();

#if defined(__x86_64__) || defined(__i386__)
const bool has_wide_vnni = __builtin_cpu_supports("avx512vnni");
const bool has_vnni = __builtin_cpu_supports("avx2") && has_avx_vnni();
#elif defined(__aarch64__) && defined(__linux__)
const bool has_dot = getauxval(AT_HWCAP) & (1 << 20);  // HWCAP_ASIMDDP
#elif defined(__aarch64__) && defined(__APPLE__)
const bool has_dot = true;
#elif defined(__aarch64__)
const bool has_dot = false;  // there is nobody to ask
#endif

}  // namespace

// Their results have the same bits at avx2 and above, so that a machine without the instruction for four products,
// or without it for wide vectors, takes others.
const Int8Kernels& int8_kernels([[maybe_unused]] const KernelTable& table) {
#if defined(__x86_64__) || defined(__i386__)
    if (&table == &baseline::table) return baseline::int8_table;
    if (&table == &avx512::table && has_wide_vnni) return avx512vnni::int8_table;
    return has_vnni ? avxvnni::int8_table : avx2::int8_table;
#elif defined(__aarch64__)
    return has_dot ? neondot::int8_table : neon::int8_table;
#else
    return baseline::int8_table;
#endif
}

const RowTable& row_table([[maybe_unused]] const KernelTable& table) {
#if defined(__x86_64__) || defined(__i386__)
    if (&table == &avx512::table) return avx512::row_table;
    return &table == &avx2::table ? avx2::row_table : baseline::row_table;
#elif defined(__aarch64__)
    return neon::row_table;
#else
    return baseline::row_table;
#endif
}

int levels(const Level** first) {
    *first = kLevels;
    return kLevelCount;
}

const KernelTable& active_table() { return *__atomic_load_n(&active, __ATOMIC_RELAXED); }

bool set_active_level(const char* name) {
    for (const Level& level : kLevels) {
        if (level.is_available && strcmp(level.table->name, name) == 0) {
            __atomic_store_n(&active, level.table, __ATOMIC_RELAXED);
            return true;
        }
    }
    return false;
}

}  // namespace fastgru
