// Random problems for the assignment of batched_assignment_cpu.h, each with a certificate that its
// answer is the best: duals with which no pair has a negative reduced cost, no pair that is made
// has one, and no query that is left over has a price.
//
// batched_assignment_random SEED CASES: small problems of every kind; forbidden pairs are only
// counted. batched_assignment_random SEED 0 TARGETS QUERIES CAPACITY LOWEST SPAN: one problem.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "batched_assignment_cpu.h"

namespace {

using Random = std::mt19937;

struct Drawn {
  int64_t targets, queries, capacity;
  std::unique_ptr<float[]> costs;  // of exactly the size, so that any step beyond it is caught
  bool forbidden;
};

double draw(Random& random) { return std::uniform_real_distribution<double>()(random); }

int64_t up_to(Random& random, int64_t most) {
  return std::uniform_int_distribution<int64_t>(0, most)(random);
}

Drawn draw_problem(Random& random, int64_t targets, int64_t queries, int64_t capacity,
                   double lowest, double span) {
  Drawn drawn{targets, queries, capacity, std::make_unique<float[]>(targets * queries), false};
  for (int64_t k = 0; k < targets * queries; ++k) {
    drawn.costs[k] = static_cast<float>(lowest + span * draw(random));
  }
  return drawn;
}

Drawn draw_small(Random& random) {
  const int64_t targets = up_to(random, 12), queries = up_to(random, 70);
  const double scales[] = {1, 1e-30, 1e30, 1e4};
  const double span = scales[up_to(random, 3)];
  Drawn drawn = draw_problem(random, targets, queries, 1 + up_to(random, 4), -span / 3, span);
  const int64_t kind = up_to(random, 3);
  for (int64_t k = 0; k < targets * queries; ++k) {
    float& cost = drawn.costs[k];
    if (kind == 1) cost = static_cast<float>(up_to(random, 3));
    if (kind == 2) cost = drawn.costs[k % queries];
    if (kind == 3 && draw(random) < 0.4) cost = draw(random) < 0.5 ? NAN : INFINITY;
  }
  drawn.forbidden = kind == 3 || targets * drawn.capacity > queries;
  return drawn;
}

bool fail(const Drawn& drawn, const char* what) {
  std::printf("%s: %d targets, %d queries, capacity %d\n", what, int(drawn.targets),
              int(drawn.queries), int(drawn.capacity));
  return false;
}

bool is_certified(const Drawn& drawn, const std::vector<int64_t>& answer,
                  const std::vector<double>& u, const std::vector<double>& v) {
  double largest = 0;
  for (int64_t k = 0; k < drawn.targets * drawn.queries; ++k) {
    largest = std::max<double>(largest, std::fabs(drawn.costs[k]));
  }
  const double tolerance = 1e-12 * largest;
  for (int64_t i = 0; i < drawn.targets; ++i) {
    for (int64_t j = 0; j < drawn.queries; ++j) {
      const double reduced = drawn.costs[i * drawn.queries + j] - u[i] - v[j];
      if (reduced < -tolerance) return fail(drawn, "a pair would be cheaper");
      if (answer[j] == i && reduced > tolerance) return fail(drawn, "a pair is too dear");
    }
  }
  for (int64_t j = 0; j < drawn.queries; ++j) {
    if (v[j] > tolerance) return fail(drawn, "a price is positive");
    if (answer[j] < 0 && v[j] < -tolerance) return fail(drawn, "a free query has a price");
  }
  return true;
}

bool check(const Drawn& drawn) {
  std::vector<int64_t> answer(drawn.queries, -7), count(drawn.targets, 0);
  std::vector<double> u(drawn.targets), v(drawn.queries);
  const hdetr::AssignmentDuals duals{u.data(), v.data()};
  hdetr::solve_assignment(
      {drawn.costs.get(), drawn.targets, drawn.queries, drawn.capacity, answer.data()}, &duals);
  for (int64_t target : answer) {
    if (target < -1 || target >= drawn.targets) return fail(drawn, "no such target");
    if (target >= 0 && ++count[target] > drawn.capacity) return fail(drawn, "taken too often");
  }
  if (drawn.forbidden) return true;
  for (int64_t taken : count) {
    if (taken != drawn.capacity) return fail(drawn, "a target lacks queries");
  }
  return is_certified(drawn, answer, u, v);
}

}  // namespace

int main(int count, char** arguments) {
  Random random(std::atoi(arguments[1]));
  const int cases = std::atoi(arguments[2]);
  bool right = true;
  if (count > 3) {
    const auto number = [&](int i) { return std::atof(arguments[i]); };
    right = check(draw_problem(random, int64_t(number(3)), int64_t(number(4)), int64_t(number(5)),
                               number(6), number(7)));
  }
  for (int i = 0; i < cases; ++i) right = check(draw_small(random)) && right;
  std::printf("%d cases\n", cases);
  return right ? 0 : 1;
}
