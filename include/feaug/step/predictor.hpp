// The predictor is the caller's network: all that a step asks of it.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A network h from N × D to N × D.
///
///     void forward(matrix_view<const T> input, matrix_view<T> output);
///     void backward(matrix_view<const T> input, matrix_view<const T> output_gradient,
///     matrix_view<T> input_gradient);
///
/// backward follows the forward that it belongs to, with no other forward between them; it adds to
/// the network's own parameter gradients and overwrites `input_gradient`. A step calls the pair
/// once a direction, with pre_predictor once a sample. On a GPU the views are of device memory, and
/// the network's work goes to the context's stream.
template <class P, class T, memory_space Space = memory_space::host>
concept predictor = element<T> &&
    requires(P& h, matrix_view<const T, Space> input, matrix_view<T, Space> output) {
  h.forward(input, output);
  h.backward(input, input, output);
};

/// For architecture::basic, which has none. Any other architecture refuses it.
struct no_predictor {
  template <class T, memory_space S>
  void forward(matrix_view<const T, S> /*input*/, matrix_view<T, S> /*output*/) const {}
  template <class T, memory_space S>
  void backward(matrix_view<const T, S> /*input*/, matrix_view<const T, S> /*output_gradient*/,
                matrix_view<T, S> /*input_gradient*/) const {}
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
