// The losses of boxes on random sizes and hostile numbers, to be compiled with sanitizers. The
// arguments are the first seed and the one after the last.
//
// Every array is exactly as large as the kernels may believe, so that one element too far is seen.
// Each case runs twice, in one piece and in random pieces, with other garbage in the results
// beforehand: the bits must be the same, or something was not written or depends on the pieces.
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "box_losses_cpu.h"
#include "random_cases.h"

namespace {

float draw_number(Random& random) {
  using Limits = std::numeric_limits<float>;
  const float strange[] = {Limits::quiet_NaN(),
                           Limits::infinity(),
                           -Limits::infinity(),
                           Limits::max(),
                           Limits::denorm_min(),
                           0.0f,
                           -0.0f,
                           -1.0f,
                           0.5f};
  if (draw(random, 0, 9) == 0) return strange[draw(random, 0, 8)];
  return std::uniform_real_distribution<float>(0, 1)(random);
}

std::vector<float> draw_numbers(Random& random, int64_t count) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = draw_number(random);
  return numbers;
}

struct Case {
  hdetr::BoxLossSizes sizes;
  std::vector<float> boxes, truth, grad_losses;
  std::vector<int64_t> index;

  explicit Case(Random& random) {
    sizes = {draw(random, 0, 4), draw(random, 0, 50), draw(random, 0, 9)};
    const int64_t rows = sizes.problems * sizes.rows;
    boxes = draw_numbers(random, 4 * rows);
    truth = draw_numbers(random, 4 * sizes.problems * sizes.targets);
    grad_losses = draw_numbers(random, 2 * rows);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t strange[] = {sizes.targets, INT64_MAX, INT64_MIN};
      index.push_back(draw(random, 0, 99) ? draw(random, -2, sizes.targets - 1)
                                          : strange[draw(random, 0, 2)]);
    }
  }
};

struct Results {
  std::vector<char> losses, slopes;
};

Results compute(Random& random, const Case& drawn, char garbage, bool in_pieces) {
  const hdetr::BoxLossArguments arguments{drawn.sizes, drawn.boxes.data(), drawn.truth.data(),
                                          drawn.index.data()};
  const auto rows = static_cast<int64_t>(drawn.index.size());
  Results results{std::vector<char>(rows * sizeof(hdetr::BoxLoss), garbage),
                  std::vector<char>(rows * sizeof(hdetr::BoxSlope), garbage)};
  for (int64_t first = 0; first < rows;) {
    const int64_t last = in_pieces ? draw(random, first + 1, rows) : rows;
    hdetr::box_losses(arguments, reinterpret_cast<hdetr::BoxLoss*>(results.losses.data()), first,
                      last);
    hdetr::differentiate_boxes(
        arguments, reinterpret_cast<const hdetr::BoxLoss*>(drawn.grad_losses.data()),
        reinterpret_cast<hdetr::BoxSlope*>(results.slopes.data()), first, last);
    first = last;
  }
  return results;
}

}  // namespace

int main(int count, char** arguments) {
  return run_seeds(count, arguments, [](Random& random) {
    const Case drawn(random);
    const Results whole = compute(random, drawn, 0, false);
    const Results pieces = compute(random, drawn, 0x55, true);
    if (whole.losses == pieces.losses && whole.slopes == pieces.slopes) return true;
    std::printf("results differ for P=%d N=%d G=%d, ", int(drawn.sizes.problems),
                int(drawn.sizes.rows), int(drawn.sizes.targets));
    return false;
  });
}
