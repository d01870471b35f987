// The GIL, given away while one lives.
//
// A daemon thread that asks for it while the interpreter is being finalised is ended by CPython before 3.14: pthread_exit
// unwinds its stack, and a destructor that does not expect that, as pybind11's gil_scoped_release, aborts the process
// ("terminate called"). Here such a thread sleeps until the process has ended, as CPython 3.14 has it.
#pragma once
#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

#include "bindings/level.hpp"

FASTOPT_BINDINGS_BEGIN

class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // never left: the unwinding must neither go on nor be swallowed
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

FASTOPT_BINDINGS_END
