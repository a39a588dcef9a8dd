// A call of feaug for a function in Python.
#pragma once

#include "device.hpp"
#include "names.hpp"
#include "tensors.hpp"

namespace feaug_torch {

/// Runs body for a Python function; argument errors of feaug become a ValueError with the names of
/// that function and its arguments.
template <class Body>
void run_on(const char* function, const Tensor& x, const Body& body) {
  const on_device_of place(x);
  with_pythons_names(function, [&] { body(place.from()); });
}

}  // namespace feaug_torch
