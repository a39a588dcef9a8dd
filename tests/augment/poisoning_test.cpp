// A queue in which an attacker controls 1 % of the rows: how often each neighbour policy returns an
// attacker's row, and how far its output moves. docs/robustness.md has the table that
// `feaug_test_augment "[poisoning-table]"` prints.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "feaug/cpu/augment/neighbour.hpp"
#include "feaug/cpu/augment/pseudo_neighbour.hpp"
#include "support/test_matrix.hpp"

namespace poisoning_test {

using feaug::index_t;
using testing::test_matrix;

namespace {

/// Unit rows around cluster centres: two rows of a cluster have cosine 0.6, a row and its centre
/// 0.78.
struct world {
  index_t rows;      ///< of the queue
  index_t queries;   ///< of the batch
  index_t cols;      ///< features
  index_t clusters;  ///< each has the same number of rows and of queries
  [[nodiscard]] index_t attackers() const { return rows / 100; }
};
constexpr world small = {.rows = 1000, .queries = 120, .cols = 128, .clusters = 10};
constexpr world large = {.rows = 4000, .queries = 400, .cols = 128, .clusters = 20};

using row_type = std::vector<double>;

row_type unit(row_type row) {
  double sum = 0;
  for (const double x : row) sum += x * x;
  for (double& x : row) x /= std::sqrt(sum);
  return row;
}

class random_rows {
 public:
  random_rows(index_t cols, unsigned seed) : cols_(cols), generator_(seed) {}
  row_type direction() {
    row_type row(static_cast<std::size_t>(cols_));
    for (double& x : row) x = normal_(generator_);
    return unit(row);
  }
  /// unit(from + distance · a random direction).
  row_type near(const row_type& from, double distance) {
    return toward(from, direction(), distance);
  }
  static row_type toward(const row_type& from, const row_type& direction, double distance) {
    row_type row = from;
    for (std::size_t j = 0; j < row.size(); ++j) row[j] += distance * direction[j];
    return unit(row);
  }

 private:
  index_t cols_;
  std::mt19937 generator_;
  std::normal_distribution<double> normal_;
};

/// The attacker's rows; `target` is the direction in which the attack should move outputs.
struct attack {
  std::string name;
  std::vector<row_type> rows;
  row_type target;
  double norm = 1;
};

struct scene {
  world of;
  test_matrix<float> queue;
  test_matrix<float> queries;
  std::vector<attack> attacks;

  explicit scene(const world& size)
      : of(size), queue(size.rows, size.cols), queries(size.queries, size.cols) {
    random_rows draw(size.cols, 5);
    std::vector<row_type> centres;
    for (index_t c = 0; c < size.clusters; ++c) centres.push_back(draw.direction());
    const auto centre_of = [&](index_t i) -> const row_type& {
      return centres[static_cast<std::size_t>(i % size.clusters)];
    };
    const auto fill = [&](test_matrix<float>& m) {
      for (index_t i = 0; i < m.rows(); ++i) put(m, i, draw.near(centre_of(i), 0.8));
    };
    fill(queue);
    fill(queries);
    const row_type dense = draw.direction();
    row_type axis(dense.size(), 0.0);
    axis[0] = 1;
    const auto one = [&](const std::string& name, const row_type& target, double norm,
                         const std::function<row_type(index_t)>& row) {
      attack made = {.name = name, .rows = {}, .target = target, .norm = norm};
      for (index_t i = 0; i < size.attackers(); ++i) made.rows.push_back(row(i));
      attacks.push_back(made);
    };
    const double huge = 1e6;
    one("centres", dense, 1, [&](index_t i) { return draw.near(centre_of(i), 0.05); });
    one("copies", dense, 1, [&](index_t i) {
      row_type victim;
      for (index_t j = 0; j < size.cols; ++j) victim.push_back(queries.get(i, j));
      return draw.near(victim, 0.03);
    });
    one("one cluster", dense, 1, [&](index_t) { return draw.near(centres[0], 0.05); });
    one("pull along an axis", axis, 1,
        [&](index_t i) { return random_rows::toward(centre_of(i), axis, 0.4); });
    one("pull along all", dense, 1,
        [&](index_t i) { return random_rows::toward(centre_of(i), dense, 0.4); });
    one("huge norms", dense, huge, [&](index_t) { return draw.direction(); });
  }

