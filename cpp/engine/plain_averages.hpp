// A rule's averages are plain (rules/averages.hpp) but for the smallest betas. A loop that is told so leaves out their
// products with 1: the same bits, and Adam in the caches takes a tenth less time. Rules that say which of their
// coefficients are averages (`moving_averages`) get such a loop beside the other.
#pragma once
#include <cstddef>
#include <utility>

namespace fastopt::engine {

template <class Rule, class T>
struct PlainAverages {
  using Coefs = typename Rule::template Coefs<T>;
  static constexpr bool known = requires { Rule::template moving_averages<T>; };

  static bool all(const Coefs& c) {
    return each([&](auto... average) { return ((c.*average).plain() && ...); });
  }

  // The same coefficients, as ones of which the compiler sees it.
  static Coefs seen(Coefs c) {
    each([&](auto... average) { ((c.*average).make_plain(), ...); });
    return c;
  }

 private:
  template <class Use>
  static auto each(Use&& use) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return use(Rule::template moving_averages<T>[I]...);
    }(std::make_index_sequence<Rule::template moving_averages<T>.size()>{});
  }
};

}  // namespace fastopt::engine
