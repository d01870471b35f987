// A rule's averages are plain (rules/averages.hpp) but for the smallest betas. A loop that is told so leaves out their
// products with 1: the same bits, and Adam in the caches takes a tenth less time. Rules that say which of their
// coefficients are averages (`averages`) get such a loop beside the other.
#pragma once

namespace fastopt::engine {

template <class Rule, class T>
struct PlainAverages {
  using Coefs = typename Rule::template Coefs<T>;
  static constexpr bool known = requires(Coefs& c) { Rule::averages(c, [](auto&...) {}); };

  static bool all(const Coefs& c) {
    return Rule::averages(c, [](const auto&... average) { return (average.plain() && ...); });
  }

  // The same coefficients, as ones of which the compiler sees it (tests/test_disassembly.py asks whether it does: of an
  // array of pointers to members it did not).
  static Coefs seen(Coefs c) {
    Rule::averages(c, [](auto&... average) { (average.make_plain(), ...); });
    return c;
  }
};

}  // namespace fastopt::engine
