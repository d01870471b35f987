// fastopt.SparseRows, as the bindings meet it.
#pragma once
#include "bindings/arrays.hpp"

FASTOPT_BINDINGS_BEGIN

bool is_sparse_rows(PyObject* object);

// In words, for messages.
std::string accepted_gradients(engine::Dtype parameter);

FASTOPT_BINDINGS_END
