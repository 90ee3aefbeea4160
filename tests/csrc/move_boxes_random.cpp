// Moved boxes on random sizes and hostile numbers, to be compiled with sanitizers. The arguments
// are the first seed and the one after the last.
//
// Every array is exactly as large as the kernels may believe, so that one element too far is seen.
// Each case runs twice, in one piece and in random pieces, with other garbage in the results
// beforehand: the bits must be the same, or something was not written or depends on the pieces.
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "move_boxes_cpu.h"
#include "random_cases.h"

namespace {

float draw_number(Random& random) {
  using Limits = std::numeric_limits<float>;
  const float strange[] = {Limits::quiet_NaN(),
                           Limits::infinity(),
                           -Limits::infinity(),
                           Limits::max(),
                           -Limits::max(),
                           Limits::denorm_min(),
                           0.0f,
                           -0.0f,
                           1.0f};
  if (draw(random, 0, 9) == 0) return strange[draw(random, 0, 8)];
  return std::uniform_real_distribution<float>(-1, 2)(random);
}

std::vector<float> draw_numbers(Random& random, int64_t count) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = draw_number(random);
  return numbers;
}

struct Case {
  hdetr::MoveSizes sizes;
  float eps;
  bool of_reference;
  std::vector<float> delta, reference, grad_boxes;

  explicit Case(Random& random) {
    sizes = {draw(random, 0, 40), 2 * draw(random, 1, 2)};
    eps = draw(random, 0, 1) ? 1e-5f : 0.25f;
    of_reference = draw(random, 0, 1);
    delta = draw_numbers(random, 4 * sizes.rows);
    reference = draw_numbers(random, sizes.numbers * sizes.rows);
    grad_boxes = draw_numbers(random, 4 * sizes.rows);
  }
};

// Bytes, since a NaN is no other NaN.
struct Results {
  std::vector<char> boxes, grad_delta, grad_reference;
};

float* numbers_of(std::vector<char>& bytes) { return reinterpret_cast<float*>(bytes.data()); }

Results compute(Random& random, const Case& drawn, char garbage, bool in_pieces) {
  const hdetr::MoveArguments arguments{drawn.sizes, drawn.eps, drawn.reference.data()};
  const int64_t rows = drawn.sizes.rows, bytes = 4 * rows * int64_t{sizeof(float)};
  const int64_t of_reference = drawn.of_reference ? bytes / 4 * drawn.sizes.numbers : 0;
  Results results{std::vector<char>(bytes, garbage), std::vector<char>(bytes, garbage),
                  std::vector<char>(of_reference, garbage)};
  const hdetr::MoveGradients gradients{
      numbers_of(results.boxes), drawn.grad_boxes.data(), numbers_of(results.grad_delta),
      drawn.of_reference ? numbers_of(results.grad_reference) : nullptr};
  for (int64_t first = 0; first < rows;) {
    const int64_t last = in_pieces ? draw(random, first + 1, rows) : rows;
    hdetr::move_boxes(arguments, drawn.delta.data(), numbers_of(results.boxes), first, last);
    hdetr::differentiate_moves(arguments, gradients, first, last);
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
    if (whole.boxes == pieces.boxes && whole.grad_delta == pieces.grad_delta &&
        whole.grad_reference == pieces.grad_reference) {
      return true;
    }
    std::printf("results differ for N=%d R=%d, ", int(drawn.sizes.rows), int(drawn.sizes.numbers));
    return false;
  });
}
