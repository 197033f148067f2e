// The checks of the self-test; each says what is wrong and answers false.
#pragma once

#include "fastgru.h"

namespace fastgru {

// An emulator takes tens of times as long for a number, and cannot fork beside threads: problems are small, and no
// child is forked.
inline bool is_emulated = false;

// A layer and a batch by chance, in float32 and in float64, against the equations: problems.cpp.
bool check_problem();
// Layers in 16 bits against float32, and all numbers of 16 bits: halves.cpp.
bool check_halves();
bool check_rounding();
// Layers of float32 with weights in fewer bytes: stored.cpp.
bool check_stored();
// Several threads of the caller's, each with its own calls on the shared pool of scratch memory: callers.cpp.
bool check_concurrent_calls();
// A child process, in which the parent's threads do not exist; and children that are forked while other threads use
// the pool of scratch memory, and can use it too: forks.cpp.
bool check_fork();
bool check_pool_in_children();
// What calls learn from the calls before them: whether threads are awake, and whether the machine is crowded.
bool check_team();
// What calls that run at the same time get of the cores.
bool check_callers();
// How many threads are taken where there are many.
bool check_plan();
// Linear layers, functions, softmax and so on against the book, and for equal bits: rows.cpp.
bool check_rows();
// Second derivatives, at every level: tangents.cpp.
bool check_tangents();

// Whether check(table) is true at every level that this machine has.
template <class Check>
bool at_every_level(const Check& check) {
    const Level* level;
    for (int left = levels(&level); left > 0; --left, ++level)
        if (level->is_available && !check(*level->table)) return false;
    return true;
}

}  // namespace fastgru
