// Every loss on a GPU against the CPU's, in every row of the table: what its verbs write, the same
// bits in every order of threads, and no pointer to host memory.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/loss/agreement_losses.hpp"
#include "cuda/support/schedules.hpp"
#include "support/loss_cases.hpp"
#include "support/message_of.hpp"

namespace agreement_test {

using conformance::arguments;
using conformance::registry;
using conformance::result;
using conformance::results;
using testing::loss_case;

namespace {

template <class T>
bool is_for(const loss_case& row) {
  if (row.type == "double") return std::is_same_v<T, double>;
  if (row.type == "float") return std::is_same_v<T, float>;
  return true;
}

/// Whether a row is repeated in every order of threads. How a loss is summed depends on neither its
/// values nor, but for where rows are loaded and stored, its type: larger rows are float's alone.
template <class T>
bool is_scheduled(const loss_case& row) {
  std::size_t elements = 0;
  for (const auto& [name, x] : row.given.inputs) elements += x.data.size();
  const bool is_reduced = row.given.options.value("reduction", "mean") != "none";
  return is_reduced && elements <= (std::is_same_v<T, float> ? 4600 : 300);
}

results run(const registry& losses, const loss_case& row) {
  arguments given(row.given);
  return losses.at(row.loss)(given);
}

template <class T>
double tolerance_of(const loss_case& row, const result& got) {
  using C = feaug::compute_t<T>;
  const double larger = std::max(row.edge, 1.0);
  if (got.name == "loss") return std::min(larger * testing::tolerance<C>(), row.loss_tolerance);
  if (got.name == "statistics") return larger * testing::tolerance<C>();
  // The gradient of a number is a sum over all pairs.
  if (got.value.shape.empty()) return 10 * larger * testing::tolerance<C>();
  return larger * testing::tolerance<T>();
}

/// 0, finite, infinite or NaN.
int kind_of(double x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? FP_NORMAL : std::fpclassify(x);
}

std::vector<int> kinds_of(const std::vector<double>& numbers) {
  std::vector<int> kinds(numbers.size());
  std::transform(numbers.begin(), numbers.end(), kinds.begin(), kind_of);
  return kinds;
}

template <class T>
void check(const loss_case& row, const result& got, const result& want) {
  CAPTURE(want.name, want.route);
  REQUIRE(got.name == want.name);
  if (want.exact) {  // how much padding is damaged
    CHECK(got.value.data == std::vector<double>{0});
    CHECK(want.value.data == std::vector<double>{0});
    return;
  }
  if (want.name == "slots") {
    CHECK(got.value.data == want.value.data);
    return;
  }
  // Losses are differences of logits that are larger than 1: where one comes near 0, their rounding
  // is what is left of it.
  const bool is_features = want.value.shape.size() == 2;
  const double floor = is_features ? 1e-4 : 1e-2;
  CHECK(testing::relative_error(got.value.data, want.value.data, floor) <=
        tolerance_of<T>(row, want));
  if (row.edge > 0) {
    CHECK(kinds_of(got.value.data) == kinds_of(want.value.data));
  } else {
    // Two outputs that nobody wrote would be as equal.
    CHECK(std::none_of(want.value.data.begin(), want.value.data.end(),
                       [](double x) { return std::isnan(x); }));
  }
}

/// As bits: NaN is to be the same too.
std::vector<std::uint64_t> bits_of(const results& all) {
  std::vector<std::uint64_t> bits;
  for (const result& one : all.all()) {
    for (const double x : one.value.data) bits.push_back(std::bit_cast<std::uint64_t>(x));
  }
  return bits;
}

}  // namespace

TEMPLATE_TEST_CASE("every loss is the CPU's", "[cuda][loss][agreement]", double, float, feaug::half,
                   feaug::bfloat16) {
  const registry cpu = cpu_losses<TestType>();
  const registry gpu = cuda_losses<TestType>();
  for (const loss_case& row : testing::loss_cases()) {
    if (!is_for<TestType>(row)) continue;
    CAPTURE(row.given.name);
    const std::vector<result> want = run(cpu, row).all();
    const std::vector<result> got = run(gpu, row).all();
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) check<TestType>(row, got[i], want[i]);
  }
  for (const auto& [name, loss] : gpu) {
    CAPTURE(name);
    CHECK(std::any_of(testing::loss_cases().begin(), testing::loss_cases().end(),
                      [wanted = name](const loss_case& row) { return row.loss == wanted; }));
  }
}

TEMPLATE_TEST_CASE("every loss is the same bits in every order of threads",
                   "[cuda][loss][schedules]", double, float, feaug::half, feaug::bfloat16) {
  const registry gpu = cuda_losses<TestType>();
  for (const loss_case& row : testing::loss_cases()) {
    if (!is_for<TestType>(row) || !is_scheduled<TestType>(row)) continue;
    CAPTURE(row.given.name);
    std::optional<std::vector<std::uint64_t>> first;
    device_test::for_each_schedule([&] {
      const std::vector<std::uint64_t> bits = bits_of(run(gpu, row));
      if (!first) first = bits;
      const bool same = bits == *first;
      CHECK(same);
    });
  }
}

namespace {

/// What a case may misplace: inputs, what carries a loss, what is written.
std::vector<std::string> pointers_of(const loss_case& row) {
  std::vector<std::string> names;
  for (const auto& [name, input] : row.given.inputs) names.push_back(name);
  const auto add = [&](std::initializer_list<const char*> more) {
    names.insert(names.end(), more.begin(), more.end());
  };
  if (row.loss == "sinkhorn") {
    add({"out", "potentials"});
    return names;
  }
  add({"loss", "cotangent"});
  if (row.loss == "mean_shift") add({"indices"});
  for (const char* loss : {"info_nce", "hard_negative_info_nce", "symmetric_info_nce", "nt_xent",
                           "supervised_contrastive", "swapped_assignment"}) {
    if (row.loss == loss) add({"statistics"});
  }
  return names;
}

/// The verb that sees a pointer first, and what it calls the argument.
std::string refusal(const std::string& loss, const std::string& pointer) {
  const std::map<std::string, std::string> arguments = {{"temperature", "learnable_temperature"},
                                                        {"scale", "learnable_scale"},
                                                        {"bias", "learnable_bias"},
                                                        {"first", "drawn.first"},
                                                        {"second", "drawn.second"},
                                                        {"weights", "drawn.weights"},
                                                        {"noise", "drawn.noise"}};
  const bool has_queue = loss == "mean_shift" || loss == "relation_distillation";
  std::string argument = arguments.contains(pointer) ? arguments.at(pointer) : pointer;
  if (has_queue && pointer == "ids") argument = "queue.ids";
  std::string verb;
  if (pointer == "cotangent") verb = "_backward";
  if (has_queue && pointer == "support") verb = "_with_gradients";
  if (pointer == "potentials") verb = "_potentials";
  return loss + verb + ": " + argument +
         ": got a pointer to ordinary host memory, wanted device memory";
}

}  // namespace

TEST_CASE("every loss refuses inputs, losses and statistics in host memory", "[cuda][loss]") {
  const registry gpu = cuda_losses<float>();
  std::set<std::string> seen;
  for (const loss_case& row : testing::loss_cases()) {
    for (const std::string& pointer : pointers_of(row)) {
      const std::string wanted = refusal(row.loss, pointer);
      if (!seen.insert(wanted).second) continue;
      loss_case wrong = row;
      wrong.given.misplaced = pointer;
      CHECK(testing::message_of([&] { run(gpu, wrong); }) == wanted);
    }
  }
}

}  // namespace agreement_test
