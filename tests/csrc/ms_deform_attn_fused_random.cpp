// The CPU kernels that take rows, on random sizes and hostile numbers, to be compiled with
// sanitizers. The arguments are the first seed and the one after the last.
//
// As in ms_deform_attn_random.cpp: arrays are exactly as large as the kernels may believe, and each
// case runs twice, in one piece and in random pieces, with other garbage in the results beforehand.
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "ms_deform_attn_fused_cpu.h"
#include "random_cases.h"

namespace {

using hdetr::Sizes;
using hdetr::Type;
using Bytes = std::vector<unsigned char>;

size_t bytes_of(Type type) { return type == Type::kDouble ? 8 : type == Type::kFloat ? 4 : 2; }

double hostile(Random& random) {
  using Limits = std::numeric_limits<float>;
  const double numbers[] = {Limits::quiet_NaN(),
                            Limits::infinity(),
                            -Limits::infinity(),
                            Limits::max(),
                            Limits::lowest(),
                            Limits::denorm_min(),
                            -0.0};
  return numbers[draw(random, 0, std::size(numbers) - 1)];
}

// Numbers of any type, one in twenty of no sense; every pattern of 16 bits is one.
Bytes draw_array(Random& random, int64_t count, Type type) {
  Bytes bytes(count * bytes_of(type));
  for (int64_t i = 0; i < count; ++i) {
    const bool strange = draw(random, 0, 19) == 0;
    const double number = strange ? hostile(random) : std::normal_distribution<double>()(random);
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
  Type value, rows;
  bool boxes, of_reference;
};

Case draw_case(Random& random) {
  const auto size = [&](int64_t largest) {
    return draw(random, 0, 24) == 0 ? 0 : draw(random, 1, largest);
  };
  Case drawn;
  const int64_t levels = draw(random, 1, 4);
  int64_t cells = 0;
  for (int64_t l = 0; l < levels; ++l) {
    drawn.shapes.emplace_back(draw(random, 1, 12), draw(random, 1, 12));
    cells += drawn.shapes.back().first * drawn.shapes.back().second;
  }
  const int64_t most_queries[] = {4, 90, 90, 600};
  drawn.sizes = {size(2), cells,  size(3), size(40), size(most_queries[draw(random, 0, 3)]),
                 levels,  size(9)};
  const Type types[] = {Type::kFloat, Type::kDouble, Type::kBFloat16, Type::kHalf};
  drawn.value = types[draw(random, 0, 3)];
  const Type real = drawn.value == Type::kDouble ? Type::kDouble : Type::kFloat;
  drawn.rows = draw(random, 0, 1) ? drawn.value : real;
  drawn.boxes = draw(random, 0, 1);
  drawn.of_reference = draw(random, 0, 1);
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
bool check(Random& random, const Case& drawn) {
  const Sizes& sizes = drawn.sizes;
  std::vector<hdetr::Level<Real>> levels;
  int32_t start = 0;
  for (const auto& [height, width] : drawn.shapes) {
    levels.push_back(hdetr::Level<Real>::make(height, width, start));
    start += height * width;
  }
  constexpr Type kReal = sizeof(Real) == 4 ? Type::kFloat : Type::kDouble;
  const int64_t channels = sizes.heads * sizes.channels, queries = sizes.batch * sizes.queries;
  const int64_t values = sizes.batch * sizes.cells * channels, outputs = queries * channels;
  const int64_t samples = sizes.heads * sizes.levels * sizes.points;
  const int64_t references = queries * sizes.levels * (drawn.boxes ? 4 : 2);
  const Bytes value = draw_array(random, values, drawn.value);
  const Bytes grad_output = draw_array(random, outputs, drawn.value);
  const Bytes rows = draw_array(random, queries * 3 * samples, drawn.rows);
  const Bytes reference = draw_array(random, references, kReal);
  const bool in_place = drawn.rows == kReal;

  const auto compute = [&](unsigned char garbage, bool in_pieces) {
    Bytes output(outputs * bytes_of(drawn.value), garbage);
    Bytes grad_value(values * bytes_of(drawn.value), 0);
    Bytes grad_rows(rows.size(), garbage);
    std::vector<Real> grad_reference(drawn.of_reference ? references : 0, Real(garbage));
    std::vector<Real> by_weights(in_place ? 0 : queries * samples, Real(garbage));
    std::vector<Real> by_locations(drawn.of_reference ? 2 * queries * samples : 0, Real(garbage));
    const hdetr::RowPoints<Real> points{
        reinterpret_cast<const Real*>(reference.data()), drawn.boxes, {rows.data(), drawn.rows}};
    Real* const own = in_place ? reinterpret_cast<Real*>(grad_rows.data()) + 2 * samples : nullptr;
    const typename hdetr::RowPoints<Real>::Gradients gradients{
        {grad_rows.data(), drawn.rows},
        in_place ? own : by_weights.data(),
        in_place ? 3 * samples : samples,
        drawn.of_reference ? by_locations.data() : nullptr};
    run(random,
        hdetr::ForwardArguments<hdetr::RowPoints<Real>>{sizes,
                                                        levels.data(),
                                                        {value.data(), drawn.value},
                                                        points,
                                                        {output.data(), drawn.value}},
        in_pieces);
    run(random,
        hdetr::BackwardArguments<hdetr::RowPoints<Real>>{sizes,
                                                         levels.data(),
                                                         {grad_output.data(), drawn.value},
                                                         {value.data(), drawn.value},
                                                         points,
                                                         {grad_value.data(), drawn.value},
                                                         gradients},
        in_pieces);
    run(random,
        hdetr::SoftmaxArguments<Real>{sizes, points, gradients,
                                      drawn.of_reference ? grad_reference.data() : nullptr},
        in_pieces);
    Bytes all = output;
    for (const Bytes& each : {grad_value, grad_rows})
      all.insert(all.end(), each.begin(), each.end());
    const auto* bits = reinterpret_cast<const unsigned char*>(grad_reference.data());
    all.insert(all.end(), bits, bits + grad_reference.size() * sizeof(Real));
    return all;
  };
  return compute(0, false) == compute(0x55, true);
}

}  // namespace

int main(int count, char** arguments) {
  return run_seeds(count, arguments, [](Random& random) {
    const Case drawn = draw_case(random);
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
