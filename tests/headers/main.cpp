// All units include feaug.hpp. The program links only if nothing is defined twice.
#include <cmath>
#include <cstdio>

double loss_in_unit_a();
double loss_in_unit_b();
double loss_in_unit_with_macros();

int main() {
  const double a = loss_in_unit_a();
  const double b = loss_in_unit_b();
  const double c = loss_in_unit_with_macros();
  const bool right = a == b && std::abs(a - std::log1p(std::exp(-2.0))) < 1e-6 &&
                     std::abs(c - 2 * std::log1p(std::exp(-1.0))) < 1e-6;
  if (!right) std::printf("unit a: %.9g, unit b: %.9g, unit with macros: %.9g\n", a, b, c);
  return right ? 0 : 1;
}
