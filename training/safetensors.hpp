// SPDX-License-Identifier: Apache-2.0
// The safetensors file format: a canonical writer and a strict, bounded reader.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/program.hpp"
#include "training/tensor.hpp"

namespace trainyard::training {

struct NamedTensor {
    std::string name;
    Tensor tensor;
};

/// Text pairs of "__metadata__": keys and values of printable ASCII without quote or backslash.
using Metadata = std::vector<std::pair<std::string, std::string>>;

/// Names sorted, data in that order without gaps, header padded with spaces to a multiple of eight.
[[nodiscard]] Bytes write_safetensors(std::vector<NamedTensor> tensors, Metadata metadata);

enum class SafetensorsError {
    truncated,
    header_too_large,
    bad_header,
    bad_dtype,
    bad_shape,
    bad_offsets,
    too_many,
    duplicate_name,
};
[[nodiscard]] std::string_view to_text(SafetensorsError error);

struct SafetensorsFile {
    std::vector<NamedTensor> tensors;
    Metadata metadata;
};
/// Reads any safetensors file whose tensors are F32, F16 or BF16 of rank 1 to 4, as binary32; ranks
/// above 2 keep their first dimension as rows. At most 4,096 tensors.
[[nodiscard]] Result<SafetensorsFile, SafetensorsError> read_safetensors(BytesView file);

/// model.safetensors of a program: its parameters under their names.
[[nodiscard]] Bytes write_model(const Program& program, const std::vector<Tensor>& w,
                                Metadata metadata);
/// The weights back in program order; bad_shape if a tensor is missing, extra or of another shape.
[[nodiscard]] Result<std::vector<Tensor>, SafetensorsError> read_model(const Program& program,
                                                                       BytesView file);

}  // namespace trainyard::training
