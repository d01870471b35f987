// Arrays that hold numbers in another form than a floating-point type of their own: remainders, shadows, codes.
#include "bindings/bound_plan.hpp"
#include "bindings/plan_values.hpp"

FASTOPT_BINDINGS_BEGIN

// An array laid out as its parameter, whose items are so many bytes of that kind of dtype.
void BoundPlan::check_bytes(PyObject* array, const Parameter& like, const std::string& what, std::size_t item,
                            char kind) const {
  const auto fits = [&] {
    if (!is_plain_array(array)) return false;
    const auto dtype = py::reinterpret_borrow<py::dtype>(View(array).descr());
    return dtype.kind() == kind && static_cast<std::size_t>(dtype.itemsize()) == item;
  };
  if (!fits())
    throw py::type_error(what + ": expected an array of " + std::to_string(item) + "-byte items of kind '" + kind +
                         "', got " + describe(array));
  check_layout(array, like, what, item);
}

void BoundPlan::read_master(const Parameter& parameter, engine::Tensor& t, const See& see) const {
  const std::string what = parameter.label + ": master";
  if (!PyTuple_Check(parameter.master.ptr()) || py::len(parameter.master) != 2)
    throw py::type_error(what + ": expected (kind, array)");
  const auto pair = py::reinterpret_borrow<py::tuple>(parameter.master);
  const auto kind = pair[0].cast<std::string>();
  PyObject* const array = PyTuple_GET_ITEM(pair.ptr(), 1);
  if (kind == "kahan" && (t.dtype() == engine::Dtype::bf16 || t.dtype() == engine::Dtype::f16)) {
    engine::Dtype dtype;
    check_buffer(array, parameter, what, dtype);
    if (dtype != t.dtype()) throw py::type_error(what + ": expected the dtype of the parameter");
    t.theta.encoding = dtype == engine::Dtype::bf16 ? engine::Encoding::bf16_kahan : engine::Encoding::f16_kahan;
  } else if ((kind == "split16" || kind == "split8") && t.dtype() == engine::Dtype::bf16) {
    const bool wide = kind == "split16";
    check_bytes(array, parameter, what, wide ? 2 : 1, 'i');
    t.theta.encoding = wide ? engine::Encoding::bf16_split16 : engine::Encoding::bf16_split8;
  } else {
    throw py::type_error(what + ": no kind '" + kind + "' of " + engine::dtype_name(t.dtype()));
  }
  t.theta.second = lowest(View(array), engine::second_size(t.theta.encoding));
  see(array);
}

void BoundPlan::read_shadow(Parameter& parameter, engine::Tensor& t, const See& see) const {
  PyObject* const array = parameter.shadow.ptr();
  engine::Dtype dtype;
  check_buffer(array, parameter, parameter.label + ": shadow", dtype);
  if (t.dtype() != engine::Dtype::f32 || (dtype != engine::Dtype::bf16 && dtype != engine::Dtype::f16))
    throw py::type_error(parameter.label + ": shadow: expected a bfloat16 or float16 array for a float32 parameter");
  t.shadow.encoding = engine::encoding_of(dtype);
  t.shadow.data = lowest(View(array), engine::item_size(dtype));
  parameter.seen_shadow.take(array);
  see(array);
}

// An array of numbers or, of codes, (codes, scales, positive).
engine::Stored BoundPlan::read_state(const py::object& state, const Parameter& parameter, const engine::Tensor& t,
                                     const rules::State& of, const std::string& what, const See& see) const {
  const bool wide = engine::computes_in_double(t.dtype());
  engine::Stored stored;
  if (!PyTuple_Check(state.ptr())) {
    engine::Dtype dtype;
    check_buffer(state.ptr(), parameter, what, dtype);
    if (engine::computes_in_double(dtype) && !wide) throw py::type_error(what + ": expected at most float32");
    stored.encoding = engine::encoding_of(dtype);
    stored.data = lowest(View(state.ptr()), engine::item_size(dtype));
    stored.stochastic = engine::item_size(dtype) == 2 && !of.maximum;
    stored.stays_finite = true;
    see(state.ptr());
    return stored;
  }
  if (wide) throw py::type_error(what + ": expected no codes for a float64 parameter");
  if (of.codes == rules::Codes::none) throw py::type_error(what + ": expected no codes");
  check_length((what + ": codes, scales, positive").c_str(), py::len(state), 3);
  const bool positive = of.codes == rules::Codes::positive;
  if (PyTuple_GET_ITEM(state.ptr(), 2) != (positive ? Py_True : Py_False))
    throw py::type_error(what + ": expected codes " + (positive ? "without" : "with") + " sign");
  PyObject* const codes = PyTuple_GET_ITEM(state.ptr(), 0);
  PyObject* const scales = PyTuple_GET_ITEM(state.ptr(), 1);
  check_bytes(codes, parameter, what, 1, 'u');
  engine::Dtype dtype;
  std::vector<Axis> axes;
  const auto groups = engine::groups_of(t.size);
  if (!is_plain_array(scales) || !storage_type_of(scales, false, dtype) || dtype != engine::Dtype::f32 ||
      View(scales).axes() != 1 || View(scales).shape(0) != groups || !View(scales).writeable() ||
      (groups > 1 && View(scales).stride(0) != 4))
    throw py::type_error(what + ": expected " + std::to_string(groups) + " scales of float32, got " + describe(scales));
  stored.encoding = positive ? engine::Encoding::positive8 : engine::Encoding::signed8;
  stored.data = lowest(View(codes), 1);
  stored.second = View(scales).data();
  stored.stochastic = true;
  see(codes);
  see(scales);
  return stored;
}

FASTOPT_BINDINGS_END
