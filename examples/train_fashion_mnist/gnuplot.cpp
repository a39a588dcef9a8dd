#include "gnuplot.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "user_error.hpp"

namespace trainer {

void require_gnuplot() {
  if (std::system("gnuplot --version >/dev/null 2>&1") != 0)
    throw user_error("--plots: needs gnuplot (Debian: apt-get install gnuplot-nox)");
}

void run_gnuplot(const std::string& script) {
  std::FILE* pipe = popen("gnuplot", "w");
  if (pipe == nullptr) throw std::runtime_error("gnuplot cannot be run");
  const bool written = std::fwrite(script.data(), 1, script.size(), pipe) == script.size();
  const int code = pclose(pipe);
  if (!written || code != 0) throw std::runtime_error("gnuplot failed");
}

}  // namespace trainer
