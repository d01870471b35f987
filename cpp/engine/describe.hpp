// From a rule to its Kernels. Included by the units that CMake makes of the registry, one for each rule
// (kernels_of_rule.cpp.in).
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <utility>
#include <vector>

#include "engine/coded_loop.hpp"
#include "engine/erased.hpp"
#include "engine/kernels.hpp"

namespace fastopt::engine {
namespace describing {

template <class Rule>
FASTOPT_COLD Kernel describe(unsigned flags) {
  using Coefs = typename Rule::template Coefs<double>;
  using Loops = typename LoopsOf<Rule>::type;
  static_assert(sizeof(typename Rule::Hypers) == Rule::hypers.size() * sizeof(double), "a name for each hyper-parameter");
  static_assert(Rule::states.size() <= max_states && Rule::hypers.size() <= max_hypers);
  static_assert(sizeof(Coefs) <= max_coefs * sizeof(double));
  Kernel k{};
  k.name = Rule::name;
  k.flags = flags;
  k.flag_names = Rule::flags;
  k.hypers = Rule::hypers;
  k.states = Rule::states;
  k.coefs = sizeof(Coefs) / sizeof(double);
  k.rows = true;
  if constexpr (requires { Rule::rows; }) k.rows = Rule::rows;
  if constexpr (requires { Rule::fills_first; }) k.fills_first = Rule::fills_first;
  k.reads_gradient = true;
  k.prepare = prepare<Rule>;
  k.start = start<Rule>;
  k.update_f32 = Loop<Loops, float>::template update<false, false>;
  k.update_f64 = Loop<Loops, double>::template update<false, false>;
  if constexpr (!has_own_decay<Rule>()) {
    k.decayed_f32 = Loop<Loops, float>::template update<true, false>;
    k.decayed_f64 = Loop<Loops, double>::template update<true, false>;
  }
  if constexpr (requires { requires Rule::scales_in_loop; }) {
    static_assert(!HasSums<Rule> && !requires { Rule::matrix; } && !requires { &Rule::template row<float>; });
    k.scaled_f32 = Loop<Loops, float>::template update<false, true>;
    k.scaled_decayed_f32 = Loop<Loops, float>::template update<true, true>;
  }
  if constexpr (requires { requires Rule::codes_in_loop; }) {
    static_assert(CodedLoop<Loops>::any_coded() && !Loop<Loops, float>::reduce_writes_states);
    k.update_coded = CodedLoop<Loops>::update_coded;
    if constexpr (!has_own_decay<Rule>()) k.decayed_coded = CodedLoop<Loops>::decayed_coded;
  }
  if constexpr (requires { Rule::reach; }) k.reach = Rule::reach;
  if constexpr (HasLookAhead<Rule>) k.look_ahead = look_ahead<Rule>;
  if constexpr (requires { Rule::reads_theta; }) k.reads_theta = Rule::reads_theta;
  if constexpr (HasOwnDecay<Rule>) k.own_decay = own_decay<Rule>;
  if constexpr (HasAverage<Rule>) k.average_at = average_at<Rule>;
  if constexpr (HasScalars<Rule>) {
    static_assert(sizeof(typename Rule::Scalars) == Rule::scalars.size() * sizeof(double));
    static_assert(Rule::scalars.size() <= max_scalars);
    static const auto first = std::bit_cast<std::array<double, Rule::scalars.size()>>(typename Rule::Scalars{});
    k.scalars = Rule::scalars;
    k.first_scalars = first.data();
  }
  if constexpr (HasSums<Rule>) {
    static_assert(Rule::sums <= max_sums);
    k.sums = Rule::sums;
    k.reads_gradient = Rule::reads_gradient;
    k.reduce_writes_states = Loop<Loops, float>::reduce_writes_states;
    k.reduce_reads = Loop<Loops, float>::reduce_reads;
    if constexpr (SumsOverAll<Rule>) {
      k.shared = Rule::shared;
      k.settle = settle<Rule>;
      k.conclude = conclude<Rule>;
    } else {
      k.finish = finish<Rule>;
    }
    k.reduce_f32 = Loop<Loops, float>::reduce;
    k.reduce_f64 = Loop<Loops, double>::reduce;
  }
  if constexpr (requires { Rule::shaped; }) {
    static_assert(Rule::shaped.size() <= max_shaped);
    k.shaped = Rule::shaped;
  }
  if constexpr (requires { &Rule::template row<float>; }) {
    k.row_f32 = row<Rule, float>;
    k.row_f64 = row<Rule, double>;
  }
  for (std::size_t s = 0; s < k.shaped.size(); ++s)
    if (k.shaped[s].used && k.shaped[s].name == "row_steps") k.row_steps = static_cast<int>(s);
  if constexpr (requires { Rule::matrix; }) {
    static_assert(!HasSums<Rule>);
    k.rows = false;
    k.reduce_writes_states = true;
    k.gather_f32 = Loop<Rule, float>::gather;
    k.gather_f64 = Loop<Rule, double>::gather;
    k.transform = find_transform(Rule::name, flags);
  }
  return k;
}

template <template <unsigned> class Rule, unsigned Flags>
void add(std::vector<Kernel>& table) {
  if constexpr (is_valid<Rule<Flags>>()) table.push_back(describe<Rule<Flags>>(Flags));
}

template <template <unsigned> class Rule, unsigned... Flags>
FASTOPT_COLD void add_all(std::vector<Kernel>& table, std::integer_sequence<unsigned, Flags...>) {
  (add<Rule, Flags>(table), ...);
}

}  // namespace describing

template <template <unsigned> class Rule>
void append_kernels(std::vector<Kernel>& table) {
  describing::add_all<Rule>(table, std::make_integer_sequence<unsigned, 1u << Rule<0>::flags.size()>{});
}

}  // namespace fastopt::engine
