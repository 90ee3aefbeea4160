// The sigmoid focal loss on random sizes and hostile numbers, to be compiled with sanitizers. The
// arguments are the first seed and the one after the last.
//
// Every array is exactly as large as the kernels may believe, so that one element too far is seen.
// Each case runs twice, in one piece and in random pieces, with other garbage in the results
// beforehand: the bits must be the same, or something was not written or depends on the pieces.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "random_cases.h"
#include "sigmoid_focal_loss_cpu.h"

namespace {

using hdetr::Type;

float draw_number(Random& random) {
  using Limits = std::numeric_limits<float>;
  const float strange[] = {Limits::quiet_NaN(),
                           Limits::infinity(),
                           -Limits::infinity(),
                           Limits::max(),
                           Limits::lowest(),
                           Limits::denorm_min(),
                           -87.4f,
                           -0.0f,
                           200.0f};
  if (draw(random, 0, 99) == 0) return strange[draw(random, 0, 8)];
  return std::normal_distribution<float>(0, 5)(random);
}

struct Case {
  hdetr::FocalSizes sizes;
  hdetr::FocalForm form;
  Type type;
  std::vector<char> logits;
  std::vector<int64_t> labels;
  std::vector<float> grad_loss;

  explicit Case(Random& random) {
    const int64_t most_classes[] = {3, 40, 9000};
    const int64_t kind = draw(random, 0, 2);
    sizes = {draw(random, 0, 3), draw(random, 0, kind == 2 ? 3 : 500),
             draw(random, 0, most_classes[kind])};
    const float gammas[] = {2, 0, 1.5};
    form = {0.25f, gammas[draw(random, 0, 2)]};
    const Type types[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};
    type = types[draw(random, 0, 2)];
    const int64_t size = hdetr::element_size(type);
    logits.resize(sizes.layers * sizes.rows * sizes.classes * size);
    for (size_t i = 0; i < logits.size(); i += size) {
      const float number = draw_number(random);
      // Every pattern of 16 bits is a number.
      const auto word = static_cast<uint16_t>(draw(random, 0, UINT16_MAX));
      std::memcpy(&logits[i], size == 4 ? static_cast<const void*>(&number) : &word, size);
    }
    for (int64_t i = 0; i < sizes.layers * sizes.rows; ++i) {
      const int64_t strange[] = {-3, sizes.classes, INT64_MAX, INT64_MIN};
      labels.push_back(draw(random, 0, 999) ? draw(random, -2, sizes.classes - 1)
                                            : strange[draw(random, 0, 3)]);
    }
    for (int64_t i = 0; i < sizes.layers; ++i) grad_loss.push_back(draw_number(random));
  }
};

struct Results {
  std::vector<double> sums;
  std::vector<float> loss;
  std::vector<char> grad_logits;
};

template <class Element>
bool same_bits(const std::vector<Element>& a, const std::vector<Element>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(Element)) == 0;
}

Results compute(Random& random, const Case& drawn, char garbage, bool in_pieces) {
  const hdetr::FocalArguments arguments{
      drawn.sizes, drawn.form, {drawn.logits.data(), drawn.type}, drawn.labels.data()};
  const int64_t count = hdetr::count_tasks(drawn.sizes);
  Results results{std::vector<double>(count, garbage),
                  std::vector<float>(drawn.sizes.layers, garbage),
                  std::vector<char>(drawn.logits.size(), garbage)};
  for (int64_t first = 0; first < count;) {
    const int64_t last = in_pieces ? draw(random, first + 1, count) : count;
    hdetr::sum_losses(arguments, first, last, results.sums.data());
    hdetr::differentiate(arguments, drawn.grad_loss.data(),
                         {results.grad_logits.data(), drawn.type}, first, last);
    first = last;
  }
  hdetr::add_sums(drawn.sizes, results.sums.data(), results.loss.data());
  return results;
}

}  // namespace

int main(int count, char** arguments) {
  return run_seeds(count, arguments, [](Random& random) {
    const Case drawn(random);
    const Results whole = compute(random, drawn, 0, false);
    const Results pieces = compute(random, drawn, 0x55, true);
    if (same_bits(whole.loss, pieces.loss) && same_bits(whole.grad_logits, pieces.grad_logits)) {
      return true;
    }
    std::printf("results differ for L=%d N=%d K=%d, ", int(drawn.sizes.layers),
                int(drawn.sizes.rows), int(drawn.sizes.classes));
    return false;
  });
}
