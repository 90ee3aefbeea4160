// Prints the largest errors of csrc/elementary.h against float64, in units of the last place of a
// float32, over a sample of all floats in the domain; and fails where NaN does not stay NaN.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "elementary.h"
#include "pack.h"

namespace {

using Eight = hdetr::Pack<float, 8>;

double units(float actual, double expected) {
  const double unit = std::ldexp(1.0, std::max(std::ilogb(expected), -126) - 23);
  return std::fabs(actual - expected) / unit;
}

// Of every 97th float in [0, last], as a single number and as a pack; `sign` goes before it.
template <class Function, class Exact>
double largest_error(float last, float sign, const Function& function, const Exact& exact) {
  double worst = 0;
  for (uint32_t bits = 0; bits <= hdetr::bits_as<uint32_t>(last); bits += 97) {
    const float x = sign * hdetr::bits_as<float>(bits);
    const double alone = units(function(x), exact(x));
    const double packed = units(function(Eight{} + x)[3], exact(x));
    worst = std::max({worst, alone, packed});
  }
  return worst;
}

}  // namespace

int main() {
  const auto exp = [](auto x) { return hdetr::exp_of_negative(x); };
  const auto log = [](auto x) { return hdetr::log1p_of_unit(x); };
  std::printf("%f\n", largest_error(87.336f, -1, exp, [](double x) { return std::exp(x); }));
  std::printf("%f\n", largest_error(1, 1, log, [](double x) { return std::log1p(x); }));
  const bool tiny = exp(-87.4f) == 0 && exp(-INFINITY) == 0 && exp(Eight{} - INFINITY)[0] == 0;
  const bool lost = std::isnan(exp(NAN)) && std::isnan(exp(Eight{} + NAN)[0]) &&
                    std::isnan(log(NAN)) && std::isnan(log(Eight{} + NAN)[0]);
  return tiny && lost ? 0 : 1;
}
