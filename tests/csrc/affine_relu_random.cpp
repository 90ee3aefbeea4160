// affine_relu on random sizes and hostile numbers, to be compiled with sanitizers. The arguments
// are the first seed and the one after the last.
//
// Every array is exactly as large as the kernels may believe, so that one element too far is seen.
// Each case runs twice, in one piece and in random pieces, with other garbage in the results
// beforehand: the bits must be the same, or something was not written or depends on the pieces.
#include <cstdio>
#include <random>
#include <vector>

#include "affine_relu_cpu.h"
#include "random_cases.h"

namespace {

using hdetr::Type;

using Bytes = std::vector<char>;

struct Case {
  Type type;
  int64_t size, channels, together;
  bool has_residual;
  float ceiling;
  std::vector<float> scale, shift;
  Bytes x, residual;

  explicit Case(Random& random) {
    const Type types[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};
    type = types[draw(random, 0, 2)];
    const int64_t kind = draw(random, 0, 2);
    channels = draw(random, 1, kind == 0 ? 300 : 20);
    together = kind == 0 ? 1 : draw(random, 1, kind == 1 ? 70 : 2000);
    size = channels * together * draw(random, 0, kind == 0 ? 120 : 3);
    has_residual = draw(random, 0, 1);
    ceiling = draw(random, 0, 1) ? 6 : hdetr::no_ceiling();
    std::normal_distribution<float> number(0, 2);
    for (int64_t i = 0; i < channels; ++i) {
      scale.push_back(number(random));
      shift.push_back(number(random));
    }
    x = draw_numbers(random);
    residual = draw_numbers(random);
  }

  // Every pattern of bits is a number.
  Bytes draw_numbers(Random& random) const {
    Bytes numbers(size * hdetr::element_size(type));
    for (char& byte : numbers) byte = static_cast<char>(draw(random, 0, UINT8_MAX));
    return numbers;
  }
};

struct Results {
  Bytes y, of_x, of_residual;

  bool operator==(const Results& other) const {
    return y == other.y && of_x == other.of_x && of_residual == other.of_residual;
  }
};

Results compute(Random& random, const Case& drawn, char garbage, bool in_pieces) {
  const Bytes filled(drawn.x.size(), garbage);
  Results results{filled, filled, drawn.has_residual ? filled : Bytes{}};
  const hdetr::AffineForm form{drawn.size,         drawn.channels,     drawn.together,
                               drawn.scale.data(), drawn.shift.data(), drawn.ceiling};
  const void* const residual = drawn.has_residual ? drawn.residual.data() : nullptr;
  void* const of_residual = drawn.has_residual ? results.of_residual.data() : nullptr;
  const int64_t count = hdetr::count_tasks(form);
  for (int64_t first = 0; first < count;) {
    const int64_t last = in_pieces ? draw(random, first + 1, count) : count;
    hdetr::apply_affine(form, {{drawn.x.data(), drawn.type}, {residual, drawn.type}},
                        {results.y.data(), drawn.type}, first, last);
    hdetr::differentiate_affine(form,
                                {{drawn.residual.data(), drawn.type},
                                 {drawn.x.data(), drawn.type},
                                 {results.of_x.data(), drawn.type},
                                 {of_residual, drawn.type}},
                                first, last);
    first = last;
  }
  return results;
}

}  // namespace

int main(int count, char** arguments) {
  return run_seeds(count, arguments, [](Random& random) {
    const Case drawn(random);
    if (compute(random, drawn, 0, false) == compute(random, drawn, 0x55, true)) return true;
    std::printf("results differ for %d numbers of %d channels, ", int(drawn.size),
                int(drawn.channels));
    return false;
  });
}
