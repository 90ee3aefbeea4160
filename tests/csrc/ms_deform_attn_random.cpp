// The CPU kernels on random sizes and hostile numbers, to be compiled with sanitizers. The
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

#include "ms_deform_attn_cpu.h"
#include "random_cases.h"

namespace {

using hdetr::Array;
using hdetr::ConstArray;
using hdetr::Sizes;
using hdetr::Type;
using Bytes = std::vector<unsigned char>;

// Seldom nothing at all.
int64_t draw_size(Random& random, int64_t largest) {
  return draw(random, 0, 24) == 0 ? 0 : draw(random, 1, largest);
}

size_t bytes_of(Type type) { return type == Type::kDouble ? 8 : type == Type::kFloat ? 4 : 2; }

template <class Real>
Real hostile(Random& random) {
  using Limits = std::numeric_limits<Real>;
  const Real numbers[] = {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(),
                          Limits::max(),       Limits::lowest(),   Limits::denorm_min(),
                          Real(-2147483649.0), Real(4294967296.0), Real(-0.0)};
  return numbers[draw(random, 0, std::size(numbers) - 1)];
}

// The arithmetic on single numbers, whose conversions a sanitizer sees, on levels up to the
// largest.
template <class Real>
bool stays_within(Random& random) {
  const int32_t width = draw(random, 1, INT32_MAX / draw(random, 1, 1000000));
  const int32_t height = draw(random, 1, INT32_MAX / width);
  const auto level = hdetr::Level<Real>::make(height, width, 0);
  std::uniform_real_distribution<Real> near(Real(-0.1), Real(1.1));
  for (int i = 0; i < 100; ++i) {
    const Real x = i % 3 == 0 ? hostile<Real>(random) : near(random);
    const Real y = i % 5 == 0 ? hostile<Real>(random) : near(random);
    const auto sample = hdetr::locate(x, y, level);
    const int64_t first = sample.cell();
    const int64_t last = first + sample.right() + sample.down();
    if (sample.within() && (first < 0 || last >= int64_t(height) * width)) return false;
  }
  return true;
}

// Locations: inside, a little outside, on the borders of cells, and one in ten of no sense.
template <class Real>
std::vector<Real> draw_locations(Random& random, int64_t count) {
  std::vector<Real> locations(count);
  std::uniform_real_distribution<Real> near(Real(-0.5), Real(1.5));
  for (Real& location : locations) {
    const int64_t kind = draw(random, 0, 9);
    location = kind == 0   ? hostile<Real>(random)
               : kind == 1 ? Real(draw(random, -2, 18)) / Real(16)
                           : near(random);
  }
  return locations;
}

// Numbers of any type; every pattern of 16 bits is one, NaN and infinity among them.
Bytes draw_array(Random& random, int64_t count, Type type) {
  Bytes bytes(count * bytes_of(type));
  for (int64_t i = 0; i < count; ++i) {
    const double number = std::normal_distribution<double>()(random);
    const float single = static_cast<float>(number);
    const auto bits = static_cast<uint16_t>(draw(random, 0, UINT16_MAX));
    const void* from = type == Type::kDouble  ? static_cast<const void*>(&number)
                       : type == Type::kFloat ? static_cast<const void*>(&single)
                                              : static_cast<const void*>(&bits);
    std::memcpy(bytes.data() + i * bytes_of(type), from, bytes_of(type));
  }
  return bytes;
}

struct Case {
  Sizes sizes;
  std::vector<std::pair<int32_t, int32_t>> shapes;
  Type value, weights;
};

Case draw_case(Random& random) {
  Case drawn;
  const int64_t levels = draw(random, 1, 4);
  int64_t cells = 0;
  for (int64_t l = 0; l < levels; ++l) {
    drawn.shapes.emplace_back(draw(random, 1, 12), draw(random, 1, 12));
    cells += drawn.shapes.back().first * drawn.shapes.back().second;
  }
  // Few queries for the cells, and many, are computed in other ways.
  const int64_t most_queries[] = {4, 90, 90, 600};
  drawn.sizes = {draw_size(random, 2),
                 cells,
                 draw_size(random, 3),
                 draw_size(random, 70),
                 draw_size(random, most_queries[draw(random, 0, 3)]),
                 levels,
                 draw_size(random, 9)};
  const Type types[] = {Type::kFloat, Type::kDouble, Type::kBFloat16, Type::kHalf};
  drawn.value = types[draw(random, 0, 3)];
  const Type real = drawn.value == Type::kDouble ? Type::kDouble : Type::kFloat;
  drawn.weights = draw(random, 0, 1) ? drawn.value : real;
  return drawn;
}

template <class Arguments>
void run(Random& random, const Arguments& arguments, bool in_pieces) {
  const int64_t count = hdetr::count_tasks(arguments);
  for (int64_t first = 0; first < count;) {
    const int64_t last = in_pieces ? draw(random, first + 1, count) : count;
    hdetr::run_tasks(arguments, first, last);
    first = last;
  }
}

template <class Real>
struct Results {
  Bytes output, grad_value, grad_weights;
  std::vector<Real> grad_locations;

