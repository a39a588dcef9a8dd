// An error that the user can fix: main prints it on one line and exits with 2.
#pragma once

#include <stdexcept>

namespace trainer {

struct user_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace trainer
