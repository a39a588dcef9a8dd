// Common code of the handlers: conversion of exceptions to XLA errors, and an exported symbol for
// Python.
#pragma once

#include <xla/ffi/api/ffi.h>

#include <exception>
#include <new>
#include <stdexcept>

namespace feaug_jax {

namespace ffi = xla::ffi;

/// Runs body(). Exceptions become XLA errors, since XLA is compiled without exceptions; argument
/// errors become InvalidArgument with feaug's message.
template <class Body>
ffi::Error answer(const Body& body) noexcept {
  try {
    body();
    return ffi::Error::Success();
  } catch (const std::invalid_argument& refused) {
    return ffi::Error::InvalidArgument(refused.what());
  } catch (const std::bad_alloc& none) {
    return {ffi::ErrorCode::kResourceExhausted, none.what()};
  } catch (const std::exception& failure) {
    return ffi::Error::Internal(failure.what());
  }
}

}  // namespace feaug_jax

// All other symbols of the libraries are hidden, except the functions of installation.cpp.
#define FEAUG_JAX_HANDLER(symbol, function, binding)                                           \
  extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* symbol(XLA_FFI_CallFrame*); \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(symbol, function, binding)
