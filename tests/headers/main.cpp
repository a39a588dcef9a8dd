// Both units include feaug.hpp. The program links only if nothing is defined twice.
#include <cmath>
#include <cstdio>

double loss_in_unit_a();
double loss_in_unit_b();

int main() {
  const double a = loss_in_unit_a();
  const double b = loss_in_unit_b();
  const bool right = a == b && std::abs(a - std::log1p(std::exp(-2.0))) < 1e-6;
  if (!right) std::printf("unit a: %.9g, unit b: %.9g\n", a, b);
  return right ? 0 : 1;
}
