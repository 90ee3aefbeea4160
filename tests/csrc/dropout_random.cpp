// Dropout on random sizes and hostile numbers, to be compiled with sanitizers. The arguments are
// the first seed and the one after the last.
//
// Both arrays are exactly as large as the kernel may believe, so that one element too far is seen.
// Each case runs twice, in one piece and in random pieces, with other garbage in the results
// beforehand: the bits must be the same, or something was not written or depends on the pieces.
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "dropout_cpu.h"
#include "random_cases.h"

namespace {

using hdetr::Type;

struct Case {
  Type type;
  int64_t size;
  uint64_t seed;
  uint32_t dropped;
  std::vector<char> numbers;

  explicit Case(Random& random) {
    const Type types[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};
    type = types[draw(random, 0, 2)];
    const int64_t most[] = {20, 1100, 20000};
    size = draw(random, 0, most[draw(random, 0, 2)]);
    seed = random();
    dropped = static_cast<uint32_t>(draw(random, 0, UINT32_MAX));
    numbers.resize(size * hdetr::element_size(type));
    // Every pattern of bits is a number.
    for (char& byte : numbers) byte = static_cast<char>(draw(random, 0, UINT8_MAX));
  }
};

std::vector<char> compute(Random& random, const Case& drawn, char garbage, bool in_pieces) {
  std::vector<char> results(drawn.numbers.size(), garbage);
  const hdetr::DropoutArguments arguments{drawn.size,
                                          drawn.seed,
                                          drawn.dropped,
                                          1.25f,
                                          {drawn.numbers.data(), drawn.type},
                                          {results.data(), drawn.type}};
  const int64_t count = hdetr::count_tasks(arguments);
  for (int64_t first = 0; first < count;) {
    const int64_t last = in_pieces ? draw(random, first + 1, count) : count;
    hdetr::drop(arguments, first, last);
    first = last;
  }
  return results;
}

}  // namespace

int main(int count, char** arguments) {
  return run_seeds(count, arguments, [](Random& random) {
    const Case drawn(random);
    if (compute(random, drawn, 0, false) == compute(random, drawn, 0x55, true)) return true;
    std::printf("results differ for %d elements, ", int(drawn.size));
    return false;
  });
}
