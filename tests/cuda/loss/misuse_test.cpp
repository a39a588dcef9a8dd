// Error messages of losses on a GPU, also for host memory; and an invalid number in device memory.
#include <catch2/catch.hpp>
#include <cmath>
#include <string>

#include "cuda/loss/agreement_losses.hpp"
#include "cuda/support/device_copy.hpp"
#include "feaug/cuda/loss/info_nce.cuh"
#include "support/loss_misuse.hpp"
#include "support/message_of.hpp"

namespace misuse_test {

using device_test::device_array;
using device_test::device_copy;
using testing::test_matrix;

TEST_CASE("every loss on a GPU reports invalid arguments before it writes", "[cuda][loss]") {
  testing::check_misuses(agreement_test::refusing_cuda_losses(), testing::seen_on::device);
}

TEST_CASE("error messages of sinkhorn on a GPU", "[cuda][loss]") {
  testing::loss_case valid("sinkhorn", {{"iterations", 3}});
  valid.given.options.erase("gradient_scale");
  valid.given.options.erase("cotangent");
  valid.matrix("scores", 4, 3).matrix("extra_scores", 2, 3);
  const auto says = [](const conformance::test_case& wrong) {
    conformance::arguments given(wrong);
    return testing::message_of([&] { agreement_test::cuda_losses<float>().at("sinkhorn")(given); });
  };
  for (const char* pointer : {"scores", "extra_scores", "out", "potentials"}) {
    conformance::test_case wrong = valid.given;
    wrong.wrong = {.argument = pointer, .what = conformance::damage::kind::host_memory};
    const std::string verb = pointer == std::string("potentials") ? "_potentials: " : ": ";
    CHECK(says(wrong) == "sinkhorn" + verb + pointer +
                             ": got a pointer to ordinary host memory, wanted device memory");
  }
  valid.given.options["iterations"] = -1;
  CHECK(says(valid.given) == "sinkhorn: iterations: got -1, wanted at least 0");
}

TEST_CASE("an invalid temperature in device memory gives NaN", "[cuda][loss]") {
  const device_copy<float> keys(test_matrix<float>::normal(5, 6, 2));
  const device_array<float> loss({0, 0, 0, 0, 0});
  const device_array<float> temperature({-1});
  feaug::cuda_context gpu;
  feaug::info_nce(gpu, keys.view(), keys.view(), feaug::device_vector<float>(loss.data(), 5),
                  {.reduction = feaug::reduce::none,
                   .learnable_temperature = feaug::stop_gradient(
                       feaug::device_vector<const float>(temperature.data(), 1))});
  for (const float value : loss.to_host()) CHECK(std::isnan(value));
}

}  // namespace misuse_test
