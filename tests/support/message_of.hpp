// The error message of a call with invalid arguments.
#pragma once

#include <string>

#include "feaug/core/error.hpp"

namespace testing {

/// The message of the argument_error that `call` throws; empty if it throws none.
template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const feaug::argument_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace testing
