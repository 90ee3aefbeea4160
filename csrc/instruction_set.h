// Kernels compiled for several instruction sets in one binary, and the selection among them.
//
// GCC compiles a function, with everything inlined into it, for what its `target` attribute names.
// With other compilers the instruction set is the one given on the command line.
#pragma once

#include <cstdlib>
#include <cstring>

namespace hdetr {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define HDETR_AVX2 __attribute__((target("avx2,fma")))
#define HDETR_AVX512 __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")))
#else
#define HDETR_AVX2
#define HDETR_AVX512
#endif

inline InstructionSet processor_instruction_set() {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  if (avx2) return avx512 ? InstructionSet::kAvx512 : InstructionSet::kAvx2;
#elif defined(__AVX512F__)
  return InstructionSet::kAvx512;
#elif defined(__AVX2__)
  return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

// The widest one that the processor supports. PyTorch's environment variable can select a narrower
// one.
inline InstructionSet chosen_instruction_set() {
  static const InstructionSet chosen = [] {
    const InstructionSet widest = processor_instruction_set();
    const char* const wish = std::getenv("ATEN_CPU_CAPABILITY");
    if (wish == nullptr || widest == InstructionSet::kBaseline) return widest;
    if (std::strcmp(wish, "default") == 0) return InstructionSet::kBaseline;
    return std::strcmp(wish, "avx2") == 0 ? InstructionSet::kAvx2 : widest;
  }();
  return chosen;
}

// Calls the version for the selected instruction set.
template <class Choice>
Choice choose(Choice baseline, Choice avx2, Choice avx512) {
  switch (chosen_instruction_set()) {
    case InstructionSet::kAvx512:
      return avx512;
    case InstructionSet::kAvx2:
      return avx2;
    default:
      return baseline;
  }
}

}  // namespace hdetr
