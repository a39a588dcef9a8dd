// A call of feaug for a function in Python.
#pragma once

#include <stdexcept>

#include "device.hpp"
#include "names.hpp"
#include "tensors.hpp"

namespace feaug_torch {

/// Runs body for a Python function; argument errors of feaug become a ValueError with the names of
/// that function and its arguments.
template <class Body>
void run_on(const char* function, const Tensor& x, const Body& body) {
  const on_device_of place(x);
  try {
    body(place.from());
  } catch (const std::invalid_argument& refused) {
    throw std::invalid_argument(in_pythons_names(function, refused.what()));
  }
}

}  // namespace feaug_torch
