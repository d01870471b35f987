#include <pybind11/stl.h>

#include <map>
#include <memory>
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

std::string_view word_of(rules::Shape shape) {
  switch (shape) {
    case rules::Shape::rows: return "rows";
    case rules::Shape::columns: return "columns";
    case rules::Shape::square_of_rows: return "square_of_rows";
    case rules::Shape::square_of_columns: return "square_of_columns";
    default: return "matrix";
  }
}

// States of a rule of matrices, behind those that are of the parameter's shape ("").
void add_shaped(py::dict& rule, const engine::Kernel& k) {
  rule["matrix"] = bool(k.transform);
  rule["shapes"] = names(k.states, [](const rules::State&) { return std::string_view(); });
  for (const rules::Shaped& s : k.shaped) {
    for (const char* key : {"squared", "codes"}) rule[key].cast<py::list>().append("");
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
    rule["codes"] = names(k.states, [](const rules::State& s) {
      return !s.used || s.codes == rules::Codes::none ? "" : s.codes == rules::Codes::positive ? "u" : "i";
    });
    add_shaped(rule, k);
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

// `with optimizer.lookahead():` and `with optimizer.ema_weights():`. Entering and leaving are one native call each: no
// signal handler runs half-way. Should the block never be left (a profiler that raises), the end of this object puts things
// back.
class Elsewhere {
 public:
  Elsewhere(py::object plan, bool lookahead, py::object ask)
      : owner_(std::move(plan)),
        plan_(owner_.cast<BoundPlan&>()),
        place_(lookahead ? BoundPlan::Place::lookahead : BoundPlan::Place::averages),
        ask_(std::move(ask)) {}
  ~Elsewhere() {
    try {
      leave();
    } catch (const std::exception& error) {
      PyErr_SetString(PyExc_ValueError, error.what());
      PyErr_WriteUnraisable(nullptr);
    }
  }
  void enter() {
    if (active_) throw std::runtime_error("this context manager has been entered already");
    py::object rates = py::none();
    std::int64_t at = -1;
    if (!ask_.is_none()) std::tie(rates, at) = ask_().cast<std::pair<py::object, std::int64_t>>();
    plan_.move_to(place_, rates, at);
    active_ = true;
  }
  void leave() {
    if (std::exchange(active_, false)) plan_.move_home();
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

 private:
  py::object owner_;
  BoundPlan& plan_;
  BoundPlan::Place place_;
  py::object ask_;  // the schedules' rates, and for which step; None
  bool active_ = false;
};

// `with plan.exclusive():` and `with plan.asking():`, with the plan kept alive. Entering is one native call, between which
// and the block no signal handler runs; should the block never be left (a profiler that raises), the end of this object
// gives the plan back.
class ExclusiveUse {
 public:
  ExclusiveUse(py::object plan, bool asking) : owner_(std::move(plan)), in_use_(of(owner_.cast<BoundPlan&>(), asking)) {}
  void enter() { lock_ = in_use_.operation(); }
  void leave() { lock_.release(); }

 private:
  static InUse& of(BoundPlan& plan, bool asking) { return asking ? plan.asking() : plan.in_use(); }
  py::object owner_;
  InUse& in_use_;
  InUse::Lock lock_;
};

// Made by calling its class, whose construct.hpp knows what to do when memory runs out; returning a pointer does not.
template <class Bound, class... Arguments>
py::object made(Arguments&&... arguments) {
  return py::type::of<Bound>()(std::forward<Arguments>(arguments)...);
}

template <class Bound>
void as_context(Bound& bound) {
  using Context = typename Bound::type;
  bound.def("__enter__", &Context::enter).def("__exit__", [](Context& c, const py::args&) { c.leave(); });
}

void register_plan_itself(py::module_& m) {
  const py::object none = py::none();
  py::class_<BoundPlan> c(m, "Plan", py::module_local(), "The arrays of one optimizer, and how a step changes them.");
  def_init<BoundPlan, double, double, double, const std::string&, const std::string&, double, bool>(
      c, py::arg("clip_value"), py::arg("clip_norm"), py::arg("clip_norm_type"), py::arg("clip_norm_per"),
      py::arg("nonfinite"), py::arg("ema_decay"), py::arg("uint16_is_bf16"));
  c.def("check_parameters", &BoundPlan::check_parameters, py::arg("arrays"), py::arg("labels"))
      .def("add_groups", &BoundPlan::add_groups, py::arg("groups"), py::arg("mirrors"))
      .def("set_group", &BoundPlan::set_group, py::arg("group"), py::arg("hypers"), py::arg("maximize"),
           py::arg("scheduled"), py::arg("mirrors"))
      .def("set_hypers", &BoundPlan::set_hypers, py::arg("group"), py::arg("hypers"))
      .def("lr", &BoundPlan::lr, py::arg("group"))
      .def("restore", &BoundPlan::restore, py::arg("tensors"), py::arg("groups"), py::arg("steps"), py::arg("skipped"),
           py::arg("averaged"), py::arg("mirrors"))
      .def("bind_gradients", &BoundPlan::bind_gradients, py::arg("gradients"))
      .def("step", &BoundPlan::step, py::arg("gradients") = none, py::arg("grad_scale") = 1.0,
           py::arg("zero_gradients") = false, py::arg("rates") = none, py::arg("at") = -1)
      .def("exclusive", [](const py::object& p) { return made<ExclusiveUse>(p, false); })
      .def("asking", [](const py::object& p) { return made<ExclusiveUse>(p, true); })
      .def(
          "lookahead", [](const py::object& p, const py::object& ask) { return made<Elsewhere>(p, true, ask); },
          py::arg("ask") = none)
      .def("ema_weights", [](const py::object& p) { return made<Elsewhere>(p, false, py::none()); })
      .def("refuse_elsewhere", &BoundPlan::refuse_elsewhere, py::arg("what"))
      .def_property_readonly("elsewhere", &BoundPlan::is_elsewhere)
      .def("count", &BoundPlan::count, py::arg("tensor"))
      .def("set_count", &BoundPlan::set_count, py::arg("tensor"), py::arg("count"))
      .def("scalars", &BoundPlan::scalars, py::arg("tensor"))
      .def("set_scalars", &BoundPlan::set_scalars, py::arg("tensor"), py::arg("values"))
      .def_property(
          "steps", [](const BoundPlan& p) { return p.published().steps.load(); }, &BoundPlan::set_steps)
      .def_property(
          "skipped", [](const BoundPlan& p) { return p.published().skipped.load(); }, &BoundPlan::set_skipped)
      .def("write_shadows", &BoundPlan::write_shadows)
      .def_property("seed", &BoundPlan::seed, &BoundPlan::set_seed)
      .def_property_readonly("averaged", &BoundPlan::averaged)
      .def_property_readonly("norm", [](const BoundPlan& p) { return p.published().norm.load(); });
}

}  // namespace

void register_plan(py::module_& m) {
  py::register_local_exception<RefusedGradient>(m, "RefusedGradient", PyExc_ValueError);
  m.def("rules", &rules, "Every rule with every set of flags.");
  m.def("prepare", &prepare, py::arg("rule"), py::arg("flags"), py::arg("hypers"), py::arg("t"), py::arg("scalars"),
        "Coefficients of a step, and the scalars after it.");
  m.def("kernel_addresses", &kernel_addresses, "Addresses of update, reduce and decayed, float and double; 0 for none.");
  py::class_<ExclusiveUse> exclusive(m, "Exclusive", py::module_local(), "An operation of several calls, as one.");
  def_init<ExclusiveUse, py::object, bool>(exclusive, py::arg("plan"), py::arg("asking"));
  as_context(exclusive);
  py::class_<Elsewhere> elsewhere(m, "Elsewhere", py::module_local(), "The parameters hold other values for a while.");
  def_init<Elsewhere, py::object, bool, py::object>(elsewhere, py::arg("plan"), py::arg("lookahead"), py::arg("ask"));
  as_context(elsewhere);
  register_plan_itself(m);
}

FASTOPT_BINDINGS_END
