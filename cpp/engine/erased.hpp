// What a rule does in double, as functions of arrays: the parts of a Kernel that are no loops, and what a rule has of them.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <string_view>

#include "rules/rule.hpp"

namespace fastopt::engine::describing {

template <class Rule>
concept HasScalars = requires { typename Rule::Scalars; };
template <class Rule>
concept HasSums = requires { Rule::sums; };
template <class Rule>
concept HasStart = requires(const typename Rule::Hypers& h) { Rule::start(0, h); };

template <class Rule>
concept HasLookAhead = requires(const typename Rule::Hypers& h) { Rule::look_ahead(h); };

template <class Rule>
concept HasOwnDecay = requires(const typename Rule::template Coefs<double>& c) { Rule::own_decay(c); };
template <class Rule>
concept HasAverage = requires(const typename Rule::Hypers& h) { Rule::average_at(h); };
template <class Rule>
concept SumsOverAll = requires { Rule::shared; };

template <class Rule>
constexpr bool is_valid() {
  if constexpr (requires { Rule::valid; })
    return Rule::valid;
  else
    return true;
}

template <class Rule>
constexpr bool has_own_decay() {
  for (const std::string_view name : Rule::hypers)
    if (name == "weight_decay") return true;
  return false;
}

template <class Struct>
Struct from_array(const double* values) {
  std::array<double, sizeof(Struct) / sizeof(double)> array;
  std::copy_n(values, array.size(), array.begin());
  return std::bit_cast<Struct>(array);
}

template <class Struct>
void to_array(const Struct& from, double* values) {
  const auto array = std::bit_cast<std::array<double, sizeof(Struct) / sizeof(double)>>(from);
  std::copy_n(array.begin(), array.size(), values);
}

template <class Rule>
void prepare(const double* hypers, std::int64_t t, [[maybe_unused]] double* scalars, double* coefs) {
  const auto h = from_array<typename Rule::Hypers>(hypers);
  if constexpr (HasScalars<Rule>) {
    auto s = from_array<typename Rule::Scalars>(scalars);
    to_array(Rule::prepare(h, t, s), coefs);
    to_array(s, scalars);
  } else {
    to_array(Rule::prepare(h, t), coefs);
  }
}

template <class Rule>
rules::Start start([[maybe_unused]] std::size_t state, [[maybe_unused]] const double* hypers) {
  if constexpr (HasStart<Rule>) return Rule::start(state, from_array<typename Rule::Hypers>(hypers));
  return {};
}

template <class Rule>
double look_ahead(const double* hypers) {
  return Rule::look_ahead(from_array<typename Rule::Hypers>(hypers));
}

template <class Rule>
double own_decay(const double* coefs) {
  return Rule::own_decay(from_array<typename Rule::template Coefs<double>>(coefs));
}

template <class Rule>
double average_at(const double* hypers) {
  return Rule::average_at(from_array<typename Rule::Hypers>(hypers));
}

template <class Rule>
void settle(const double* hypers, const double* sums, double* scalars) {
  auto s = from_array<typename Rule::Scalars>(scalars);
  double values[Rule::sums];
  std::copy_n(sums, Rule::sums, values);
  Rule::settle(from_array<typename Rule::Hypers>(hypers), values, s);
  to_array(s, scalars);
}

template <class Rule>
void conclude(double* coefs, const double* sums, const double* scalars) {
  auto c = from_array<typename Rule::template Coefs<double>>(coefs);
  double values[Rule::sums];
  std::copy_n(sums, Rule::sums, values);
  Rule::conclude(c, values, from_array<typename Rule::Scalars>(scalars));
  to_array(c, coefs);
}

template <class Rule>
void finish(double* coefs, const double* sums, [[maybe_unused]] std::int64_t n) {
  auto c = from_array<typename Rule::template Coefs<double>>(coefs);
  double values[Rule::sums];
  std::copy_n(sums, Rule::sums, values);
  if constexpr (requires { Rule::finish(c, values, n); })
    Rule::finish(c, values, n);
  else
    Rule::finish(c, values);
  to_array(c, coefs);
}

template <class Rule, class T>
void row(T mean_square, T* kept, T* coefs) {
  Rule::row(mean_square, *kept, *reinterpret_cast<typename Rule::template Coefs<T>*>(coefs));
}

// Flags that choose nothing within the loops share those of another set of flags.
template <class Rule>
struct LoopsOf {
  using type = Rule;
};
template <class Rule>
  requires requires { typename Rule::Loops; }
struct LoopsOf<Rule> {
  using type = typename Rule::Loops;
};

}  // namespace fastopt::engine::describing