  static void put(test_matrix<float>& m, index_t i, const row_type& row, double norm = 1) {
    for (index_t j = 0; j < m.cols(); ++j) m.set(i, j, norm * row[static_cast<std::size_t>(j)]);
  }
  /// The queue with the attacker's rows in its first slots.
  [[nodiscard]] test_matrix<float> poisoned(const attack& by) const {
    test_matrix<float> rows = queue;
    for (index_t i = 0; i < of.attackers(); ++i)
      put(rows, i, by.rows[static_cast<std::size_t>(i)], by.norm);
    return rows;
  }
};

/// The output of a policy for a queue.
struct outcome {
  test_matrix<float> out;
  std::vector<index_t> slots;  ///< k per query
  index_t k;
};

template <class How>
outcome run(const How& how, index_t k, test_matrix<float> queue,
            const test_matrix<float>& queries) {
  index_t cursor = 0;
  index_t size = queue.rows();
  const feaug::support_queue<float> view = {
      .storage = queue.view(), .cursor = &cursor, .size = &size, .normalize = false};
  const index_t rows = queries.rows();
  outcome made = {.out = test_matrix<float>(rows, queries.cols()),
                  .slots = std::vector<index_t>(static_cast<std::size_t>(rows * k)),
                  .k = k};
  feaug::cpu_context ctx;
  feaug::augment(ctx, feaug::neighbour_from(view, how, {.rows_used = {made.slots.data(), rows, k}}),
                 queries.view(), {.seed = 1}, made.out.view());
  return made;
}

/// The search of public implementations: the largest dot product with the stored rows, which are not
/// normalised.
outcome run_raw_product(const test_matrix<float>& queue, const test_matrix<float>& queries) {
  outcome made = {.out = test_matrix<float>(queries.rows(), queries.cols()), .slots = {}, .k = 1};
  for (index_t i = 0; i < queries.rows(); ++i) {
    index_t best = 0;
    double most = -1e300;
    for (index_t slot = 0; slot < queue.rows(); ++slot) {
      double dot = 0;
      for (index_t j = 0; j < queue.cols(); ++j) dot += queries.get(i, j) * queue.get(slot, j);
      if (dot > most) {
        most = dot;
        best = slot;
      }
    }
    made.slots.push_back(best);
    row_type row;
    for (index_t j = 0; j < queue.cols(); ++j) row.push_back(queue.get(best, j));
    scene::put(made.out, i, unit(row));
  }
  return made;
}

struct policy {
  std::string name;
  std::function<outcome(const test_matrix<float>&, const test_matrix<float>&)> run_on;
};

std::vector<policy> all_policies() {
  constexpr auto to_query = feaug::neighbour_fallback::query;
  std::vector<policy> all;
  const auto add = [&](const std::string& name, index_t k, const auto& how) {
    all.push_back({name, [how, k](const auto& queue, const auto& queries) {
                     return run(how, k, queue, queries);
                   }});
  };
  using feaug::mean_neighbour;
  using feaug::median_neighbour;
  using feaug::mutual_neighbour_of;
  using feaug::neighbour;
  all.push_back({"largest raw product", run_raw_product});
  add("neighbour", 1, neighbour{});
  add("random of 5", 5, feaug::random_neighbour{});
  add("pseudo, w = 0.5", 1, feaug::pseudo_neighbour{.weight = 0.5F, .normalize = true});
  add("mean of 5", 5, mean_neighbour{});
  add("trimmed mean of 5", 5, feaug::trimmed_mean_neighbour{});
  add("median of 5", 5, median_neighbour{});
  add("neighbour, floor 0.5", 1, neighbour{.fallback = to_query, .similarity = {.floor = 0.5}});
  add("neighbour, ceiling 0.95", 1, neighbour{.similarity = {.ceiling = 0.95}});
  add("mutual", 1, feaug::mutual_neighbour{.of = {.fallback = to_query}});
  add("mutual median of 5, 3 queries", 5,
      mutual_neighbour_of<median_neighbour>{.of = {.fallback = to_query}, .queries = 3});
  add("mutual median of 5, 3 queries, ceiling 0.95", 5,
      mutual_neighbour_of<median_neighbour>{
          .of = {.fallback = to_query, .similarity = {.ceiling = 0.95}}, .queries = 3});
  return all;
}

struct measured {
  double share = 0;      ///< of queries whose output uses an attacker's row
  double cosine = 0;     ///< mean cosine between the outputs for the clean and the poisoned queue
  double pull = 0;       ///< mean movement along the attacker's target direction
  double fell_back = 0;  ///< share of queries without a neighbour
};

measured measure(const outcome& clean, const outcome& poisoned, const attack& by) {
  measured sum;
  const index_t rows = clean.out.rows();
  const auto attackers = static_cast<index_t>(by.rows.size());
  for (index_t i = 0; i < rows; ++i) {
    bool touched = false;
    for (index_t r = 0; r < poisoned.k; ++r) {
      const index_t slot = poisoned.slots[static_cast<std::size_t>(i * poisoned.k + r)];
      touched = touched || (slot >= 0 && slot < attackers);
    }
    sum.share += touched ? 1 : 0;
    sum.fell_back += poisoned.slots[static_cast<std::size_t>(i * poisoned.k)] < 0 ? 1 : 0;
    double dot = 0;
    double norms[2] = {};
    for (index_t j = 0; j < clean.out.cols(); ++j) {
      const double a = clean.out.get(i, j);
      const double b = poisoned.out.get(i, j);
      dot += a * b;
      norms[0] += a * a;
      norms[1] += b * b;
      sum.pull += (b - a) * by.target[static_cast<std::size_t>(j)];
    }
    sum.cosine += dot / std::sqrt(norms[0] * norms[1]);
  }
  const auto count = static_cast<double>(rows);
  return {sum.share / count, sum.cosine / count, sum.pull / count, sum.fell_back / count};
}

/// By names of attack and policy.
using table = std::map<std::string, std::map<std::string, measured>>;

table measure_all(const scene& where) {
  table all;
  for (const policy& one : all_policies()) {
    const outcome clean = one.run_on(where.queue, where.queries);
    const attack nobody = {.name = "", .rows = {}, .target = where.attacks[0].target};
    all["clean"][one.name] = measure(clean, clean, nobody);
    for (const attack& by : where.attacks) {
      all[by.name][one.name] = measure(clean, one.run_on(where.poisoned(by), where.queries), by);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("effect of a poisoned queue on each policy", "[augment][neighbour][poisoning][numbers]") {
  const scene where(small);
  table got = measure_all(where);
  for (const auto& [attack, policies] : got) {
    for (const auto& [name, m] : policies) {
      CAPTURE(attack, name, m.share, m.cosine, m.pull, m.fell_back);
      CHECK((m.share >= 0 && m.cosine > 0));
    }
  }
  const double every_attacker =  // each attacker's row is used by one query
      static_cast<double>(small.attackers()) / static_cast<double>(small.queries);

  // Rows at the centres are nearer than any honest row, so a floor does not exclude them. A mutual
  // row is used by at most one query.
  auto& centres = got["centres"];
  CHECK(centres["neighbour"].share > 0.9);
  CHECK(centres["neighbour, floor 0.5"].share > 0.9);
  CHECK(centres["median of 5"].share > 0.9);
  CHECK(centres["mutual"].share <= every_attacker);
  CHECK(centres["mutual median of 5, 3 queries"].share <= 3 * every_attacker);
  CHECK(centres["random of 5"].share < centres["neighbour"].share / 2);

  // Copies of queries are returned for every victim, unless there is a ceiling.
  auto& copies = got["copies"];
  CHECK(copies["neighbour"].share >= every_attacker);
  CHECK(copies["mutual"].share >= 0.9 * every_attacker);
  CHECK(copies["neighbour, ceiling 0.95"].share < copies["neighbour"].share / 2);

  // The attacker has a majority of the five nearest rows, so no mean or median helps.
  auto& cluster = got["one cluster"];
  const double members = 1 / static_cast<double>(small.clusters);
  CHECK(cluster["neighbour"].share >= 0.9 * members);
  CHECK(cluster["median of 5"].share >= 0.9 * members);
  CHECK(cluster["mutual"].share <= every_attacker);

  // One or two of five rows are far off along one axis; trimming removes them.
  auto& axis = got["pull along an axis"];
  CHECK(axis["mean of 5"].pull < axis["neighbour"].pull);
  CHECK(axis["median of 5"].pull < axis["mean of 5"].pull / 2);
  CHECK(axis["trimmed mean of 5"].pull < axis["mean of 5"].pull);
  CHECK(axis["pseudo, w = 0.5"].pull < axis["neighbour"].pull);

  // Cosine similarity ignores norms.
  auto& norms = got["huge norms"];
  CHECK(norms["largest raw product"].share > 0.95);
  for (const auto& [name, m] : norms) {
    CAPTURE(name);
    CHECK((name == "largest raw product" || m.share < 0.05));
  }
}

TEST_CASE("the table of docs/robustness.md", "[.][poisoning-table]") {
  const scene where(large);
  table got = measure_all(where);
  const auto print = [&](const char* title, const auto& cell) {
    std::printf("\n%s\n\n| policy |", title);
    for (const attack& by : where.attacks) std::printf(" %s |", by.name.c_str());
    std::printf("\n|---|");
    for (std::size_t i = 0; i < where.attacks.size(); ++i) std::printf("---:|");
    for (const policy& one : all_policies()) {
      std::printf("\n| %s |", one.name.c_str());
      for (const attack& by : where.attacks)
        std::printf(" %s |", cell(got[by.name][one.name]).c_str());
    }
    std::printf("\n");
  };
  const auto text = [](const char* format, double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, format, value);
    return std::string(buffer);
  };
  print("Queries that got an attacker's row, or one made with it, in percent:",
        [&](const measured& m) { return text("%.0f", 100 * m.share); });
  print("Mean cosine to what the policy makes of the clean queue:",
        [&](const measured& m) { return text("%.2f", m.cosine); });
  std::printf("\nStep along the attacker's direction, and queries without a neighbour:\n");
  std::printf("\n| policy | pull along an axis | pull along all | fell back, clean queue, %% |\n");
  std::printf("|---|---:|---:|---:|\n");
  for (const policy& one : all_policies()) {
    std::printf("| %s | %.3f | %.3f | %.0f |\n", one.name.c_str(),
                got["pull along an axis"][one.name].pull, got["pull along all"][one.name].pull,
                100 * got["clean"][one.name].fell_back);
  }
  CHECK(got.size() == where.attacks.size() + 1);
}

}  // namespace poisoning_test
