#include <pybind11/stl.h>

#include <map>
#include <utility>

#include "bindings/bound_plan.hpp"
#include "bindings/construct.hpp"
#include "bindings/register.hpp"

FASTOPT_BINDINGS_BEGIN

namespace {

template <class Range, class Name>
py::list names(const Range& range, Name&& name) {
  py::list list;
  for (const auto& entry : range) list.append(std::string(name(entry)));
  return list;
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
    rule["hypers"] = names(k.hypers, self);
    rule["scalars"] = names(k.scalars, self);
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
                    reinterpret_cast<std::uintptr_t>(k.decayed_f32), reinterpret_cast<std::uintptr_t>(k.decayed_f64)});
  return list;
}

std::vector<double> scalars(BoundPlan& p, int tensor) {
  const auto lock = p.lock();
  const std::size_t n = p.plan().group(p.plan().group_of(tensor)).kernel->scalars.size();
  const double* values = p.plan().scalars(tensor);
  return {values, values + n};
}

void set_scalars(BoundPlan& p, int tensor, const std::vector<double>& values) {
  const auto lock = p.lock();
  std::copy(values.begin(), values.end(), p.plan().scalars(tensor));
}

// Of each group: has the EMA of its tensors begun?
std::vector<bool> averaged(BoundPlan& p) {
  std::vector<bool> begun;
  for (int i = 0; i < p.plan().groups(); ++i) begun.push_back(p.plan().group(i).averaged);
  return begun;
}

void set_averaged(BoundPlan& p, const std::vector<bool>& begun) {
  const auto lock = p.lock();
  for (int i = 0; i < p.plan().groups(); ++i) p.plan().group(i).averaged = begun.at(static_cast<std::size_t>(i));
}

}  // namespace

void register_plan(py::module_& m) {
  m.def("rules", &rules, "Every rule with every set of flags.");
  m.def("prepare", &prepare, py::arg("rule"), py::arg("flags"), py::arg("hypers"), py::arg("t"), py::arg("scalars"),
        "Coefficients of a step, and the scalars after it.");
  m.def("kernel_addresses", &kernel_addresses, "Addresses of update, reduce and decayed, float and double; 0 for none.");
  py::class_<BoundPlan> c(m, "Plan", py::module_local(), "The arrays of one optimizer, and how a step changes them.");
  def_init<BoundPlan, double, double, const std::string&, double, bool>(
      c, py::arg("clip_value"), py::arg("clip_norm"), py::arg("nonfinite"), py::arg("ema_decay"), py::arg("uint16_is_bf16"));
  c.def("add_group", &BoundPlan::add_group, py::arg("rule"), py::arg("flags"), py::arg("hypers"), py::arg("decay_kind"))
      .def("set_hypers", &BoundPlan::set_hypers, py::arg("group"), py::arg("hypers"))
      .def("set_start", &BoundPlan::set_start, py::arg("group"), py::arg("state"), py::arg("value"),
           py::arg("gradient_squared"))
      .def("set_maximize", &BoundPlan::set_maximize, py::arg("group"), py::arg("maximize"))
      .def("check_parameters", &BoundPlan::check_parameters, py::arg("arrays"), py::arg("labels"))
      .def("add_parameter", &BoundPlan::add_parameter, py::arg("group"), py::arg("array"), py::arg("states"), py::arg("ema"),
           py::arg("label"))
      .def("bind_gradients", &BoundPlan::bind_gradients, py::arg("gradients"))
      .def("step", &BoundPlan::step, py::arg("gradients") = py::none(), py::arg("grad_scale") = 1.0,
           py::arg("zero_gradients") = false)
      .def("look_ahead", &BoundPlan::look_ahead)
      .def("write_ema", &BoundPlan::write_ema)
      .def(
          "count", [](BoundPlan& p, int tensor) { return p.plan().count(tensor); }, py::arg("tensor"))
      .def(
          "set_count",
          [](BoundPlan& p, int tensor, std::int64_t count) {
            const auto lock = p.lock();
            p.plan().count(tensor) = count;
          },
          py::arg("tensor"), py::arg("count"))
      .def("scalars", &scalars, py::arg("tensor"))
      .def("set_scalars", &set_scalars, py::arg("tensor"), py::arg("values"))
      .def_property(
          "steps", [](BoundPlan& p) { return p.plan().steps; },
          [](BoundPlan& p, std::int64_t n) {
            const auto lock = p.lock();
            p.plan().steps = n;
          })
      .def_property(
          "skipped", [](BoundPlan& p) { return p.plan().skipped; },
          [](BoundPlan& p, std::int64_t n) {
            const auto lock = p.lock();
            p.plan().skipped = n;
          })
      .def_property("averaged", &averaged, &set_averaged)
      .def_property_readonly("norm", [](BoundPlan& p) { return p.plan().norm; });
}

FASTOPT_BINDINGS_END
