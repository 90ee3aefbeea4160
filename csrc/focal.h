// The sigmoid focal loss (https://arxiv.org/abs/1708.02002) of one logit, in float32, from
// log-sigmoids, so that nothing is rounded to log(0).
#pragma once

#include "elementary.h"
#include "number.h"

namespace hdetr {

struct FocalForm {
  float alpha;  // weight of positives; negatives have 1 - alpha
  float gamma;  // at least 0
};

// For a logit x: the probability p = sigmoid(x), and 1 - p.
template <class Number>
struct Probability {
  Number yes, no;                      // p, 1 - p
  Number minus_log_yes, minus_log_no;  // -log(p), -log(1 - p)

  HDETR_INLINE static Probability of(Number x) {
    const Number none{}, one = none + 1.0f;
    const Number e = exp_of_negative(-absolute(x));
    const Number likely = one / (one + e), unlikely = e * likely;
    const Number log = log1p_of_unit(e);
    const auto negative = x < none;
    return {negative ? unlikely : likely, negative ? likely : unlikely,
            (negative ? -x : none) + log, (negative ? none : x) + log};
  }

  // Of the opposite.
  HDETR_INLINE Probability operator!() const { return {no, yes, minus_log_no, minus_log_yes}; }
};

// (1 - p)^gamma
template <class Number>
HDETR_INLINE Number focus(const Probability<Number>& p, float gamma) {
  if (gamma == 2.0f) return p.no * p.no;
  if (gamma == 0.0f) return Number{} + 1.0f;
  return exp_of_negative(-gamma * p.minus_log_no);
}

// alpha (1 - p)^gamma -log(p)
template <class Number>
HDETR_INLINE Number focal_loss(const Probability<Number>& p, float alpha, float gamma) {
  return alpha * focus(p, gamma) * p.minus_log_yes;
}

// Its derivative with respect to the logit.
template <class Number>
HDETR_INLINE Number focal_slope(const Probability<Number>& p, float alpha, float gamma) {
  return -alpha * focus(p, gamma) * (gamma * p.yes * p.minus_log_yes + p.no);
}

// The losses of a positive and of a negative logit.
template <class Number>
HDETR_INLINE Number positive_loss(const Probability<Number>& p, const FocalForm& form) {
  return focal_loss(p, form.alpha, form.gamma);
}
template <class Number>
HDETR_INLINE Number negative_loss(const Probability<Number>& p, const FocalForm& form) {
  return focal_loss(!p, 1.0f - form.alpha, form.gamma);
}

// Their derivatives with respect to the logit.
template <class Number>
HDETR_INLINE Number positive_slope(const Probability<Number>& p, const FocalForm& form) {
  return focal_slope(p, form.alpha, form.gamma);
}
template <class Number>
HDETR_INLINE Number negative_slope(const Probability<Number>& p, const FocalForm& form) {
  return -focal_slope(!p, 1.0f - form.alpha, form.gamma);
}

}  // namespace hdetr
