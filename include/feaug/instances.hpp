// The library feaug::instances: the largest templates of the CPU, compiled once in it instead of in
// every unit that calls them. feaug/feaug.hpp includes this header.
//
// A unit uses the library's copies if FEAUG_INSTANCES is defined. CMake defines it for targets that
// link feaug::instances. A unit compiles its own copies in the debug mode of the standard library,
// and with a sanitizer that the compiler announces.
// FEAUG_INSTANCES_SANITIZED says that the library is compiled with the same sanitizer.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/cpu/augment/neighbours.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/loss/cached_softmax_pass.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/cross_moments.hpp"
#include "feaug/cpu/loss/logistic.hpp"
#include "feaug/cpu/loss/symmetric_tiles.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "feaug/version.hpp"

#if defined(__has_feature)
#define FEAUG_DETAIL_HAS_FEATURE(feature) __has_feature(feature)
#else
#define FEAUG_DETAIL_HAS_FEATURE(feature) 0
#endif
#if defined(_GLIBCXX_DEBUG)
// Types have another layout in the debug mode of the standard library: the library is empty.
#elif defined(FEAUG_INSTANCES_DEFINED)  // in the library
#define FEAUG_DETAIL_INSTANCE template
#elif defined(FEAUG_INSTANCES) &&                                                                  \
    (defined(FEAUG_INSTANCES_SANITIZED) ||                                                         \
     !(defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_HWADDRESS__) ||                         \
       defined(__SANITIZE_THREAD__) || FEAUG_DETAIL_HAS_FEATURE(address_sanitizer) ||              \
       FEAUG_DETAIL_HAS_FEATURE(hwaddress_sanitizer) ||                                            \
       FEAUG_DETAIL_HAS_FEATURE(memory_sanitizer) || FEAUG_DETAIL_HAS_FEATURE(thread_sanitizer) || \
       FEAUG_DETAIL_HAS_FEATURE(undefined_behavior_sanitizer)))
#define FEAUG_DETAIL_INSTANCE extern template
#endif
#undef FEAUG_DETAIL_HAS_FEATURE

#if defined(FEAUG_DETAIL_INSTANCE)
namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

// C: the type in which a loss is computed.
#define FEAUG_DETAIL_INSTANCES_OF(C)                                                               \
  FEAUG_DETAIL_INSTANCE void multiply<C>(instruction_set, const tile_product<C>&);                 \
  FEAUG_DETAIL_INSTANCE void softmax_pass<C>(cpu_context&, const contrast_problem<C>&, bool, bool, \
                                             const row_finish<C>&);                                \
  FEAUG_DETAIL_INSTANCE void cached_softmax_pass<C>(cpu_context&, const contrast_problem<C>&,      \
                                                    bool, bool, const softmax_weights&,            \
                                                    const row_finish<C>&, const sum_finish<C>&);   \
  FEAUG_DETAIL_INSTANCE void gradient_pass<C>(cpu_context&, const contrast_problem<C>&,            \
                                              const softmax_weights&, const softmax_weights&,      \
                                              const sum_finish<C>&);                               \
  FEAUG_DETAIL_INSTANCE void logistic_pass<C>(cpu_context&, const contrast_problem<C>&, double,    \
                                              const double*, const logistic_range&,                \
                                              const logistic_finish<C>&, const sum_finish<C>&);    \
  FEAUG_DETAIL_INSTANCE void paired_sums<C>(cpu_context&, const paired_contrast<C>&, bool,         \
                                            kept_tiles<C>&);                                       \
  FEAUG_DETAIL_INSTANCE void paired_gradients<C>(                                                  \
      cpu_context&, const paired_contrast<C>&, const kept_tiles<C>&, const paired_weights<C>&,     \
      const row_destination<C>&, const row_destination<C>&);                                       \
  FEAUG_DETAIL_INSTANCE void kept_gradients<C>(cpu_context&, const paired_contrast<C>&,            \
                                               const kept_tiles<C>&, const paired_weights<C>&,     \
                                               index_t, index_t, const sum_finish<C>&);
FEAUG_DETAIL_INSTANCES_OF(float)
FEAUG_DETAIL_INSTANCES_OF(double)
#undef FEAUG_DETAIL_INSTANCES_OF

// T: the type of the features.
#define FEAUG_DETAIL_INSTANCES_OF(T)                                                              \
  FEAUG_DETAIL_INSTANCE void search<T>(cpu_context&, const search_space<T>&,                      \
                                       const matrix_view<const T>&, const nearest_outputs<T>&,    \
                                       const nearest_options&);                                   \
  FEAUG_DETAIL_INSTANCE void find_used_slots<T>(cpu_context&, const neighbour_source<T>&,         \
                                                const matrix_view<const T>&, const random_key&,   \
                                                index_t, index_t, index_t*);                      \
  FEAUG_DETAIL_INSTANCE void refuse_missing<T>(const neighbour_source<T>&,                        \
                                               const matrix_view<const T>&, const row_selection&, \
                                               index_t, index_t, const index_t*);                 \
  FEAUG_DETAIL_INSTANCE void make_row<T>(const neighbour_source<T>&, const used_slots&, double*,  \
                                         double*);                                                \
  FEAUG_DETAIL_INSTANCE void shadow_slot<T>(instruction_set, const support_queue<T>&, index_t);   \
  FEAUG_DETAIL_INSTANCE void normalize_backward_and_store<T>(                                     \
      const operand<T>&, const concatenated_rows<T>&, index_t, index_t, double, compute_t<T>*);   \
  FEAUG_DETAIL_INSTANCE void detail::make_strip<T>(cpu_context&, const cross_moments_problem<T>&, \
                                                   index_t, index_t, compute_t<T>*);
FEAUG_DETAIL_INSTANCES_OF(float)
FEAUG_DETAIL_INSTANCES_OF(double)
FEAUG_DETAIL_INSTANCES_OF(half)
FEAUG_DETAIL_INSTANCES_OF(bfloat16)
#undef FEAUG_DETAIL_INSTANCES_OF

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
#undef FEAUG_DETAIL_INSTANCE
#endif

#include "feaug/header_end.hpp"
