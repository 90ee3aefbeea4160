// The launcher of csrc/batched_assignment_cuda.h, to be called from Python on memory of the CPU.
#include <vector>

#include "batched_assignment_cuda.h"
#include "emulation.h"

using namespace hdetr::cuda;

namespace {

std::vector<AssignmentEntry> copied(const AssignmentEntry* entries, int64_t count) {
  return std::vector<AssignmentEntry>(entries, entries + count);
}

}  // namespace

extern "C" int64_t workspace_bytes(const AssignmentEntry* entries, int64_t count) {
  return assignment_workspace_bytes(copied(entries, count));
}

extern "C" int solve(const AssignmentEntry* entries, int64_t count, const int64_t* num_targets,
                     int64_t images, void* workspace, uint64_t seed) {
  emulation::seed(seed);
  return launch_batched_assignment(copied(entries, count), num_targets, images, workspace, nullptr);
}
