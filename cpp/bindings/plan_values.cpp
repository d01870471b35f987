#include "bindings/plan_values.hpp"

#include <pybind11/stl.h>

FASTOPT_BINDINGS_BEGIN

engine::Nonfinite read_nonfinite(const std::string& word) {
  if (word == "propagate") return engine::Nonfinite::propagate;
  if (word == "skip") return engine::Nonfinite::skip;
  if (word == "raise") return engine::Nonfinite::raise;
  throw py::value_error("nonfinite: expected 'propagate', 'skip' or 'raise', got '" + word + "'");
}

engine::WeightDecay read_decay_kind(const std::string& word) {
  if (word == "coupled") return engine::WeightDecay::coupled;
  if (word == "decoupled") return engine::WeightDecay::decoupled;
  if (word == "rule") return engine::WeightDecay::in_rule;
  throw py::value_error("decay_kind: expected 'coupled', 'decoupled' or 'rule', got '" + word + "'");
}

std::int64_t read_count(const char* name, std::int64_t count) {
  if (count < 0) throw py::value_error(std::string(name) + ": expected an integer >= 0, got " + std::to_string(count));
  return count;
}

void check_length(const char* name, std::size_t given, std::size_t expected) {
  if (given != expected)
    throw py::value_error(std::string(name) + ": expected " + std::to_string(expected) + ", got " + std::to_string(given));
}

namespace {

double& slot(engine::Group& group, const std::string& name) {
  if (name == "l1") return group.l1;
  if (name == "l1_proximal") return group.l1_proximal;
  if (name == "cautious") return group.cautious;
  if (name == "cautious_weight_decay") return group.cautious_weight_decay;
  if (name == "centralize") return group.centralize;
  if (name == "weight_decay" && group.decay_kind != engine::WeightDecay::in_rule) return group.weight_decay;
  for (std::size_t i = 0; i < group.kernel->hypers.size(); ++i)
    if (group.kernel->hypers[i] == name) return group.hypers[i];
  throw py::value_error("rule " + std::string(group.kernel->name) + " has no hyper-parameter " + name);
}

}  // namespace

void assign(engine::Group& group, engine::Group* other, double& lr_ratio, const py::dict& hypers) {
  constexpr std::string_view of_other = "other.";
  for (const auto& [name, value] : read_numbers<std::string>(hypers)) {
    if (other == nullptr || !name.starts_with(of_other))
      slot(group, name) = value;
    else if (name == "other.lr_ratio")
      lr_ratio = value;
    else
      slot(*other, name.substr(of_other.size())) = value;
  }
}

void assign_starts(engine::Group& group, const py::dict& starts) {
  const auto items = py::reinterpret_steal<py::list>(PyDict_Items(starts.ptr()));
  if (!items) throw py::error_already_set();
  for (const auto& item : items) {
    const auto of_state = item.cast<std::pair<std::string, py::object>>();
    const auto& name = of_state.first;  // by name: before Clang 16 no lambda captures a structured binding
    const auto& value = of_state.second;
    const auto shaped = group.kernel->shaped;
    if (std::any_of(shaped.begin(), shaped.end(), [&](const rules::Shaped& state) { return state.name == name; })) {
      group.row_start = value.cast<double>();
      continue;
    }
    std::size_t s = 0;
    while (s < group.kernel->states.size() && group.kernel->states[s].name != name) ++s;
    if (s == group.kernel->states.size())
      throw py::value_error("rule " + std::string(group.kernel->name) + " has no state " + name);
    group.start_gradient_squared[s] = value.is_none();
    group.starts_set[s] = !value.is_none();
    if (!value.is_none()) group.starts[s] = value.cast<double>();
  }
}

FASTOPT_BINDINGS_END
