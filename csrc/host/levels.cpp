// Which instruction-set levels this build has, which of them this machine has, and which one runs.
#include <string.h>

#include "fastgru.h"
#include "host/platform.h"
#include "host/processor.h"

namespace fastgru {

namespace {

#if defined(__x86_64__) || defined(__i386__)
const X86Features features = x86_features();
#elif defined(__aarch64__)
const bool has_dot = has_dot_products();
#endif

// CMakeLists.txt says which this build has.
Level kLevels[] = {
#ifdef FASTGRU_HAS_avx512
    {&avx512::table, features.avx512},
#endif
#ifdef FASTGRU_HAS_avx2
    {&avx2::table, features.avx2},
#endif
#ifdef FASTGRU_HAS_neon
    {&neon::table, true},
#endif
#ifdef FASTGRU_HAS_baseline
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

}  // namespace

// Their results have the same bits at avx2 and above, so that a machine without the instruction for four products,
// or without it for wide vectors, takes others.
const Int8Kernels& int8_kernels([[maybe_unused]] const KernelTable& table) {
#if defined(__x86_64__) || defined(__i386__)
#ifdef FASTGRU_HAS_baseline
    if (&table == &baseline::table) return baseline::int8_table;
#endif
#ifdef FASTGRU_HAS_avx512
    if (&table == &avx512::table && features.avx512_vnni) return avx512vnni::int8_table;
#endif
    return features.avx_vnni ? avxvnni::int8_table : avx2::int8_table;
#elif defined(__aarch64__)
    return has_dot ? neondot::int8_table : neon::int8_table;
#else
    return baseline::int8_table;
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
