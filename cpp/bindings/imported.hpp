// An object of another module, imported when it is first wanted and kept for the process.
//
// Not the initialiser of a static local: whoever comes second would wait there for the first without giving up the GIL,
// which the first needs to import.
#pragma once
#include <pybind11/pybind11.h>

#include <atomic>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

class Imported {
 public:
  constexpr Imported(const char* module, const char* name) : module_(module), name_(name) {}

  PyObject* get() {
    if (PyObject* const known = object_.load(std::memory_order_acquire)) return known;
    pybind11::object found = pybind11::module_::import(module_).attr(name_);
    PyObject* first = nullptr;
    if (!object_.compare_exchange_strong(first, found.ptr(), std::memory_order_acq_rel)) return first;
    return found.release().ptr();
  }

 private:
  const char *module_, *name_;
  std::atomic<PyObject*> object_{nullptr};
};

FASTOPT_BINDINGS_END
