// The registry: one line per rule. Kernels, bindings, tests and benchmarks all iterate over it.
#pragma once
#include "rules/adabelief.hpp"
#include "rules/adadelta.hpp"
#include "rules/adagrad.hpp"
#include "rules/adam.hpp"
#include "rules/adamax.hpp"
#include "rules/adan.hpp"
#include "rules/asgd.hpp"
#include "rules/ftrl.hpp"
#include "rules/lamb.hpp"
#include "rules/lars.hpp"
#include "rules/lion.hpp"
#include "rules/muon.hpp"
#include "rules/nadam.hpp"
#include "rules/radam.hpp"
#include "rules/rmsprop.hpp"
#include "rules/rowwise_adagrad.hpp"
#include "rules/rowwise_adam.hpp"
#include "rules/rprop.hpp"
#include "rules/sgd.hpp"
#include "rules/signsgd.hpp"

namespace fastopt::rules {

template <template <unsigned> class...>
struct List {};

using All = List<Sgd, Adagrad, Adadelta, RmsProp, Rprop, Asgd, Adam, Adamax, NAdam, RAdam, Lion, SignSgd, AdaBelief, Adan,
                 Lars, Lamb, Ftrl, Muon, RowWiseAdagrad, RowWiseAdam>;

}  // namespace fastopt::rules
