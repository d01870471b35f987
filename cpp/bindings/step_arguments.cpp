// What a step is asked with, read and refused by name. Arguments are taken as objects, so that the message names the
// argument and not a C++ signature.
#include <cmath>
#include <limits>

#include "bindings/arrays.hpp"
#include "bindings/bound_plan.hpp"
#include "bindings/plan_values.hpp"

FASTOPT_BINDINGS_BEGIN

engine::Options read_options(double clip_value, double clip_norm, double clip_norm_type, const std::string& clip_norm_per,
                             const std::string& nonfinite, double ema_decay) {
  if (!(clip_value >= 0)) throw py::value_error("clip_value: expected a number >= 0 (0: none)");
  if (!(clip_norm >= 0)) throw py::value_error("clip_norm: expected a number >= 0 (0: none)");
  const bool largest = clip_norm_type == std::numeric_limits<double>::infinity(), per_tensor = clip_norm_per == "tensor";
  if (!(clip_norm_type == 2 || largest)) throw py::value_error("clip_norm_type: expected 2 or inf");
  if (!(clip_norm_per == "all" || per_tensor)) throw py::value_error("clip_norm_per: expected 'all' or 'tensor'");
  if (!(ema_decay <= 1)) throw py::value_error("ema_decay: expected a number <= 1 (< 0: none)");
  engine::Options o;
  o.clip_value = clip_value;
  o.clip_norm = clip_norm;
  o.clip_norm_type = largest ? engine::NormType::infinity : engine::NormType::two;
  o.clip_norm_per_tensor = per_tensor;
  o.ema_decay = ema_decay;
  o.nonfinite = read_nonfinite(nonfinite);
  return o;
}

// As Python writes it; integers have a limit of digits, above which it refuses.
static std::string written(const py::object& given) {
  try {
    return py::repr(given).cast<std::string>();
  } catch (const py::error_already_set&) {
    return describe(given.ptr());
  }
}

double read_grad_scale(const py::object& given) {
  bool number = PyNumber_Check(given.ptr()) && !PyBool_Check(given.ptr());
  double scale = 0;
  if (number) {
    scale = PyFloat_AsDouble(given.ptr());
    number = PyErr_Occurred() == nullptr || PyErr_ExceptionMatches(PyExc_OverflowError);
    PyErr_Clear();
  }
  if (!number) throw py::type_error("grad_scale: expected a positive finite number, got " + describe(given.ptr()));
  if (!(scale > 0) || !std::isfinite(scale) || !std::isfinite(1 / scale))
    throw py::value_error("grad_scale: expected a positive finite number with a finite inverse, got " + written(given));
  return scale;
}

bool read_zero_grads(const py::object& given) {
  if (!PyBool_Check(given.ptr())) throw py::type_error("zero_grads: expected True or False, got " + describe(given.ptr()));
  return given.ptr() == Py_True;
}

const py::object& check_gradients(const py::object& given, std::size_t parameters) {
  PyObject* const list = given.ptr();
  if (!PyList_Check(list) && !PyTuple_Check(list))
    throw py::type_error("grads: expected a list or tuple with an array or None for each parameter, got " + describe(list));
  const auto n = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(list));
  if (n != parameters)
    throw py::value_error("grads: expected " + std::to_string(parameters) + " arrays, one for each parameter, got " +
                          std::to_string(n));
  return given;
}

// Every scheduled group needs its rate, asked for this very step; a group that was given a constant meanwhile needs none.
BoundPlan::Rates BoundPlan::read_rates(const py::object& asked, std::int64_t at) const {
  Rates rates;
  if (!asked.is_none())
    for (const auto& [group, rate] : read_numbers<int>(py::dict(asked)))
      if (native_[group_index(group)].scheduled) rates.emplace_back(group, rate);
  std::size_t wanted = 0;
  for (const NativeGroup& group : native_) wanted += group.scheduled;
  if (rates.size() != wanted || (wanted > 0 && at != plan_.steps))
    throw std::runtime_error(
        "this optimizer is in use: another thread has stepped, or assigned a schedule, while the schedules were asked");
  return rates;
}

FASTOPT_BINDINGS_END