  static Bytes bits(const std::vector<Real>& numbers) {
    const auto* first = reinterpret_cast<const unsigned char*>(numbers.data());
    return Bytes(first, first + numbers.size() * sizeof(Real));
  }

  bool operator==(const Results& other) const {
    return output == other.output && grad_value == other.grad_value &&
           grad_weights == other.grad_weights && bits(grad_locations) == bits(other.grad_locations);
  }
};

template <class Real>
bool check(Random& random, const Case& drawn) {
  const Sizes& sizes = drawn.sizes;
  std::vector<hdetr::Level<Real>> levels;
  int32_t start = 0;
  for (const auto& [height, width] : drawn.shapes) {
    levels.push_back(hdetr::Level<Real>::make(height, width, start));
    start += height * width;
  }
  const int64_t channels = sizes.heads * sizes.channels;
  const int64_t values = sizes.batch * sizes.cells * channels;
  const int64_t outputs = sizes.batch * sizes.queries * channels;
  const int64_t points = sizes.batch * sizes.queries * sizes.heads * sizes.levels * sizes.points;
  const Bytes value = draw_array(random, values, drawn.value);
  const Bytes grad_output = draw_array(random, outputs, drawn.value);
  const Bytes weights = draw_array(random, points, drawn.weights);
  const std::vector<Real> locations = draw_locations<Real>(random, 2 * points);

  const auto compute = [&](unsigned char garbage, bool in_pieces) {
    Results<Real> results{Bytes(outputs * bytes_of(drawn.value), garbage),
                          Bytes(values * bytes_of(drawn.value), 0),
                          Bytes(points * bytes_of(drawn.weights), garbage),
                          std::vector<Real>(2 * points, Real(garbage))};
    const ConstArray value_array{value.data(), drawn.value};
    const ConstArray weight_array{weights.data(), drawn.weights};
    run(random,
        hdetr::ForwardArguments<hdetr::GivenPoints<Real>>{sizes,
                                                          levels.data(),
                                                          value_array,
                                                          {locations.data(), weight_array},
                                                          {results.output.data(), drawn.value}},
        in_pieces);
    run(random,
        hdetr::BackwardArguments<hdetr::GivenPoints<Real>>{
            sizes,
            levels.data(),
            {grad_output.data(), drawn.value},
            value_array,
            {locations.data(), weight_array},
            {results.grad_value.data(), drawn.value},
            {results.grad_locations.data(), {results.grad_weights.data(), drawn.weights}}},
        in_pieces);
    return results;
  };
  return compute(0, false) == compute(0x55, true);
}

}  // namespace

int main(int count, char** arguments) {
  std::printf("vectors of %d bits, ", int(hdetr::vector_bits()));
  return run_seeds(count, arguments, [](Random& random) {
    const Case drawn = draw_case(random);
    if (!stays_within<float>(random) || !stays_within<double>(random)) {
      std::printf("a point samples a cell beyond its level, ");
      return false;
    }
    const bool same =
        drawn.value == Type::kDouble ? check<double>(random, drawn) : check<float>(random, drawn);
    const Sizes& s = drawn.sizes;
    if (!same) {
      std::printf("results differ for B=%d M=%d D=%d Q=%d L=%d P=%d, ", int(s.batch), int(s.heads),
                  int(s.channels), int(s.queries), int(s.levels), int(s.points));
    }
    return same;
  });
}
