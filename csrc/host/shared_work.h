// Work for several threads at once.
#pragma once

namespace fastgru {

// Called once in each thread that takes part, with its number and how many there are. Must not throw.
struct SharedWork {
    void (*run)(const void* context, int thread, int threads);
    const void* context;
};

}  // namespace fastgru
