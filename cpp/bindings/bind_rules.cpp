// The registry of rules, for Python.
#include <pybind11/stl.h>

#include <map>
#include <utility>

#include "bindings/register.hpp"
#include "engine/plan.hpp"

FASTOPT_BINDINGS_BEGIN

namespace py = pybind11;

namespace {

template <class Range, class Name>
py::list names(const Range& range, Name&& name) {
  py::list list;
  for (const auto& entry : range) list.append(std::string(name(entry)));
  return list;
}

std::string_view word_of(rules::Shape shape) {
  switch (shape) {
    case rules::Shape::rows: return "rows";
    case rules::Shape::columns: return "columns";
    case rules::Shape::square_of_rows: return "square_of_rows";
    case rules::Shape::square_of_columns: return "square_of_columns";
    case rules::Shape::matrix: return "matrix";
    default: return "own";
  }
}

// States of a rule of matrices, behind those that are of the parameter's shape ("").
void add_shaped(py::dict& rule, const engine::Kernel& k) {
  rule["matrix"] = bool(k.transform);
  rule["shapes"] = names(k.states, [](const rules::State&) { return std::string_view(); });
  for (const rules::Shaped& s : k.shaped) {
    for (const char* key : {"squared", "small", "exact", "codes"}) rule[key].cast<py::list>().append("");
    rule["states"].cast<py::list>().append(std::string(s.used ? s.name : std::string_view()));
    rule["shapes"].cast<py::list>().append(std::string(word_of(s.shape)));
  }
}

// The registry, for Python: which rules there are, with which flags, states and hyper-parameters.
py::list rules() {
  const auto self = [](std::string_view name) { return name; };
  py::list list;
  for (const engine::Kernel& k : engine::kernels()) {
    py::dict rule;
    rule["name"] = std::string(k.name);
    rule["flags"] = k.flags;
    rule["flag_names"] = names(k.flag_names, self);
    rule["states"] = names(k.states, [](const rules::State& s) { return s.used ? s.name : std::string_view(); });
    rule["squared"] =
        names(k.states, [](const rules::State& s) { return s.used && s.squared ? s.name : std::string_view(); });
    rule["small"] = names(k.states, [](const rules::State& s) { return s.used && s.small ? s.name : std::string_view(); });
    rule["exact"] = names(k.states, [](const rules::State& s) { return s.used && s.exact ? s.name : std::string_view(); });
    rule["codes"] = names(k.states, [](const rules::State& s) {
      return !s.used || s.codes == rules::Codes::none ? "" : s.codes == rules::Codes::positive ? "u" : "i";
    });
    rule["reads_theta"] = k.reads_theta;
    rule["own_decay"] = k.own_decay != nullptr;
    add_shaped(rule, k);
    rule["hypers"] = names(k.hypers, self);
    rule["scalars"] = names(k.scalars, self);
    rule["over_all"] = k.settle != nullptr;
    constexpr double any[engine::max_hypers] = {};
    py::list copies;
    for (std::size_t s = 0; s < k.states.size(); ++s)
      if (k.start(s, any).parameter != 0) copies.append(std::string(k.states[s].name));
    rule["copies"] = copies;
    rule["first_scalars"] = std::vector<double>(k.first_scalars, k.first_scalars + k.scalars.size());
    list.append(rule);
  }
  return list;
}

// The coefficients that a rule forms in double for step t, and the scalars it leaves: what tests hold against arithmetic
// with 50 digits.
std::pair<std::vector<double>, std::vector<double>> prepare(const std::string& name, unsigned flags,
                                                            const std::map<std::string, double>& hypers, std::int64_t t,
                                                            std::vector<double> scalars) {
  const engine::Kernel* const kernel = engine::find_kernel(name, flags);
  if (kernel == nullptr) throw py::value_error("no rule " + name + " with flags " + std::to_string(flags));
  if (scalars.size() != kernel->scalars.size() || t < 1)
    throw py::value_error("expected a step >= 1 and the scalars of the rule");
  double values[engine::max_hypers] = {};
  for (std::size_t i = 0; i < kernel->hypers.size(); ++i) values[i] = hypers.at(std::string(kernel->hypers[i]));
  std::vector<double> coefs(static_cast<std::size_t>(kernel->coefs));
  kernel->prepare(values, t, scalars.data(), coefs.data());
  return {coefs, scalars};
}

// Where the loops of each kernel begin, in the order of rules(): what tests/test_disassembly.py looks at.
std::vector<std::vector<std::uintptr_t>> kernel_addresses() {
  std::vector<std::vector<std::uintptr_t>> list;
  for (const engine::Kernel& k : engine::kernels())
    list.push_back({reinterpret_cast<std::uintptr_t>(k.update_f32), reinterpret_cast<std::uintptr_t>(k.update_f64),
                    reinterpret_cast<std::uintptr_t>(k.reduce_f32), reinterpret_cast<std::uintptr_t>(k.reduce_f64),
                    reinterpret_cast<std::uintptr_t>(k.decayed_f32), reinterpret_cast<std::uintptr_t>(k.decayed_f64),
                    reinterpret_cast<std::uintptr_t>(k.scaled_f32), reinterpret_cast<std::uintptr_t>(k.scaled_decayed_f32)});
  return list;
}

}  // namespace

void register_rules(py::module_& m) {
  m.def("rules", &rules, "Every rule with every set of flags.");
  m.def("prepare", &prepare, py::arg("rule"), py::arg("flags"), py::arg("hypers"), py::arg("t"), py::arg("scalars"),
        "Coefficients of a step, and the scalars after it.");
  m.def(
      "kernel_addresses", &kernel_addresses,
      "Addresses of update, reduce and decayed, float and double, and of scaled, float without and with decay; 0 for none.");
}

FASTOPT_BINDINGS_END
