// The registry: one line per rule. Kernels, bindings, tests and benchmarks all iterate over it.
#pragma once
#include "rules/adabelief.hpp"
#include "rules/adadelta.hpp"
#include "rules/adafactor.hpp"
#include "rules/adagrad.hpp"
#include "rules/adam.hpp"
#include "rules/adamax.hpp"
#include "rules/adan.hpp"
#include "rules/ademamix.hpp"
#include "rules/adopt.hpp"
#include "rules/asgd.hpp"
#include "rules/ftrl.hpp"
#include "rules/grams.hpp"
#include "rules/kron.hpp"
#include "rules/lamb.hpp"
#include "rules/laprop.hpp"
#include "rules/lars.hpp"
#include "rules/lion.hpp"
#include "rules/mars.hpp"
#include "rules/muon.hpp"
#include "rules/nadam.hpp"
#include "rules/prodigy.hpp"
#include "rules/radam.hpp"
#include "rules/rmsprop.hpp"
#include "rules/rowwise_adagrad.hpp"
#include "rules/rowwise_adam.hpp"
#include "rules/rprop.hpp"
#include "rules/schedule_free_adamw.hpp"
#include "rules/schedule_free_radam.hpp"
#include "rules/schedule_free_sgd.hpp"
#include "rules/sgd.hpp"
#include "rules/shampoo.hpp"
#include "rules/signsgd.hpp"
#include "rules/soap.hpp"
#include "rules/stableadamw.hpp"

namespace fastopt::rules {

template <template <unsigned> class...>
struct List {};

using All = List<Sgd, Adagrad, Adadelta, RmsProp, Rprop, Asgd, Adam, Adamax, NAdam, RAdam, Lion, SignSgd, AdaBelief, Adan,
                 Lars, Lamb, Ftrl, AdEMAMix, Adopt, LaProp, Grams, StableAdamW, Mars, Muon, ScheduleFreeSgd,
                 ScheduleFreeAdamW, ScheduleFreeRAdam, Prodigy, Soap, Adafactor, Shampoo, Kron, RowWiseAdagrad, RowWiseAdam>;

}  // namespace fastopt::rules
