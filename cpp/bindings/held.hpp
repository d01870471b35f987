// References to the arrays of a caller's list, taken before the first of them is looked at: looking at a dtype may run
// Python, which may change the list, drop its arrays, or both.
#pragma once
#include <pybind11/critical_section.h>
#include <pybind11/pybind11.h>

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

namespace py = pybind11;

using References = std::vector<PyObject*>;

// Memory for references that a plan lends from step to step, so that a step allocates nothing. It comes back when the plan
// is free again, maybe while another thread is at its step: so one pointer changes hands.
class Lender {
 public:
  Lender() = default;
  ~Lender() { delete memory_.load(std::memory_order_acquire); }
  Lender(const Lender&) = delete;
  Lender& operator=(const Lender&) = delete;

  std::unique_ptr<References> lend() {
    std::unique_ptr<References> memory(memory_.exchange(nullptr, std::memory_order_acquire));
    return memory ? std::move(memory) : std::make_unique<References>();
  }
  void take_back(std::unique_ptr<References> memory) noexcept {
    delete memory_.exchange(memory.release(), std::memory_order_acq_rel);
  }

 private:
  std::atomic<References*> memory_{nullptr};
};

class Held {
 public:
  explicit Held(Lender& lender) : lender_(lender) {}
  // While Python may run, and after all locks were given back: what it lets go of may run Python.
  ~Held() {
    if (!own_) return;
    for (PyObject* item : *own_) Py_DECREF(item);
    own_->clear();
    lender_.take_back(std::move(own_));
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;

  // One more object, as long.
  void also(py::object object) { more_.push_back(std::move(object)); }

  // A list or tuple. A tuple cannot change, so it is itself held; of a list every item. No Python runs in here.
  void take(const py::object& sequence) {
    sequence_ = sequence;
    PyObject* const s = sequence.ptr();
    if (PyTuple_Check(s)) {
      items_ = PySequence_Fast_ITEMS(s);
      size_ = static_cast<std::size_t>(PyTuple_GET_SIZE(s));
      return;
    }
    own_ = lender_.lend();
    take_list(s);
    items_ = own_->data();
    size_ = own_->size();
  }
  PyObject* const* begin() const { return items_; }
  std::size_t size() const { return size_; }

 private:
  void take_list(PyObject* list) {
    const py::scoped_critical_section unchanged(list);
    own_->reserve(static_cast<std::size_t>(PyList_GET_SIZE(list)));
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
      PyObject* item = PyList_GET_ITEM(list, i);
      own_->push_back(item);
      Py_INCREF(item);
    }
  }

  Lender& lender_;
  std::unique_ptr<References> own_;
  std::vector<py::object> more_;
  py::object sequence_;
  PyObject* const* items_ = nullptr;
  std::size_t size_ = 0;
};

// A list or tuple as a tuple, which nobody can change.
inline py::tuple as_tuple(const py::handle& sequence) {
  PyObject* const s = sequence.ptr();
  py::object t;
  if (PyTuple_Check(s))
    t = py::reinterpret_borrow<py::object>(s);
  else
    t = py::reinterpret_steal<py::object>(PyList_Check(s) ? PyList_AsTuple(s) : PySequence_Tuple(s));
  if (!t) throw py::error_already_set();
  return py::reinterpret_borrow<py::tuple>(t);
}

FASTOPT_BINDINGS_END
