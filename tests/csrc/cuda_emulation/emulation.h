// Runs a kernel on the CPU: every thread of a block is a fiber, and the order in which they go on
// is drawn at random. What a GPU would not survive fails here: lanes of a warp that wait for one
// another at different places, or threads that wait for one that has ended.
#pragma once

#include <cstdint>
#include <functional>

#include "cuda_runtime_api.h"

namespace emulation {

// The order of blocks and threads in the launches from now on.
void seed(uint64_t number);

void run(const dim3& grid, const dim3& block, const std::function<void()>& thread);

// Waits for the other lanes of the warp, and returns what lane `source` of `width` neighbours gave.
// `place` is the same for lanes that do the same.
inline constexpr int kBarrier = 1000;  // a place where nothing is exchanged
uint64_t exchange(int place, uint64_t given, int source, int width);

// What atomic additions have written to device memory.
extern uint64_t added_bytes;

// Waits for all threads of the block.
void wait_for_block();

}  // namespace emulation
