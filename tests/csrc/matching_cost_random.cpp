// The matching cost on random sizes and hostile numbers, to be compiled with sanitizers. The
// arguments are the first seed and the one after the last.
//
// Every array is exactly as large as the kernels may believe, so that one element too far is seen.
// Each case runs twice, in one piece and in random pieces, with other garbage in the costs
// beforehand: the bits must be the same, or something was not written or depends on the pieces.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "matching_cost_cpu.h"
#include "random_cases.h"

namespace {

using hdetr::MatchingSizes;
using hdetr::Type;

float draw_number(Random& random, bool hostile) {
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
  if (hostile && draw(random, 0, 9) == 0) return strange[draw(random, 0, 8)];
  return std::normal_distribution<float>()(random);
}

std::vector<float> draw_numbers(Random& random, int64_t count, bool hostile) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = draw_number(random, hostile);
  return numbers;
}

// Every pattern of 16 bits is a number, NaN and infinity among them.
std::vector<char> draw_logits(Random& random, int64_t count, Type type, bool hostile) {
  std::vector<char> bytes(count * hdetr::element_size(type));
  for (int64_t i = 0; i < count; ++i) {
    const float number = draw_number(random, hostile);
    const auto word = static_cast<uint16_t>(draw(random, 0, UINT16_MAX));
    const void* from = type == Type::kFloat ? static_cast<const void*>(&number) : &word;
    std::memcpy(bytes.data() + i * hdetr::element_size(type), from, hdetr::element_size(type));
  }
  return bytes;
}

struct Case {
  MatchingSizes sizes;
  hdetr::MatchingRule rule;
  Type type;
  std::vector<char> logits;
  std::vector<float> boxes, target_boxes;
  std::vector<int64_t> labels, num_targets;

  explicit Case(Random& random) {
    const int64_t images = draw(random, 1, 3), most_queries[] = {4, 70, 300};
    sizes = {images * draw(random, 0, 3), draw(random, 0, most_queries[draw(random, 0, 2)]),
             draw(random, 1, 40), images, draw(random, 0, 9)};
    const float gammas[] = {2, 0, 1.5};
    rule = {draw(random, 0, 1) ? hdetr::ClassCost::kFocal : hdetr::ClassCost::kSoftmax,
            {0.25f, gammas[draw(random, 0, 2)]},
            2,
            5,
            2};
    const Type types[] = {Type::kFloat, Type::kHalf, Type::kBFloat16};
    type = types[draw(random, 0, 2)];
    const bool hostile = draw(random, 0, 1);
    logits = draw_logits(random, sizes.problems * sizes.queries * sizes.classes, type, hostile);
    boxes = draw_numbers(random, sizes.problems * sizes.queries * 4, hostile);
    target_boxes = draw_numbers(random, images * sizes.targets * 4, hostile);
    for (int64_t i = 0; i < images; ++i) num_targets.push_back(draw(random, 0, sizes.targets));
    for (int64_t i = 0; i < images * sizes.targets; ++i) {
      const int64_t unknown[] = {-1, sizes.classes, INT64_MAX, INT64_MIN};
      const bool known = !hostile || draw(random, 0, 9);
      labels.push_back(known ? draw(random, 0, sizes.classes - 1) : unknown[draw(random, 0, 3)]);
    }
  }
};

struct Results {
  std::vector<float> cost;
  std::vector<int64_t> nonfinite;

  bool operator==(const Results& other) const {
    const size_t size = cost.size() * sizeof(float);
    return (size == 0 || std::memcmp(cost.data(), other.cost.data(), size) == 0) &&
           nonfinite == other.nonfinite;
  }
};

Results compute(Random& random, const Case& drawn, float garbage, bool in_pieces) {
  const MatchingSizes& sizes = drawn.sizes;
  Results results{std::vector<float>(sizes.problems * sizes.targets * sizes.queries, garbage),
                  std::vector<int64_t>(sizes.problems * 3)};
  const hdetr::MatchingArguments arguments{sizes,
                                           drawn.rule,
                                           {drawn.logits.data(), drawn.type},
                                           drawn.boxes.data(),
                                           drawn.labels.data(),
                                           drawn.target_boxes.data(),
                                           drawn.num_targets.data(),
                                           results.cost.data(),
                                           results.nonfinite.data()};
  const int64_t count = hdetr::count_tasks(arguments);
  for (int64_t first = 0; first < count;) {
    const int64_t last = in_pieces ? draw(random, first + 1, count) : count;
    hdetr::run_tasks(arguments, first, last);
    first = last;
  }
  return results;
}

// No cost is NaN or minus infinity, and no more pairs are counted than there are.
bool makes_sense(const Case& drawn, const Results& results) {
  for (float cost : results.cost) {
    if (!(cost > -INFINITY)) return false;
  }
  for (int64_t count : results.nonfinite) {
    if (count < 0 || count > drawn.sizes.targets * drawn.sizes.queries) return false;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  return run_seeds(count, arguments, [](Random& random) {
    const Case drawn(random);
    const Results whole = compute(random, drawn, 0, false);
    const Results pieces = compute(random, drawn, -7, true);
    if (whole == pieces && makes_sense(drawn, whole)) return true;
    const MatchingSizes& s = drawn.sizes;
    std::printf("wrong for P=%d Q=%d K=%d B=%d G=%d, ", int(s.problems), int(s.queries),
                int(s.classes), int(s.images), int(s.targets));
    return false;
  });
}
