// The registry: one line per rule. Kernels, bindings, tests and benchmarks all iterate over it.
#pragma once
#include "rules/adam.hpp"
#include "rules/sgd.hpp"

namespace fastopt::rules {

template <template <unsigned> class...>
struct List {};

using All = List<Sgd, Adam>;

}  // namespace fastopt::rules
