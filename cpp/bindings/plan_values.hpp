// Numbers and words from Python, for a plan: each is read once, owned before it is looked at, and refused by name.
#pragma once
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings/held.hpp"
#include "engine/plan.hpp"

FASTOPT_BINDINGS_BEGIN

engine::Nonfinite read_nonfinite(const std::string& word);
engine::WeightDecay read_decay_kind(const std::string& word);
engine::Options read_options(double clip_value, double clip_norm, double clip_norm_type, const std::string& clip_norm_per,
                             const std::string& nonfinite, double ema_decay);
double read_grad_scale(const py::object& given);
bool read_zero_grads(const py::object& given);
std::int64_t read_count(const char* name, std::int64_t count);
void check_length(const char* name, std::size_t given, std::size_t expected);

// Hyper-parameters by their names: all of them or, on an exception, none, if these are copies. Those that begin with
// "other." are the other rule's, where a group has one; "other.lr_ratio" is `lr_ratio`.
void assign(engine::Group& group, engine::Group* other, double& lr_ratio, const py::dict& hypers);
// Where accumulators start: a number, or None for the square of the first gradient.
void assign_starts(engine::Group& group, const py::dict& starts);

// Numbers by key. Turning an object into a number may run Python, and that may change the dict: its items come first.
template <class Key>
std::vector<std::pair<Key, double>> read_numbers(const py::dict& dict) {
  const auto items = py::reinterpret_steal<py::list>(PyDict_Items(dict.ptr()));
  if (!items) throw py::error_already_set();
  std::vector<std::pair<Key, double>> numbers;
  numbers.reserve(items.size());
  for (const auto& item : items) numbers.push_back(item.cast<std::pair<Key, double>>());
  return numbers;
}

// The gradients of a step: a list or tuple with as many items as there are parameters.
const py::object& check_gradients(const py::object& given, std::size_t parameters);

FASTOPT_BINDINGS_END
