// In place of py::init<...>(), which has two gaps. When there is no memory for an entry in pybind11's table of instances, it
// throws where nobody catches, and the process ends: this function raises MemoryError then. And an object that was made by
// __new__ alone has no value: pybind11 gives its methods memory in which nothing was constructed. That memory is refused.
#pragma once
#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

template <class Bound>
void* refuse_unconstructed(std::size_t) {
  throw pybind11::type_error(pybind11::str(pybind11::type::of<Bound>().attr("__name__")).template cast<std::string>() +
                             ": expected an object that was made by calling its class; __init__() has not run");
}

template <class Bound, class... Arguments, class Class, class... Names>
void def_init(Class& c, const Names&... names) {
  using pybind11::detail::value_and_holder;
  pybind11::detail::get_type_info(reinterpret_cast<PyTypeObject*>(c.ptr()))->operator_new = refuse_unconstructed<Bound>;
  c.def(
      "__init__",
      [](value_and_holder& self, Arguments... arguments) {
        auto made = std::make_unique<Bound>(std::forward<Arguments>(arguments)...);
        self.value_ptr() = made.get();
        try {
          self.type->init_instance(self.inst, &made);  // enters it into the table and takes it over
        } catch (...) {
          self.value_ptr() = nullptr;
          throw;
        }
      },
      pybind11::detail::is_new_style_constructor(), names...);
}

FASTOPT_BINDINGS_END
