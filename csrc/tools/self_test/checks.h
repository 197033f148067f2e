// Checks of what stands around the kernels; each says what is wrong and answers false. They are part of
// `self_test`.
#pragma once

namespace fastgru {

// Children that are forked while other threads use the pool of scratch memory can use it too.
bool check_pool_in_children();
// What calls learn from the calls before them: whether threads are awake, and whether the machine is crowded.
bool check_team();
// How many threads are taken where there are many.
bool check_plan();
// Second derivatives, at every level: tangents.cpp.
bool check_tangents();

}  // namespace fastgru
