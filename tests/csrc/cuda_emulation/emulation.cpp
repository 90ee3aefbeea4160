#include "emulation.h"

#include <ucontext.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda_runtime.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

uint64_t added_bytes = 0;

namespace {

constexpr int kWarp = 32;
constexpr size_t kStackBytes = 128 * 1024;

cudaError_t last_error = cudaSuccess;
std::mt19937_64 random_numbers;

struct Warp {
  uint64_t given[kWarp], taken[kWarp];
  int arrived = 0, place = 0;
  uint64_t rounds = 0;  // exchanges that are done
};

struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  bool ended;
  uint64_t waits_for;  // rounds of the warp
  uint64_t barriers;   // of the block that it waits for
};

struct Block {
  const std::function<void()>* thread;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  ucontext_t scheduler;
  size_t current;
  size_t arrived;     // at the barrier of the block
  uint64_t barriers;  // that are done
  bool failed;
};
Block block;

void give_way() { swapcontext(&block.fibers[block.current].context, &block.scheduler); }

void fail(const char* reason) {
  std::fprintf(stderr, "emulated kernel: %s (block %u %u %u, thread %zu)\n", reason, blockIdx.x,
               blockIdx.y, blockIdx.z, block.current);
  block.failed = true;
  give_way();
}

void start() {
  (*block.thread)();
  block.fibers[block.current].ended = true;
  give_way();
}

// Numbers below `count` in an order drawn at random.
std::vector<size_t> drawn_order(size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random_numbers);
  return order;
}

bool can_go_on(size_t thread) {
  const Fiber& fiber = block.fibers[thread];
  return !fiber.ended && block.warps[thread / kWarp].rounds >= fiber.waits_for &&
         block.barriers >= fiber.barriers;
}

// Lets the lanes of a warp go on to where they wait next. False: none can.
bool step(size_t warp, const std::vector<size_t>& lanes) {
  bool goes_on = false;
  for (size_t lane : lanes) {
    const size_t thread = warp * kWarp + lane;
    if (!can_go_on(thread)) continue;
    goes_on = true;
    block.current = thread;
    threadIdx = dim3(unsigned(thread), 0, 0);
    swapcontext(&block.scheduler, &block.fibers[thread].context);
    if (block.failed) break;
  }
  return goes_on;
}

void run_block(size_t threads) {
  block.fibers.resize(threads);
  block.warps.assign(threads / kWarp, Warp{});
  block.arrived = block.barriers = 0;
  for (Fiber& fiber : block.fibers) {
    fiber.ended = false;
    fiber.waits_for = fiber.barriers = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, start, 0);
  }
  const std::vector<size_t> warps = drawn_order(threads / kWarp), lanes = drawn_order(kWarp);
  for (bool goes_on = true; goes_on;) {
    goes_on = false;
    for (size_t warp : warps) {
      // Some warps are far ahead of others, as far as the barriers of the block allow it.
      const bool hurries = random_numbers() % 2;
      while (!block.failed && step(warp, lanes)) {
        goes_on = true;
        if (!hurries) break;
      }
    }
    if (block.failed) return;
  }
  for (const Fiber& fiber : block.fibers) {
    if (fiber.ended) continue;
    std::fprintf(stderr, "emulated kernel: a thread waits for one that has ended\n");
    block.failed = true;
    return;
  }
}

}  // namespace

void seed(uint64_t number) { random_numbers.seed(number); }

uint64_t exchange(int place, uint64_t given, int source, int width) {
  const size_t self = block.current;
  Warp& warp = block.warps[self / kWarp];
  const int lane = int(self % kWarp);
  if (warp.arrived == 0) warp.place = place;
  if (warp.place != place) fail("the lanes of a warp meet at different places");
  warp.given[lane] = given;
  if (++warp.arrived == kWarp) {
    std::memcpy(warp.taken, warp.given, sizeof warp.taken);
    warp.arrived = 0;
    ++warp.rounds;
  } else {
    block.fibers[self].waits_for = warp.rounds + 1;
    give_way();
  }
  return warp.taken[lane / width * width + source % width];
}

void wait_for_block() {
  if (++block.arrived == block.fibers.size()) {
    block.arrived = 0;
    ++block.barriers;
  } else {
    block.fibers[block.current].barriers = block.barriers + 1;
    give_way();
  }
}

void run(const dim3& grid, const dim3& block_size, const std::function<void()>& thread) {
  const bool valid = block_size.x % kWarp == 0 && block_size.x <= 1024 && block_size.y == 1 &&
                     block_size.z == 1 && grid.x > 0 && grid.y > 0 && grid.z > 0 &&
                     grid.y < 65536 && grid.z < 65536;
  if (!valid) last_error = cudaErrorInvalidConfiguration;
  if (last_error != cudaSuccess) return;
  gridDim = grid;
  blockDim = block_size;
  block.thread = &thread;
  block.failed = false;
  for (size_t i : drawn_order(size_t(grid.x) * grid.y * grid.z)) {
    blockIdx =
        dim3(unsigned(i % grid.x), unsigned(i / grid.x % grid.y), unsigned(i / grid.x / grid.y));
    run_block(block_size.x);
    if (!block.failed) continue;
    last_error = cudaErrorLaunchFailure;
    return;
  }
}

}  // namespace emulation

cudaError_t cudaGetLastError() {
  const cudaError_t error = emulation::last_error;
  emulation::last_error = cudaSuccess;
  return error;
}

cudaError_t cudaMemsetAsync(void* memory, int value, size_t bytes, cudaStream_t) {
  if (memory == nullptr) return emulation::last_error = cudaErrorInvalidValue;
  std::memset(memory, value, bytes);
  return cudaSuccess;
}
